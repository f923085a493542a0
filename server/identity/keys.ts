import { createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import { fitsAlgorithm } from './algorithms.js'
import { isRocaModulus } from './roca.js'

const MAX_KEYS = 100
const MIN_RSA_BITS = 2048
/** Verifying gets slow enough to stall a replica beyond this. */
const MAX_RSA_BITS = 8192

/** One public key that may verify signatures, imported once: jose caches what it derives by this object. */
export interface SigningKey {
  readonly kid?: string
  readonly alg?: string
  readonly key: KeyObject
}

export type KeySet = readonly SigningKey[]

const keySetDocument = z.object({ keys: z.array(z.unknown()).max(MAX_KEYS) })

const publicJwk = z.looseObject({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.string().optional(),
  use: z.literal('sig').optional(),
  key_ops: z
    .array(z.string())
    .refine((ops) => ops.includes('verify'))
    .optional(),
  alg: z.string().optional(),
})

/** Members of private and of symmetric keys (RFC 7518 section 6): whoever published one has lost it. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'] as const

/**
 * The usable keys of a JWK set (RFC 7517 section 5). Keys we cannot or must not use are left out; a document
 * that is no key set, or holds more than 100 keys, is none at all.
 */
export function readKeySet(document: unknown): KeySet | undefined {
  const set = keySetDocument.safeParse(document)
  if (!set.success) return undefined
  return set.data.keys.map(readKey).filter((key) => key !== undefined)
}

function readKey(document: unknown): SigningKey | undefined {
  const jwk = publicJwk.safeParse(document)
  if (!jwk.success || PRIVATE_MEMBERS.some((name) => name in jwk.data)) return undefined
  let key: KeyObject
  try {
    // Refuses points that are not on their curve.
    key = createPublicKey({ key: jwk.data, format: 'jwk' })
  } catch {
    return undefined
  }
  const { kid, alg } = jwk.data
  if (!strongEnough(key)) return undefined
  return { key, ...(kid === undefined ? {} : { kid }), ...(alg === undefined ? {} : { alg }) }
}

function strongEnough(key: KeyObject): boolean {
  if (key.asymmetricKeyType !== 'rsa') return true
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  // With exponent 1 a signature is its own message: anybody can write one.
  if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS || publicExponent < 3n) return false
  return !isRocaModulus(Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url'))
}

/**
 * The one key a token may be verified with. Without a key id only a set with exactly one fitting key answers;
 * a key id that two fitting keys share answers nothing.
 */
export function pickKey(keys: KeySet, alg: string, kid: string | undefined): SigningKey | undefined {
  const fitting = keys.filter(
    (candidate) =>
      (kid === undefined || candidate.kid === kid) &&
      (candidate.alg === undefined || candidate.alg === alg) &&
      fitsAlgorithm(candidate.key, alg),
  )
  return fitting.length === 1 ? fitting[0] : undefined
}
