import { createPublicKey, type KeyObject } from 'node:crypto'
import { isWeakEd25519 } from './ed25519.js'
import { fromBase64Url } from './encoding.js'

/** A key that a passkey signs with, and the digest that `crypto.verify` takes: null where the scheme has its own. */
export interface CoseKey {
  readonly key: KeyObject
  readonly digest: 'sha256' | null
}

/**
 * The key in a COSE_Key (RFC 9052, section 7) in base64url, in its one canonical encoding: one key, one text, so
 * that nobody enrols the same key under two names. Undefined for any other algorithm than ES256, EdDSA with
 * Ed25519 and RS256, and for keys with which everybody could sign.
 */
export function readCoseKey(text: string): CoseKey | undefined {
  const bytes = fromBase64Url(text)
  const map = bytes === undefined ? undefined : readMap(bytes)
  if (map === undefined) return undefined
  try {
    const jwk = ec(map) ?? okp(map) ?? rsa(map)
    // Throws when a point is not on its curve.
    return (
      jwk && {
        key: createPublicKey({ key: jwk, format: 'jwk' }),
        digest: jwk.kty === 'OKP' ? null : 'sha256',
      }
    )
  } catch {
    return undefined
  }
}

type CoseMap = ReadonlyMap<number, number | Buffer>
type Jwk = Readonly<Record<string, string>>

/** RFC 9053, section 7.1.1: ES256 on P-256, the point uncompressed (WebAuthn level 3, section 5.8.5). */
function ec(map: CoseMap): Jwk | undefined {
  const [x, y] = [map.get(-2), map.get(-3)]
  if (!has(map, [1, 2], [3, -7], [-1, 1]) || map.size !== 5) return undefined
  if (!isBytes(x, 32) || !isBytes(y, 32)) return undefined
  return { kty: 'EC', crv: 'P-256', x: x.toString('base64url'), y: y.toString('base64url') }
}

/** RFC 9053, section 7.2: EdDSA on Ed25519. */
function okp(map: CoseMap): Jwk | undefined {
  const x = map.get(-2)
  if (!has(map, [1, 1], [3, -8], [-1, 6]) || map.size !== 4) return undefined
  if (!isBytes(x, 32) || isWeakEd25519(x)) return undefined
  return { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') }
}

/** RFC 8230, section 4. With the exponent 1 a message is its own signature; 65537 is what authenticators use. */
function rsa(map: CoseMap): Jwk | undefined {
  const [n, e] = [map.get(-1), map.get(-2)]
  if (!has(map, [1, 3], [3, -257]) || map.size !== 4 || !Buffer.isBuffer(n) || !Buffer.isBuffer(e))
    return undefined
  if (n.length < 256 || n.length > 512 || n[0] === 0 || e.toString('hex') !== '010001') return undefined
  return { kty: 'RSA', n: n.toString('base64url'), e: e.toString('base64url') }
}

const has = (map: CoseMap, ...fields: readonly (readonly [number, number])[]): boolean =>
  fields.every(([label, value]) => map.get(label) === value)
const isBytes = (value: number | Buffer | undefined, length: number): value is Buffer =>
  Buffer.isBuffer(value) && value.length === length

/**
 * A CBOR map (RFC 8949) of whole numbers to whole numbers and byte strings, in the canonical form of CTAP 2.1,
 * section 8: shortest lengths, keys in order, none twice, nothing behind it.
 */
function readMap(bytes: Buffer): CoseMap | undefined {
  const map = new Map<number, number | Buffer>()
  let at = 0
  /** Major type and argument of the next item; NaN at the end, and for anything but the shortest form. */
  const head = (): readonly [number, number] => {
    const first = bytes[at++] ?? 0xff
    const [major, low] = [first >> 5, first & 0x1f]
    if (low < 24) return [major, low]
    const width = low === 24 ? 1 : low === 25 ? 2 : 0
    if (width === 0 || at + width > bytes.length) return [major, Number.NaN]
    const value = bytes.readUIntBE(at, width)
    at += width
    return [major, value >= (width === 1 ? 24 : 256) ? value : Number.NaN]
  }
  const [major, pairs] = head()
  if (major !== 5 || !(pairs <= 8)) return undefined
  let before: Buffer = Buffer.alloc(0)
  for (let i = 0; i < pairs; i++) {
    const from = at
    const label = whole(...head())
    const encoded = bytes.subarray(from, at)
    if (label === undefined || !(encoded.length > before.length || encoded.compare(before) > 0))
      return undefined
    before = encoded
    const [kind, argument] = head()
    if (kind === 2 && at + argument <= bytes.length) {
      map.set(label, bytes.subarray(at, at + argument))
      at += argument
      continue
    }
    const value = whole(kind, argument)
    if (value === undefined) return undefined
    map.set(label, value)
  }
  return at === bytes.length ? map : undefined
}

/** Major types 0 and 1 (RFC 8949, section 3.1). */
const whole = (major: number, argument: number): number | undefined =>
  major > 1 || Number.isNaN(argument) ? undefined : major === 0 ? argument : -1 - argument
