/**
 * Checks a log's proofs with WebCrypto alone: C2SP tlog-proof, signed-note and tlog-checkpoint, RFC 9162 section 2.1.
 * Nothing in here knows a page, so that it runs wherever there is a `crypto.subtle`.
 */

/** What was handed over proves nothing, or something else than it should. Its message is for humans. */
export class ProofFailure extends Error {
  override readonly name = 'ProofFailure'
}

type Bytes = Uint8Array<ArrayBuffer>

export interface LogProof {
  /** The exact bytes that were hashed. */
  readonly body: Bytes
  readonly index: number
  readonly path: readonly Bytes[]
  /** The signed checkpoint, as it was signed. */
  readonly note: string
}

export interface LogKey {
  readonly name: string
  /** Eight hex digits. */
  readonly id: string
  readonly publicKey: Bytes
}

export interface Verified {
  readonly index: number
  readonly origin: string
  readonly size: number
  /** Hex. */
  readonly leaf: string
  /** Hex. */
  readonly root: string
  /** Not every browser knows Ed25519: then the hashes are checked, and nobody's word for the root. */
  readonly signature: 'verified' | 'not checked'
}

const VERSION_LINE = 'c2sp.org/tlog-proof@v1'
const HASH_BYTES = 32
/** As many as a path in a tree of 2^48 leaves has. */
const MAX_PATH = 48

/**
 * That the entry says what `shown` says, when it is given (JSON, in whatever order and spacing); that its leaf leads to
 * the root of the checkpoint; and that the key signed this checkpoint. Throws `ProofFailure`.
 */
export async function verifyEntry(
  document: string,
  key: LogKey,
  asked: { readonly index: number; readonly shown?: string | undefined },
): Promise<Verified> {
  const { body, index, path, note } = parseProof(document)
  if (index !== asked.index) throw new ProofFailure(`The proof is of entry ${index}, not of ${asked.index}.`)
  if (asked.shown !== undefined && !sameJson(asked.shown, new TextDecoder().decode(body)))
    throw new ProofFailure('What this page shows is not what the log has at this place.')
  const checkpoint = parseCheckpoint(note)
  const leaf = await leafHash(body)
  const root = await rootOf(leaf, index, checkpoint.size, path)
  if (!same(root, checkpoint.root))
    throw new ProofFailure('The proof leads to another root than the signed one.')
  return {
    index,
    origin: checkpoint.origin,
    size: checkpoint.size,
    leaf: hex(leaf),
    root: hex(root),
    signature: await checkSignature(checkpoint, key),
  }
}

/** Takes a C2SP tlog-proof apart and believes nothing in it. */
export function parseProof(text: string): LogProof {
  const end = text.indexOf('\n\n')
  const [version, extra, index, ...path] = text.slice(0, Math.max(end, 0)).split('\n')
  const place = index?.startsWith('index ') ? decimal(index.slice(6)) : undefined
  if (
    version !== VERSION_LINE ||
    !extra?.startsWith('extra ') ||
    place === undefined ||
    path.length > MAX_PATH
  )
    throw new ProofFailure('The proof cannot be read.')
  return {
    body: base64(extra.slice(6)),
    index: place,
    path: path.map(hashOf),
    note: text.slice(end + 2),
  }
}

interface Checkpoint {
  readonly origin: string
  readonly size: number
  readonly root: Bytes
  /** What was signed. */
  readonly text: string
  readonly signatures: readonly { readonly name: string; readonly id: string; readonly signature: Bytes }[]
}

/** A signed note whose text is a checkpoint. Its signatures are not checked here. */
function parseCheckpoint(note: string): Checkpoint {
  // The last empty line: the text may have some of its own.
  const end = note.lastIndexOf('\n\n')
  const lines = note.slice(end + 2).split('\n')
  const [origin = '', size = '', root = ''] = note.slice(0, Math.max(end, 0)).split('\n')
  const entries = decimal(size)
  if (end < 0 || lines.pop() !== '' || lines.length === 0 || origin === '' || entries === undefined)
    throw new ProofFailure('The checkpoint cannot be read.')
  const signatures = lines.map((line) => {
    const [dash, name = '', signed = '', ...more] = line.split(' ')
    const bytes = base64(signed)
    if (dash !== '—' || name === '' || more.length > 0 || bytes.length < 5)
      throw new ProofFailure('A signature of the checkpoint cannot be read.')
    return { name, id: hex(bytes.slice(0, 4)), signature: bytes.slice(4) }
  })
  return { origin, size: entries, root: hashOf(root), text: note.slice(0, end + 1), signatures }
}

/** Reads `name+id+base64(0x01 ‖ public key)`, whose id is a hash of the rest (C2SP signed-note). */
export async function parseKey(text: string): Promise<LogKey> {
  const [, name = '', id = '', material = ''] =
    /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? []
  const bytes = base64(material)
  if (name === '' || bytes.length !== 33 || bytes[0] !== 1)
    throw new ProofFailure('The public key of the log cannot be read.')
  const own = hex(await sha256(utf8(`${name}\n`), bytes)).slice(0, 8)
  if (own !== id) throw new ProofFailure('The id of the public key does not fit the key.')
  return { name, id, publicKey: bytes.slice(1) }
}

async function checkSignature(checkpoint: Checkpoint, key: LogKey): Promise<Verified['signature']> {
  // Whoever signs under another name speaks for another log.
  if (checkpoint.origin !== key.name)
    throw new ProofFailure(`The checkpoint is of the log ${checkpoint.origin}, the key of ${key.name}.`)
  const [signed, ...more] = checkpoint.signatures.filter(({ name, id }) => name === key.name && id === key.id)
  if (signed === undefined || more.length > 0)
    throw new ProofFailure('The checkpoint is not signed by the key of this log.')
  let imported: Awaited<ReturnType<typeof crypto.subtle.importKey>>
  try {
    imported = await crypto.subtle.importKey('raw', key.publicKey, { name: 'Ed25519' }, false, ['verify'])
  } catch (error) {
    if (error instanceof Error && error.name === 'NotSupportedError') return 'not checked'
    throw error
  }
  const holds = await crypto.subtle.verify('Ed25519', imported, signed.signature, utf8(checkpoint.text))
  if (!holds) throw new ProofFailure('The signature of the checkpoint does not verify.')
  return 'verified'
}

/** RFC 9162 section 2.1.1. */
const leafHash = (body: Bytes): Promise<Bytes> => sha256(Uint8Array.of(0), body)

/** The root that a path leads to, RFC 9162 section 2.1.3.2. */
async function rootOf(leaf: Bytes, index: number, size: number, path: readonly Bytes[]): Promise<Bytes> {
  if (index >= size) throw new ProofFailure(`Entry ${index} is not in a log of ${size}.`)
  let [fn, sn] = [index, size - 1]
  let node = leaf
  for (const sibling of path) {
    if (sn === 0) throw new ProofFailure('The proof is too long for the size of the log.')
    if (fn % 2 === 1 || fn === sn) {
      node = await sha256(Uint8Array.of(1), sibling, node)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)]
    } else {
      node = await sha256(Uint8Array.of(1), node, sibling)
    }
    ;[fn, sn] = [half(fn), half(sn)]
  }
  if (sn !== 0) throw new ProofFailure('The proof is too short for the size of the log.')
  return node
}

/** Without the 32-bit limit of `>>`. */
const half = (value: number): number => Math.floor(value / 2)

async function sha256(...parts: readonly Bytes[]): Promise<Bytes> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', whole))
}

function hashOf(text: string): Bytes {
  const bytes = base64(text)
  if (bytes.length !== HASH_BYTES) throw new ProofFailure('A hash of the proof does not have 32 bytes.')
  return bytes
}

/** Bytes in their one base64 form. */
function base64(text: string): Bytes {
  try {
    const binary = atob(text)
    if (btoa(binary) === text) return Uint8Array.from(binary, (character) => character.charCodeAt(0))
  } catch {
    // Said below.
  }
  throw new ProofFailure('The proof has something in it that is not base64.')
}

/** A whole number up to 2^48 in its one decimal form. */
function decimal(text: string): number | undefined {
  const value = /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : Number.NaN
  return value <= 2 ** 48 ? value : undefined
}

/** Whether two texts say the same in JSON. */
export function sameJson(a: string, b: string): boolean {
  try {
    return JSON.stringify(sorted(JSON.parse(a))) === JSON.stringify(sorted(JSON.parse(b)))
  } catch {
    return a === b
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([x], [y]) => (x < y ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)])
}

const utf8 = (text: string): Bytes => new Uint8Array(new TextEncoder().encode(text))

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, n) => byte === b[n])
