import { WritError } from '../errors.js'
import { isAllowedAlgorithm } from './algorithms.js'
import { strictObject } from './strict-json.js'

/** A token that is well formed. Nothing in it is verified yet. */
export interface UnverifiedToken {
  readonly alg: string
  readonly kid?: string
  readonly payload: Readonly<Record<string, unknown>>
}

const SHAPE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const KID = /^[\x20-\x7e]{1,256}$/
const TYPES: ReadonlySet<string> = new Set(['jwt', 'at+jwt'])

/** Headers that bring a key along, say where to fetch one, or change what is signed (RFC 7515 section 4.1, RFC 7797). */
const REFUSED_HEADERS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64'] as const

/**
 * The strict reading of a compact JWS (RFC 7515 section 7.1) that comes before any cryptography. jose takes
 * parts with whitespace, padding or spare bits, so one token has many spellings there; here it has one.
 *
 * @throws WritError token_malformed, token_algorithm, token_claims
 */
export function parseCompact(token: string): UnverifiedToken {
  if (!SHAPE.test(token)) {
    throw new WritError('token_malformed', 'The token is not three base64url parts joined by dots.')
  }
  const [header, payload] = token.split('.').map(decodePart) as [Buffer, Buffer, Buffer]
  return { ...readHeader(strictObject(header, 'header')), payload: strictObject(payload, 'payload') }
}

function decodePart(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url')
  // Spare bits in the last character would let one signature be written in up to sixteen ways.
  if (bytes.toString('base64url') !== part) {
    throw new WritError('token_malformed', 'A part of the token is not canonical base64url.')
  }
  return bytes
}

function readHeader(header: Readonly<Record<string, unknown>>): Pick<UnverifiedToken, 'alg' | 'kid'> {
  const refused = REFUSED_HEADERS.find((name) => name in header)
  if (refused !== undefined) {
    throw new WritError('token_malformed', `The token has a header that is not taken: ${refused}.`)
  }
  const { alg, kid, typ } = header
  if (typ !== undefined && (typeof typ !== 'string' || !TYPES.has(typ.toLowerCase()))) {
    throw new WritError('token_malformed', 'The type of the token is neither JWT nor at+jwt.')
  }
  if (typeof alg !== 'string' || !isAllowedAlgorithm(alg)) {
    throw new WritError(
      'token_algorithm',
      'The token is not signed with an asymmetric algorithm that is taken here.',
    )
  }
  if (kid === undefined) return { alg }
  if (typeof kid !== 'string' || !KID.test(kid)) {
    throw new WritError('token_malformed', 'The key id of the token is not 1 to 256 printable characters.')
  }
  return { alg, kid }
}
