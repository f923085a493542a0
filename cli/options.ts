import { type Command, InvalidArgumentError, Option } from 'commander'
import { type BrokerClient, connectTo } from './client.js'
import { clientEnvironment } from './environment.js'
import { findTarget, type Target, type TargetOptions } from './target.js'
import { findToken, type Side, type TokenOptions, type TokenSource } from './token.js'

export interface BrokerOptions extends TargetOptions, TokenOptions {
  readonly json?: boolean
}

const JSON_OPTION = () => new Option('--json', 'print one JSON document, errors as problem details')

export const withJson = (command: Command): Command => command.addOption(JSON_OPTION())

/** What every verb takes that talks to the broker. */
export function onBroker(command: Command, side: Side): Command {
  const connection = (flags: string, meaning: string) =>
    command.addOption(new Option(flags, meaning).helpGroup('Connection:'))
  withJson(command)
  connection('--url <url>', 'where the broker is (WRIT_URL)')
  connection('--token-file <file>', 'file with your JWT (WRIT_TOKEN_FILE)')
  connection('--as <name>', `local broker only: be this ${side}, with a token made on the spot`)
  connection('--data-dir <folder>', 'data folder of the local broker (WRIT_DATA_DIR)')
  connection('--insecure', 'allow plain http to another machine')
  return command
}

export interface Connection {
  readonly broker: BrokerClient
  readonly target: Target
  readonly token: TokenSource
}

export function connect(side: Side, options: BrokerOptions): Connection {
  const env = clientEnvironment()
  const target = findTarget(options, env)
  const token = findToken(side, options, env, target)
  return { broker: connectTo(target, token), target, token }
}

/** Repeatable, and commas separate too. */
export const collect = (text: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== ''),
]

/** `name=value`, repeatable. */
export function collectPairs(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('Give name=value.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

/** Environment and scopes, as every asking verb takes them. */
export const asking = (command: Command): Command =>
  command
    .requiredOption('--env <name>', 'environment, as `writ whoami` lists it')
    .requiredOption('--scope <name>', 'scope; repeat it, or separate several by commas', collect)
