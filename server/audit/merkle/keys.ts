import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  sign,
} from 'node:crypto'
import { ProofError } from './error.js'
import { parseBase64 } from './hash.js'

/** Signature type of plain Ed25519 in C2SP signed-note. */
const ED25519 = 0x01

/** What DER puts before the 32 bytes of an Ed25519 seed and public key (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

export interface VerifierKey {
  readonly name: string
  /** Eight hex digits. Identifies; proves nothing. */
  readonly id: string
  readonly publicKey: KeyObject
}

export interface NoteSigner {
  readonly name: string
  readonly id: string
  /** For whoever verifies: `name+id+base64(0x01 ‖ public key)`. */
  readonly verifierKey: string
  /** 64 bytes of Ed25519 over the text. */
  readonly sign: (text: Buffer) => Buffer
}

/** A name a key can have: not empty, no Unicode space, no plus, no control character. */
export const isKeyName = (name: string): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  name !== '' && !/[\p{White_Space}+\u0000-\u001f]/u.test(name) && isWellFormed(name)

/** Without lone surrogates, so that encoding to UTF-8 loses nothing. */
export const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text)

/** Reads `name+id+base64(0x01 ‖ public key)`. Throws `key_malformed`. */
export function parseVerifierKey(text: string): VerifierKey {
  const { name, id, material } = split(text)
  if (id !== keyId(name, material)) throw malformed('The id of a verifier key does not fit its name and key.')
  return { name, id, publicKey: publicKeyOf(material) }
}

/** Reads `PRIVATE+KEY+name+id+base64(0x01 ‖ seed)`. Throws `key_malformed`, never quoting the key. */
export function parseSignerKey(text: string): NoteSigner {
  const prefix = 'PRIVATE+KEY+'
  if (!text.startsWith(prefix)) throw malformed(`A signer key begins with ${prefix}.`)
  const { name, id, material } = split(text.slice(prefix.length))
  const seed = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, material]),
    format: 'der',
    type: 'pkcs8',
  })
  const own = createPublicKey(seed).export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length)
  if (id !== keyId(name, own)) throw malformed('The id of a signer key does not fit its name and key.')
  return {
    name,
    id,
    verifierKey: `${name}+${id}+${encode(own)}`,
    sign: (data) => sign(null, data, seed),
  }
}

/** A fresh signer key. A secret: whoever has it can show two people two logs. */
export function generateSignerKey(name: string): string {
  if (!isKeyName(name)) throw malformed('A key name is not empty and has no space and no plus.')
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const own = publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length)
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(PKCS8_PREFIX.length)
  return `PRIVATE+KEY+${name}+${keyId(name, own)}+${encode(seed)}`
}

function split(text: string): { name: string; id: string; material: Buffer } {
  const [, name = '', id = '', base64 = ''] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u.exec(text) ?? []
  const bytes = parseBase64(base64)
  if (!isKeyName(name) || bytes?.length !== 33 || bytes[0] !== ED25519) {
    throw malformed('A key is not of the form name+id+base64, with 0x01 and 32 bytes of Ed25519.')
  }
  return { name, id, material: bytes.subarray(1) }
}

const publicKeyOf = (material: Buffer): KeyObject =>
  createPublicKey({ key: Buffer.concat([SPKI_PREFIX, material]), format: 'der', type: 'spki' })

const encode = (material: Buffer): string =>
  Buffer.concat([Buffer.from([ED25519]), material]).toString('base64')

const keyId = (name: string, material: Buffer): string =>
  hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ED25519]), material]), 'hex').slice(
    0,
    8,
  )

const malformed = (detail: string): ProofError => new ProofError('key_malformed', detail)
