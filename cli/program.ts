import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { packageRoot } from '../server/paths.js'
import { decideCommands } from './commands/approve.js'
import { auditCommands } from './commands/audit.js'
import { breakGlassCommands } from './commands/break-glass.js'
import { credentialCommands } from './commands/credentials.js'
import { devCommands } from './commands/dev.js'
import { execCommand } from './commands/exec.js'
import { explainCommands } from './commands/explain.js'
import { grantCommands } from './commands/grants.js'
import { keyCommands, operatorCommands } from './commands/keys.js'
import { policyCommands } from './commands/policy.js'
import { recordCommands } from './commands/record.js'
import { requestCommands } from './commands/request.js'
import { serveCommands } from './commands/serve.js'
import { webhookCommands } from './commands/webhooks.js'
import { CLIENT_VARIABLES } from './environment.js'
import { EXIT_MEANINGS } from './exit.js'

/** The whole command, without running anything. Throws `CommanderError` where the command line is wrong. */
export function buildProgram(): Command {
  const program = new Command('writ')
    .description(
      'Writ gives AI agents short-lived AWS credentials, narrowed to what they ask for; a production write needs a grant by a human.',
    )
    .version(version(), '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .addHelpText('after', AFTER)
  program.commandsGroup('Agents:')
  credentialCommands(program)
  execCommand(program)
  requestCommands(program)
  explainCommands(program)
  program.commandsGroup('Operators and security:')
  decideCommands(program)
  grantCommands(program)
  breakGlassCommands(program)
  keyCommands(program)
  recordCommands(program)
  webhookCommands(program)
  auditCommands(program)
  program.commandsGroup('Running a broker:')
  serveCommands(program)
  operatorCommands(program)
  policyCommands(program)
  devCommands(program)
  program.addHelpCommand(
    new Command('help').argument('[verb]').description('help for a verb').helpGroup('Running a broker:'),
  )
  quietly(program)
  return program
}

/** Commander would print errors and end the process by itself: `main` does both, one way for all errors. */
function quietly(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined })
  for (const child of command.commands) quietly(child)
}

const AFTER = `
Environment:
${CLIENT_VARIABLES.map(([names, meaning]) => `  ${names}\n      ${meaning}`).join('\n')}

Exit codes:
${Object.entries(EXIT_MEANINGS)
  .map(([code, meaning]) => `  ${code}  ${meaning}`)
  .join('\n')}

Try it on this machine:
  writ serve                                          # in one terminal
  writ whoami --as orders-coder                       # in another`

function version(): string {
  const { version: found } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string
  }
  return found
}
