import { isUtf8 } from 'node:buffer'
import { verify } from 'node:crypto'
import { ProofError } from './error.js'
import { parseBase64 } from './hash.js'
import { isKeyName, isWellFormed, type NoteSigner, type VerifierKey } from './keys.js'

/** C2SP signed-note asks for at least 16 signatures of up to 5 kB; these are the limits of Go's `note`. */
const MAX_NOTE_BYTES = 1_000_000
const MAX_SIGNATURES = 100

export interface OpenedNote {
  /** With its final newline. */
  readonly text: string
  /** The known keys that signed it; at least one. */
  readonly signedBy: readonly VerifierKey[]
}

/** A signed note (C2SP signed-note) over text that ends in a newline. Throws `note_malformed`. */
export function signNote(text: string, signers: readonly NoteSigner[]): Buffer {
  if (signers.length === 0 || !text.endsWith('\n') || hasControls(text) || !isWellFormed(text)) {
    throw malformed('A note is signed text without control characters that ends in a newline.')
  }
  const data = Buffer.from(text)
  const lines = signers.map((signer) => {
    const signature = Buffer.concat([Buffer.from(signer.id, 'hex'), signer.sign(data)])
    return `— ${signer.name} ${signature.toString('base64')}\n`
  })
  return Buffer.from(`${text}\n${lines.join('')}`)
}

/**
 * Checks every signature by a known key, and that there is one; ignores those by unknown keys, so that
 * witnesses and the next key can sign too. Throws `note_too_large`, `note_malformed`, `key_unknown`,
 * `key_malformed` (the same key twice among `keys`), `signature_invalid`, `signature_repeated`.
 */
export function openNote(note: Uint8Array, keys: readonly VerifierKey[]): OpenedNote {
  const known = new Map(keys.map((key) => [`${key.name} ${key.id}`, key]))
  if (known.size !== keys.length) throw new ProofError('key_malformed', 'Two keys share their name and id.')
  const { text, signatures } = parseNote(note)
  const data = Buffer.from(text)
  const signedBy = new Set<VerifierKey>()
  for (const { name, id, signature } of signatures) {
    const key = known.get(`${name} ${id}`)
    if (key === undefined) continue
    if (signedBy.has(key)) throw new ProofError('signature_repeated', `${name} signed twice.`)
    if (!verify(null, data, key.publicKey, signature)) {
      throw new ProofError('signature_invalid', `The signature of ${name} does not verify.`)
    }
    signedBy.add(key)
  }
  if (signedBy.size === 0) throw new ProofError('key_unknown', 'No signature is by a known key.')
  return { text, signedBy: [...signedBy] }
}

interface NoteSignature {
  readonly name: string
  readonly id: string
  readonly signature: Buffer
}

function parseNote(note: Uint8Array): { text: string; signatures: readonly NoteSignature[] } {
  if (note.length > MAX_NOTE_BYTES) {
    throw new ProofError('note_too_large', `A note has ${note.length} bytes.`)
  }
  if (!isUtf8(note)) throw malformed('A note is not UTF-8.')
  const all = Buffer.from(note).toString('utf8')
  if (hasControls(all)) throw malformed('A note has control characters.')
  // The last empty line: the text may have empty lines of its own.
  const end = all.lastIndexOf('\n\n')
  const lines = all.slice(end + 2).split('\n')
  if (end < 0 || lines.pop() !== '' || lines.length === 0) {
    throw malformed('A note is text, an empty line and signatures, each ended by a newline.')
  }
  if (lines.length > MAX_SIGNATURES) {
    throw new ProofError('note_too_large', `A note has ${lines.length} signatures.`)
  }
  return { text: all.slice(0, end + 1), signatures: lines.map(parseSignature) }
}

function parseSignature(line: string): NoteSignature {
  const [dash, name = '', base64 = '', ...rest] = line.split(' ')
  const bytes = parseBase64(base64)
  if (dash !== '—' || !isKeyName(name) || rest.length > 0 || bytes === undefined || bytes.length < 5) {
    throw malformed('A signature line is not of the form — name base64.')
  }
  return { name, id: bytes.toString('hex', 0, 4), signature: bytes.subarray(4) }
}

/** Below U+0020, other than newline. */
const hasControls = (text: string): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  /[\u0000-\u0009\u000b-\u001f]/.test(text)

const malformed = (detail: string): ProofError => new ProofError('note_malformed', detail)
