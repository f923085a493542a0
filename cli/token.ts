import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { mintDevToken } from './dev-token.js'
import type { ClientEnvironment } from './environment.js'
import { CliError, EXIT, usageError } from './exit.js'
import type { Target } from './target.js'

export type Side = 'agent' | 'operator'

export interface TokenOptions {
  readonly tokenFile?: string
  readonly as?: string
}

/** Where the caller's token comes from. */
export interface TokenSource {
  /** Read or made anew at each call: files rotate, and waiting for a human outlives a token. */
  readonly read: () => Promise<string>
  /** Absolute path, when it is a file. */
  readonly file?: string
}

/** --as, --token-file, the operator's variables (operators' verbs only), WRIT_TOKEN_FILE, WRIT_TOKEN. */
export function findToken(
  side: Side,
  options: TokenOptions,
  env: ClientEnvironment,
  target: Target,
): TokenSource {
  if (options.as !== undefined) return localToken(side, options.as, target)
  const { operatorTokenFile, operatorToken } = side === 'operator' ? env : {}
  if (options.tokenFile !== undefined) return fromFile(options.tokenFile)
  if (operatorTokenFile !== undefined) return fromFile(operatorTokenFile)
  if (operatorToken !== undefined) return fromValue(operatorToken, 'WRIT_OPERATOR_TOKEN')
  if (env.tokenFile !== undefined) return fromFile(env.tokenFile)
  if (env.token !== undefined) return fromValue(env.token, 'WRIT_TOKEN')
  const name = side === 'operator' ? 'WRIT_OPERATOR_TOKEN_FILE' : 'WRIT_TOKEN_FILE'
  throw unauthenticated(
    'There is no token to show the broker.',
    `Give --token-file or set ${name}${target.local === undefined ? '' : `; with this local broker --as NAME makes one for any ${side} in its policies`}.`,
  )
}

function localToken(side: Side, name: string, { local }: Target): TokenSource {
  if (local === undefined) {
    throw usageError(
      '--as makes a token of the local issuer, and no local broker runs on this data folder and address.',
      'Start one with `writ serve`, name its folder with --data-dir, or use a real token.',
    )
  }
  return {
    read: () => mintDevToken({ kind: side, name, dataDir: local.dataDir, policies: local.policies }),
  }
}

function fromFile(path: string): TokenSource {
  const file = resolve(path)
  return {
    file,
    read: async () => {
      const text = await readFile(file, 'utf8').catch(() => {
        throw unauthenticated(`The token file cannot be read: ${file}`, 'Check the path and its permissions.')
      })
      return checked(text.trim(), `The token file ${file}`)
    },
  }
}

const fromValue = (value: string, name: string): TokenSource => ({
  read: async () => checked(value.trim(), name),
})

/** The token itself is never repeated: errors end in logs. */
function checked(token: string, where: string): string {
  if (/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/.test(token)) return token
  throw unauthenticated(`${where} does not hold a JWT.`, 'A JWT is three base64url parts joined by dots.')
}

const unauthenticated = (detail: string, next: string): CliError =>
  new CliError(EXIT.unauthenticated, { title: 'No token', code: 'token_missing', detail, next })
