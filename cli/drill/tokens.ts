import { generateKeyPairSync, sign } from 'node:crypto'
import { loadLocalIssuer } from '../../server/identity/local-issuer.js'
import { mintDevToken } from '../dev-token.js'
import type { Target } from '../target.js'

/** Other than an honest token of the same agent. */
export interface TokenChange {
  /** How long ago it was made, seconds. */
  readonly age?: number
  readonly audience?: string
  readonly human?: string
}

/** Tokens as an issuer that was talked into it would make them; of the local issuer only. */
export async function localToken(
  { dataDir, policies }: NonNullable<Target['local']>,
  agent: string,
  { age = 0, audience, human }: TokenChange,
): Promise<string> {
  const usual = { kind: 'agent', name: agent, dataDir, policies } as const
  const honest = await mintDevToken({ ...usual, ...(human === undefined ? {} : { human }) })
  const { sub, aud, iss: _iss, iat: _iat, exp: _exp, jti: _jti, ...claims } = payloadOf(honest)
  const issuer = await loadLocalIssuer(dataDir, () => new Date(Date.now() - age * 1000))
  return issuer.sign({ subject: String(sub), audience: audience ?? String(aud), claims })
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const partsOf = (token: string): readonly [header: string, payload: string, signature: string] => {
  const [header = '', payload = '', signature = ''] = token.split('.')
  return [header, payload, signature]
}

const decoded = (part: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>

export const payloadOf = (token: string): Record<string, unknown> => decoded(partsOf(token)[1])

/** The same claims but for `change`, signed with a key that nobody trusts, under the name of one that is. */
export function signedByStranger(token: string, change: object = {}): string {
  const [header, payload] = partsOf(token)
  const head = { ...decoded(header), alg: 'ES256' }
  const signed = `${encoded(head)}.${encoded({ ...decoded(payload), ...change })}`
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  return `${signed}.${signature.toString('base64url')}`
}

/** RFC 8725 section 2.1: says that it needs no signature, and has one only to look like a token. */
export function unsigned(token: string): string {
  const [header, payload, signature] = partsOf(token)
  return `${encoded({ ...decoded(header), alg: 'none' })}.${payload}.${signature}`
}

/** Other claims under the signature of the honest ones. */
export function tampered(token: string, change: object): string {
  const [header, payload, signature] = partsOf(token)
  return `${header}.${encoded({ ...decoded(payload), ...change })}.${signature}`
}
