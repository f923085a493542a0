import { createHash, verify } from 'node:crypto'
import { readCoseKey } from './cose.js'
import { challengeOf, type PasskeyProof, type SignedDocument } from './document.js'
import { fromBase64Url } from './encoding.js'

/** Flags of authenticator data (WebAuthn level 3, section 6.1). */
const [UP, UV, BE, BS, AT, ED] = [0x01, 0x04, 0x08, 0x10, 0x40, 0x80]

/**
 * What is wrong with a passkey's signature over a document, in one sentence; undefined when nothing is.
 * WebAuthn level 3, section 7.2, steps 8 to 21, with nothing but what lies in the proof. The steps before them ask
 * whose key it is, step 22 whether it was copied: both need to know of other keys and signatures.
 */
export function passkeyProblem(proof: PasskeyProof, document: SignedDocument): string | undefined {
  const clientData = fromBase64Url(proof.client_data)
  const authData = fromBase64Url(proof.authenticator_data)
  const signature = fromBase64Url(proof.signature)
  if (!clientData || !authData || !signature || !fromBase64Url(proof.key_id))
    return 'The signature is not in canonical base64url.'
  const key = readCoseKey(proof.public_key)
  if (key === undefined) return 'The public key is not one that a passkey may have.'
  return (
    clientDataProblem(clientData, challengeOf(proof.document), document.origin) ??
    authDataProblem(authData, document) ??
    (holds(key, Buffer.concat([authData, sha256(clientData)]), signature)
      ? undefined
      : 'The signature is not by this key.')
  )
}

function clientDataProblem(bytes: Buffer, challenge: Buffer, origin: string): string | undefined {
  // Steps 8 and 9.
  const said = readObject(bytes)
  if (said === undefined) return 'The client data cannot be read.'
  // Step 10. A registration has another type.
  if (said.type !== 'webauthn.get') return 'The signature is of another ceremony.'
  // Step 11. A document that differs by a byte has another challenge.
  if (said.challenge !== challenge.toString('base64url')) return 'The signature is over another document.'
  // Step 12.
  if (said.origin !== origin) return 'The signature was made at another origin.'
  // Steps 13 and 14. Who clicked in a frame of somebody else's page did not see ours.
  if ((said.crossOrigin ?? false) !== false || said.topOrigin !== undefined)
    return 'The signature was made in a frame of another page.'
  return undefined
}

function authDataProblem(bytes: Buffer, { origin, rp_id }: SignedDocument): string | undefined {
  const flags = bytes[32] ?? 0
  if (bytes.length < 37 || (bytes.length > 37 && (flags & (AT | ED)) === 0))
    return 'The authenticator data is malformed.'
  // Section 5.1.3, step 8: a browser would have refused any other.
  if (!isOfHost(new URL(origin).hostname, rp_id))
    return 'The document names a relying party of another origin.'
  // Step 15.
  if (!bytes.subarray(0, 32).equals(sha256(rp_id))) return 'The signature is for another relying party.'
  // Steps 16 and 17. Without them a program could have signed with a key that was left plugged in.
  if ((flags & UP) === 0) return 'The signature was made with nobody there.'
  if ((flags & UV) === 0) return 'The authenticator did not verify who was there.'
  // Step 18.
  if ((flags & BS) !== 0 && (flags & BE) === 0) return 'The authenticator data is malformed.'
  return undefined
}

const isOfHost = (host: string, rpId: string): boolean => host === rpId || host.endsWith(`.${rpId}`)

/** Steps 20 and 21. ECDSA signatures are DER (WebAuthn level 3, section 6.5.5). */
function holds(
  { key, digest }: NonNullable<ReturnType<typeof readCoseKey>>,
  data: Buffer,
  signature: Buffer,
): boolean {
  try {
    return verify(digest, data, key, signature)
  } catch {
    return false
  }
}

function readObject(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch {
    return undefined
  }
}

const sha256 = (data: Uint8Array | string): Buffer => createHash('sha256').update(data).digest()
