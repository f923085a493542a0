import type { KeyObject } from 'node:crypto'

interface Fit {
  readonly type: string
  readonly curve?: string
}

/**
 * Every algorithm a token may ever be signed with, whatever an issuer document says, and the key it needs
 * (RFC 7518 section 3.1, RFC 8037, RFC 9864). Asymmetric only: with HS256 in it, the issuer's public key would
 * be the secret. The key has to fit, so a token cannot use an EC key as something else.
 */
const ALGORITHMS: ReadonlyMap<string, Fit> = new Map([
  ['RS256', { type: 'rsa' }],
  ['RS384', { type: 'rsa' }],
  ['RS512', { type: 'rsa' }],
  ['PS256', { type: 'rsa' }],
  ['PS384', { type: 'rsa' }],
  ['PS512', { type: 'rsa' }],
  ['ES256', { type: 'ec', curve: 'prime256v1' }],
  ['ES384', { type: 'ec', curve: 'secp384r1' }],
  ['ES512', { type: 'ec', curve: 'secp521r1' }],
  ['EdDSA', { type: 'ed25519' }],
  ['Ed25519', { type: 'ed25519' }],
])

export const isAllowedAlgorithm = (alg: string): boolean => ALGORITHMS.has(alg)

/** Whether signatures of `alg` can be verified with this key. */
export function fitsAlgorithm(key: KeyObject, alg: string): boolean {
  const fit = ALGORITHMS.get(alg)
  if (fit === undefined || key.asymmetricKeyType !== fit.type) return false
  return fit.curve === undefined || key.asymmetricKeyDetails?.namedCurve === fit.curve
}
