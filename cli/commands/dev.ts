import { randomUUID } from 'node:crypto'
import { chmod, open, rename, rm } from 'node:fs/promises'
import type { Command } from 'commander'
import { mintDevToken } from '../dev-token.js'
import { parseDuration } from '../duration.js'
import { clientEnvironment } from '../environment.js'
import { usageError } from '../exit.js'
import { collectPairs, withJson } from '../options.js'
import { answer } from '../output.js'

interface TokenOptions {
  readonly agent?: string
  readonly operator?: string
  readonly ttl?: number
  readonly human?: string
  readonly claim?: Readonly<Record<string, string>>
  readonly dataDir?: string
  readonly policies?: string
  readonly write?: string
  readonly json?: boolean
}

export function devCommands(program: Command): void {
  const dev = program
    .command('dev')
    .summary('offline: tokens for trying Writ out on this machine')
    .description('For local mode only: no production broker accepts these tokens.')

  withJson(dev.command('token'))
    .summary('make a token of the local issuer')
    .description(
      'Make a JWT of the local issuer for an agent or an operator in the policy set, with the audience and the claims that its documents want. An operator’s token says that its human signed in just now.',
    )
    .option('--agent <name>', 'for this agent')
    .option('--operator <name>', 'for this operator')
    .option('--ttl <duration>', 'how long it is valid; default 15m', parseDuration)
    .option('--human <name>', 'the human the agent acts for, where the issuer document names a claim for it')
    .option('--claim <name=value>', 'a further claim, or another value for one; repeatable', collectPairs)
    .option('--write <file>', 'write it to this file, readable by you alone, instead of printing it')
    .option('--data-dir <folder>', 'data folder with the key of the local issuer (WRIT_DATA_DIR)')
    .option('--policies <folder>', 'policy folder (WRIT_POLICIES)')
    .action(async (options: TokenOptions) => {
      const { agent, operator } = options
      if ((agent === undefined) === (operator === undefined)) {
        throw usageError('Say for whom: --agent NAME or --operator NAME.')
      }
      const env = clientEnvironment()
      const { policyFolder } = await import('../policies.js')
      const token = await mintDevToken({
        kind: agent === undefined ? 'operator' : 'agent',
        name: agent ?? operator ?? '',
        dataDir: options.dataDir ?? env.dataDir,
        policies: policyFolder(options.policies, env),
        ...(options.ttl === undefined ? {} : { ttlSeconds: options.ttl }),
        ...(options.human === undefined ? {} : { human: options.human }),
        ...(options.claim === undefined ? {} : { claims: options.claim }),
      })
      const { write } = options
      if (write === undefined) answer(options, { token }, () => token)
      else {
        await writeSecret(write, token)
        answer(options, { file: write }, () => `Written to ${write}`)
      }
    })
}

/**
 * 0600 from the first byte on, whole or not at all, and without a newline at its end: with one, the AWS SDK
 * for JavaScript sends no token. Renamed into place, so a link somebody put there is replaced, not followed.
 */
async function writeSecret(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomUUID()}`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(text)
    } finally {
      await file.close()
    }
    await chmod(draft, 0o600)
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw usageError(
      `The token cannot be written to ${path} (${(error as NodeJS.ErrnoException).code ?? 'unknown'}).`,
    )
  }
}
