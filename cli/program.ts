import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { packageRoot } from '../server/paths.js'
import { CLIENT_VARIABLES } from './environment.js'
import { EXIT_MEANINGS } from './exit.js'

interface Part {
  readonly group: 'Agents:' | 'Operators and security:' | 'Running a broker:'
  readonly verbs: readonly string[]
  readonly load: () => Promise<(program: Command) => void>
}

/** In the order of help. */
const PARTS: readonly Part[] = [
  {
    group: 'Agents:',
    verbs: ['credentials', 'credential-process'],
    load: async () => (await import('./commands/credentials.js')).credentialCommands,
  },
  {
    group: 'Agents:',
    verbs: ['exec'],
    load: async () => (await import('./commands/exec.js')).execCommand,
  },
  {
    group: 'Agents:',
    verbs: ['request'],
    load: async () => (await import('./commands/request.js')).requestCommands,
  },
  {
    group: 'Agents:',
    verbs: ['whoami', 'explain'],
    load: async () => (await import('./commands/explain.js')).explainCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['approve', 'deny'],
    load: async () => (await import('./commands/approve.js')).decideCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['grants'],
    load: async () => (await import('./commands/grants.js')).grantCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['break-glass'],
    load: async () => (await import('./commands/break-glass.js')).breakGlassCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['stop', 'stops', 'release'],
    load: async () => (await import('./commands/stop.js')).stopCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['revoke'],
    load: async () => (await import('./commands/revoke.js')).revokeCommand,
  },
  {
    group: 'Operators and security:',
    verbs: ['incident'],
    load: async () => (await import('./commands/incident.js')).incidentCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['keys'],
    load: async () => (await import('./commands/keys.js')).keyCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['issuances', 'events'],
    load: async () => (await import('./commands/record.js')).recordCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['reach', 'doctor'],
    load: async () => (await import('./commands/reach.js')).reachCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['webhooks'],
    load: async () => (await import('./commands/webhooks.js')).webhookCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['drill'],
    load: async () => (await import('./commands/drill.js')).drillCommand,
  },
  {
    group: 'Operators and security:',
    verbs: ['alarms'],
    load: async () => (await import('./commands/alarms.js')).alarmCommands,
  },
  {
    group: 'Operators and security:',
    verbs: ['audit'],
    load: async () => (await import('./commands/audit.js')).auditCommands,
  },
  {
    group: 'Running a broker:',
    verbs: ['serve', 'migrate', 'config'],
    load: async () => (await import('./commands/serve.js')).serveCommands,
  },
  {
    group: 'Running a broker:',
    verbs: ['operators'],
    load: async () => (await import('./commands/keys.js')).operatorCommands,
  },
  {
    group: 'Running a broker:',
    verbs: ['policy'],
    load: async () => (await import('./commands/policy.js')).policyCommands,
  },
  {
    group: 'Running a broker:',
    verbs: ['dev'],
    load: async () => (await import('./commands/dev.js')).devCommands,
  },
]

/**
 * The command, without running anything; `only` the parts of one verb, where it is one: an agent starts this for
 * every session, and loading what the other verbs need would be most of its time. Whatever is no verb gets the
 * whole, to be told what it might have meant.
 */
export async function buildProgram(only?: string): Promise<Command> {
  const program = new Command('writ')
    .description(
      'Writ gives AI agents short-lived AWS credentials, narrowed to what they ask for; a production write needs a grant by a human.',
    )
    .version(version(), '-V, --version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .addHelpText('after', AFTER)
  const wanted = PARTS.filter(({ verbs }) => only !== undefined && verbs.includes(only))
  for (const { group, verbs, load } of wanted.length > 0 ? wanted : PARTS) {
    program.commandsGroup(group)
    const add = await load()
    const before = program.commands.length
    add(program)
    const added = program.commands.slice(before).map((command) => command.name())
    if (added.join() !== verbs.join()) throw new Error(`not the verbs ${verbs.join()}: ${added.join()}`)
  }
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
