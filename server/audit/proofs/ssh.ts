import { createHash, verify } from 'node:crypto'
import { SSH_NAMESPACE, type SshProof } from './document.js'
import { fingerprintOf, readSshKey, type SshKey } from './ssh-key.js'
import { strictBase64, wireReader, wireString } from './ssh-wire.js'

const MAGIC = Buffer.from('SSHSIG')
const VERSION = 1
/** What ssh-keygen takes unless told otherwise; one hash, so that a document has one signed form. */
const HASH = 'sha512'
/** A blob is some 300 bytes. */
const SIGNATURE_CHARACTERS = 4096

/** Flags that the authenticator signs (WebAuthn level 3, section 6.1). */
const FLAGS = {
  userPresent: 0x01,
  userVerified: 0x04,
  backupEligible: 0x08,
  backedUp: 0x10,
  attestedData: 0x40,
  extensions: 0x80,
} as const

interface SkSignature {
  readonly key: string
  readonly namespace: string
  readonly reserved: number
  readonly hash: string
  readonly type: string
  /** r and s, or the 64 bytes of Ed25519. */
  readonly signature: Buffer
  readonly flags: number
  readonly counter: number
}

/**
 * What is wrong with a signature that `ssh-keygen -Y sign` made with a FIDO2 key, in one sentence; undefined when it
 * holds for the document's text. Of openssh's PROTOCOL.sshsig and PROTOCOL.u2f, and stricter than `ssh-keygen -Y
 * verify`: that takes a signature without user presence or verification, and this is what says that a human was there.
 * Never throws.
 */
export function sshProblem(proof: SshProof): string | undefined {
  const key = readSshKey(proof.public_key)
  if (key === undefined)
    return 'The key is not an SSH key of a FIDO2 authenticator (sk-…) for the application "ssh:".'
  if (proof.key_id !== fingerprintOf(key.blob)) return 'The fingerprint is that of another key.'
  const signed = readSignature(proof.signature, key)
  if (signed === undefined) return 'The signature is not one that ssh-keygen -Y sign makes with such a key.'
  if (signed.key !== key.blob.toString('base64')) return 'The signature names another key.'
  if (signed.type !== key.type) return 'The signature is of another type than the key.'
  if (signed.namespace !== SSH_NAMESPACE) return `The signature is not in the namespace ${SSH_NAMESPACE}.`
  // ssh-keygen writes nothing here and ignores what it reads: a place for what nobody looked at.
  if (signed.reserved !== 0) return 'The reserved field of the signature is not empty.'
  if (signed.hash !== HASH) return `The signature is not over the ${HASH} hash.`
  if ((signed.flags & FLAGS.userPresent) === 0)
    return 'Nobody touched the authenticator: user presence is missing.'
  if ((signed.flags & FLAGS.userVerified) === 0) {
    return 'The authenticator did not verify its user by PIN or fingerprint; make a key with `ssh-keygen -t ed25519-sk -O verify-required`.'
  }
  if ((signed.flags & FLAGS.backedUp) !== 0 && (signed.flags & FLAGS.backupEligible) === 0)
    return 'The flags of the authenticator contradict each other.'
  // Bytes of either would follow the counter in what is signed, and an SSH signature has no place for them.
  if ((signed.flags & (FLAGS.attestedData | FLAGS.extensions)) !== 0)
    return 'The authenticator signed more than SSH can say.'
  // Lone surrogates would all be encoded as the same three bytes.
  if (/\p{Surrogate}/u.test(proof.document)) return 'The document is not Unicode text.'
  if (!holds(key, signed, proof.document)) return 'The signature is not over this document.'
  return undefined
}

/** The counter of an authenticator's signatures; 0 where it has none, or the signature cannot be read. */
export function sshSignCount({ public_key, signature }: Pick<SshProof, 'public_key' | 'signature'>): number {
  const key = readSshKey(public_key)
  return (key === undefined ? undefined : readSignature(signature, key))?.counter ?? 0
}

/**
 * A line of a `.pub` file of an sk key, comment and newline left out of the answer → how the record names it;
 * undefined for any other key, and for lines of `authorized_keys` with options.
 */
export function readSshPublicKey(
  line: string,
): { readonly public_key: string; readonly key_id: string; readonly kind: 'ssh-sk' } | undefined {
  const [, text = ''] = /^([!-~]{1,64} [!-~]{1,1024})(?:[ \t][^\r\n]{0,1024})?\r?\n?$/.exec(line) ?? []
  const key = readSshKey(text)
  if (key === undefined) return undefined
  return { public_key: text, key_id: fingerprintOf(key.blob), kind: 'ssh-sk' }
}

/** The blob of an armoured signature as a proof has it, base64 on one line (PROTOCOL.sshsig, section 1). */
export function signatureBlob(armour: string): string | undefined {
  if (armour.length > 2 * SIGNATURE_CHARACTERS) return undefined
  const [, lines] =
    /^-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]{1,76}\n)+)-----END SSH SIGNATURE-----\n$/.exec(
      armour.replaceAll('\r\n', '\n'),
    ) ?? []
  const base64 = lines?.replaceAll('\n', '')
  return base64 === undefined || strictBase64(base64, SIGNATURE_CHARACTERS) === undefined ? undefined : base64
}

/** PROTOCOL.sshsig, section 2, around the signature of PROTOCOL.u2f, "SSH U2F signatures". */
function readSignature(base64: string, key: SshKey): SkSignature | undefined {
  const blob = strictBase64(base64, SIGNATURE_CHARACTERS)
  if (blob === undefined) return undefined
  const outer = wireReader(blob)
  if (!outer.bytes(MAGIC.length)?.equals(MAGIC) || outer.uint32() !== VERSION) return undefined
  const publicKey = outer.string()
  const namespace = outer.text()
  const reserved = outer.string()
  const hash = outer.text()
  const inner = wireReader(outer.string() ?? Buffer.alloc(0))
  const type = inner.text()
  const signature = rawSignature(key, inner.string())
  const flags = inner.byte()
  const counter = inner.uint32()
  if (!outer.ended() || !inner.ended() || signature === undefined) return undefined
  if (publicKey === undefined || namespace === undefined || reserved === undefined || hash === undefined)
    return undefined
  if (type === undefined || flags === undefined || counter === undefined) return undefined
  return {
    key: publicKey.toString('base64'),
    namespace,
    reserved: reserved.length,
    hash,
    type,
    signature,
    flags,
    counter,
  }
}

/** Ed25519 as it is (RFC 8709, section 6); ECDSA as r ‖ s, from two mpints (RFC 5656, section 3.1.2). */
function rawSignature({ type }: SshKey, encoded: Buffer | undefined): Buffer | undefined {
  if (encoded === undefined) return undefined
  if (type === 'sk-ssh-ed25519@openssh.com') return encoded.length === 64 ? encoded : undefined
  const reader = wireReader(encoded)
  const [r, s] = [reader.scalar(), reader.scalar()]
  return r === undefined || s === undefined || !reader.ended() ? undefined : Buffer.concat([r, s])
}

function holds({ type, application, key }: SshKey, signed: SkSignature, document: string): boolean {
  const message = Buffer.concat([
    MAGIC,
    wireString(SSH_NAMESPACE),
    wireString(''),
    wireString(HASH),
    wireString(createHash(HASH).update(document, 'utf8').digest()),
  ])
  const counter = Buffer.alloc(4)
  counter.writeUInt32BE(signed.counter)
  const data = Buffer.concat([sha256(application), Uint8Array.of(signed.flags), counter, sha256(message)])
  try {
    return type === 'sk-ssh-ed25519@openssh.com'
      ? verify(null, data, key, signed.signature)
      : verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signed.signature)
  } catch {
    return false
  }
}

const sha256 = (data: string | Uint8Array): Buffer => createHash('sha256').update(data).digest()
