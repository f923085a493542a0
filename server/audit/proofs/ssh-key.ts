import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { isWeakEd25519 } from './ed25519.js'
import { strictBase64, wireReader } from './ssh-wire.js'

/** Key types whose private half is in a FIDO2 authenticator (openssh, PROTOCOL.u2f). */
export type SshKeyType = 'sk-ssh-ed25519@openssh.com' | 'sk-ecdsa-sha2-nistp256@openssh.com'

export interface SshKey {
  readonly type: SshKeyType
  /** What the authenticator knows the key by, as a passkey's rp id: `ssh:` and any more. */
  readonly application: string
  readonly blob: Buffer
  readonly key: KeyObject
}

/** More than any sk key: the application is the only part without a length of its own. */
const BLOB_CHARACTERS = 1024

/**
 * `TYPE BASE64` without comment → the key; undefined for everything else, plain keys and certificates among it.
 * Formats: openssh PROTOCOL.u2f, "SSH U2F Key formats". Never throws.
 */
export function readSshKey(text: string): SshKey | undefined {
  const [type = '', base64 = '', ...more] = text.split(' ', 3)
  if (more.length > 0 || !isSkType(type)) return undefined
  const blob = strictBase64(base64, BLOB_CHARACTERS)
  if (blob === undefined) return undefined
  const reader = wireReader(blob)
  if (reader.text() !== type) return undefined
  const jwk =
    type === 'sk-ssh-ed25519@openssh.com' ? ed25519(reader.string()) : p256(reader.text(), reader.string())
  const application = reader.text()
  // Any other name could be a website's: a browser would let that site ask for signatures by the same key.
  if (jwk === undefined || !application?.startsWith('ssh:') || !reader.ended()) return undefined
  try {
    return { type, application, blob, key: createPublicKey({ format: 'jwk', key: jwk }) }
  } catch {
    // A point that is not on the curve.
    return undefined
  }
}

/** `SHA256:` and base64 without padding, as `ssh-keygen -l` shows it. */
export const fingerprintOf = (blob: Uint8Array): string =>
  `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`

const isSkType = (type: string): type is SshKeyType =>
  type === 'sk-ssh-ed25519@openssh.com' || type === 'sk-ecdsa-sha2-nistp256@openssh.com'

function ed25519(point: Buffer | undefined) {
  // Signatures that such a "key" takes can be made by anybody, without any authenticator.
  if (point?.length !== 32 || isWeakEd25519(point)) return undefined
  return { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') }
}

function p256(curve: string | undefined, point: Buffer | undefined) {
  if (curve !== 'nistp256' || point?.length !== 65 || point[0] !== 4) return undefined
  const [x, y] = [point.subarray(1, 33), point.subarray(33)]
  return { kty: 'EC', crv: 'P-256', x: x.toString('base64url'), y: y.toString('base64url') }
}
