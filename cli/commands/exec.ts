import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type { Command } from 'commander'
import type { CredentialsAnswer } from '../api.js'
import { commandEnvironment, type Delivery } from '../aws-environment.js'
import { parseDuration } from '../duration.js'
import { inheritedEnvironment } from '../environment.js'
import { askForCredentials } from '../issuing.js'
import { asking, type Connection, connect, onBroker } from '../options.js'
import { note } from '../output.js'
import { runCommand } from '../run-command.js'
import { type AskingOptions, wishOf } from './credentials.js'

interface ExecOptions extends AskingOptions {
  readonly static?: boolean
}

export function execCommand(program: Command): void {
  onBroker(asking(program.command('exec')), 'agent')
    .summary('run a command with AWS credentials')
    .description(
      'Run a command with AWS credentials in its environment, and nothing else there by which it would find others. The broker is asked first, so a refusal is seen at once; the exit code is the command’s own from then on.',
    )
    .argument('<command...>', 'the command and its arguments, after --')
    .passThroughOptions()
    .option('--reason <text>', 'why; default: the name of the command')
    .option('--ttl <duration>', 'how long they should last; implies --static', parseDuration)
    .option('--ticket <reference>', 'reference to a ticket')
    .option('--wait', 'ask for a grant where one is needed, and wait for it')
    .option('--static', 'put the keys themselves into the environment, where they are not refreshed')
    .addHelpText(
      'after',
      '\nExample:\n  writ exec --env development --scope orders:read -- aws s3 ls s3://orders-development',
    )
    .action(async (command: readonly string[], options: ExecOptions) => {
      const connection = connect('agent', options)
      const reason = `exec ${basename(command[0] ?? '')}`.slice(0, 100)
      const answered = await askForCredentials(
        connection.broker,
        wishOf(options, reason),
        options.wait === true,
      )
      const delivery = await chooseDelivery(connection, options, answered)
      const env = commandEnvironment(
        inheritedEnvironment(),
        answered,
        delivery,
        connection.target.local?.awsUrl,
      )
      await runCommand(command, env)
    })
}

/**
 * The SDK fetches for itself where it can: from a broker on loopback or over https (plain http to anywhere
 * else no SDK does), with a token file it can read. Otherwise the keys go into the environment.
 */
async function chooseDelivery(
  { target, token }: Connection,
  options: ExecOptions,
  answered: CredentialsAnswer,
): Promise<Delivery> {
  // What a grant allowed once cannot be fetched a second time: the SDK's refresh would only fail.
  const once = answered.grant !== undefined
  if (options.static === true || options.ttl !== undefined || once) return { kind: 'static' }
  if (token.file === undefined || !(target.https || target.loopback)) return { kind: 'static' }
  if (/\s$/.test(await readFile(token.file, 'utf8'))) {
    note(
      'The token file ends in a newline, with which AWS SDKs send no token at all: using static credentials.',
    )
    return { kind: 'static' }
  }
  const scopes = options.scope.map(encodeURIComponent).join(',')
  const path = `/v1/aws/credentials/${encodeURIComponent(options.env)}/${scopes}`
  return { kind: 'container', uri: `${target.url}${path}`, tokenFile: token.file }
}
