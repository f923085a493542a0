import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import type { RegistrationJson } from '../../server/operators/ceremonies.js'
import { SITE } from '../support/signing.js'

/** DER (X.690) of a tag and its content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts)
const oid = (...bytes: readonly number[]) => der(0x06, Buffer.from(bytes))
const bits = (content: Uint8Array) => der(0x03, Buffer.from([0]), content)
const octets = (content: Uint8Array) => der(0x04, content)
const time = (date: Date) =>
  der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`))
const ECDSA_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))

/** Country, organisation, unit, name, as a packed attestation wants them (WebAuthn level 3, section 8.2.1). */
const nameOf = (common: string) =>
  sequence(
    ...(
      [
        [6, 0x13, 'NL'],
        [10, 0x0c, 'Maker'],
        [11, 0x0c, 'Authenticator Attestation'],
        [3, 0x0c, common],
      ] as const
    ).map(([last, tag, text]) => der(0x31, sequence(oid(0x55, 0x04, last), der(tag, Buffer.from(text))))),
  )

export interface Authority {
  readonly der: Buffer
  readonly pem: string
  readonly key: KeyObject
  readonly name: string
}

interface CertificateOptions {
  readonly ca?: boolean
  /** In the extension that names the model. */
  readonly aaguid?: Buffer
  /** Ended an hour ago. */
  readonly over?: boolean
}

/** A certificate by `issuer`, by itself without one (RFC 5280). */
export function certificate(common: string, issuer?: Authority, options: CertificateOptions = {}): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const hour = 3_600_000
  const yes = Buffer.from([0x01, 0x01, 0xff])
  const basic = sequence(oid(0x55, 0x1d, 0x13), yes, octets(sequence(...(options.ca === true ? [yes] : []))))
  const model =
    options.aaguid === undefined
      ? []
      : [
          sequence(
            oid(0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xe5, 0x1c, 0x01, 0x01, 0x04),
            octets(octets(options.aaguid)),
          ),
        ]
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    ECDSA_SHA256,
    nameOf(issuer?.name ?? common),
    sequence(
      time(new Date(Date.now() - 3 * hour)),
      time(new Date(Date.now() + (options.over === true ? -hour : hour))),
    ),
    nameOf(common),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(basic, ...model)),
  )
  const whole = sequence(body, ECDSA_SHA256, bits(sign('sha256', body, issuer?.key ?? privateKey)))
  const text = whole.toString('base64').replace(/.{1,64}/g, '$&\n')
  return {
    der: whole,
    pem: `-----BEGIN CERTIFICATE-----\n${text}-----END CERTIFICATE-----\n`,
    key: privateKey,
    name: common,
  }
}

/** CBOR (RFC 8949) of what an attestation is made of. */
function cbor(value: unknown): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value)
  if (typeof value === 'string') return Buffer.concat([head(3, value.length), Buffer.from(value)])
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value])
  if (Array.isArray(value)) return Buffer.concat([head(4, value.length), ...value.map(cbor)])
  if (value instanceof Map) {
    return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, one]) => [cbor(key), cbor(one)])])
  }
  throw new Error('no such CBOR here')
}

const head = (major: number, n: number) =>
  n < 24
    ? Buffer.of((major << 5) | n)
    : n < 256
      ? Buffer.of((major << 5) | 24, n)
      : Buffer.of((major << 5) | 25, n >> 8, n & 0xff)

const sha256 = (data: string | Uint8Array) => createHash('sha256').update(data).digest()

/** A registration with a packed attestation by `chain`, or by the credential's own key without one. */
export function attested(
  challenge: Uint8Array,
  aaguid: Buffer,
  chain: readonly Authority[],
  fmt: 'packed' | 'none' = 'packed',
): RegistrationJson {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
  const cose = cbor(
    new Map<number, unknown>([
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, Buffer.from(x, 'base64url')],
      [-3, Buffer.from(y, 'base64url')],
    ]),
  )
  const id = randomBytes(32)
  const authData = Buffer.concat([
    sha256(SITE.rpId),
    Buffer.of(0x45, 0, 0, 0, 0),
    aaguid,
    Buffer.of(0, id.length),
    id,
    cose,
  ])
  const clientData = Buffer.from(
    JSON.stringify({
      type: 'webauthn.create',
      challenge: Buffer.from(challenge).toString('base64url'),
      origin: SITE.origin,
      crossOrigin: false,
    }),
  )
  const over = Buffer.concat([authData, sha256(clientData)])
  const statement = new Map<string, unknown>([
    ['alg', -7],
    ['sig', sign('sha256', over, chain[0]?.key ?? privateKey)],
  ])
  if (chain.length > 0)
    statement.set(
      'x5c',
      chain.map((one) => one.der),
    )
  const object = new Map<string, unknown>([
    ['fmt', fmt],
    ['attStmt', fmt === 'none' ? new Map() : statement],
    ['authData', authData],
  ])
  return {
    id: id.toString('base64url'),
    rawId: id.toString('base64url'),
    type: 'public-key',
    response: {
      clientDataJSON: clientData.toString('base64url'),
      attestationObject: cbor(object).toString('base64url'),
      transports: ['usb'],
    },
  }
}
