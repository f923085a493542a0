import { ProofError } from './error.js'
import { checkHash, checkSize, HASH_BYTES, parseBase64, parseDecimal } from './hash.js'
import type { NoteSigner, VerifierKey } from './keys.js'
import { openNote, signNote } from './note.js'

/** The head of a log at one size. */
export interface Checkpoint {
  /** Names the log: everything signed under one origin is one history. */
  readonly origin: string
  readonly size: number
  readonly root: Buffer
  /** Opaque lines after the root; not empty ones. */
  readonly extensions: readonly string[]
}

/** The text of a checkpoint, C2SP tlog-checkpoint. Throws `checkpoint_malformed`, `size_range`, `hash_length`. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  checkSize(size)
  checkHash(root)
  if ([origin, ...extensions].some((line) => line === '' || line.includes('\n'))) {
    throw malformed('The origin and extensions are lines that are not empty.')
  }
  return `${[origin, size, root.toString('base64'), ...extensions].join('\n')}\n`
}

/** Throws `checkpoint_malformed`. */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin = '', sizeText = '', rootText = '', ...extensions] = text.split('\n')
  // What stands behind the final newline.
  const ending = extensions.pop()
  const size = parseDecimal(sizeText)
  const root = parseBase64(rootText)
  if (origin === '' || ending !== '' || extensions.includes('')) {
    throw malformed('A checkpoint has at least three lines, none of them empty.')
  }
  if (size === undefined) throw malformed('The size of a checkpoint is not a decimal number up to 2^48.')
  if (root?.length !== HASH_BYTES) throw malformed('The root of a checkpoint is not base64 of 32 bytes.')
  return { origin, size, root, extensions }
}

/** A signed checkpoint. One of the signers has to be named like the origin: see `openCheckpoint`. */
export function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): Buffer {
  if (signers.every((signer) => signer.name !== checkpoint.origin)) throw foreign(checkpoint.origin)
  return signNote(formatCheckpoint(checkpoint), signers)
}

/**
 * The checkpoint of a note that a known key signed which is named like the origin: of two logs that somebody
 * trusts, neither may speak for the other. Throws `origin_mismatch` also when `origin` is given and another;
 * else as `openNote` and `parseCheckpoint`.
 */
export function openCheckpoint(
  note: Uint8Array,
  keys: readonly VerifierKey[],
  origin?: string | undefined,
): Checkpoint {
  const { text, signedBy } = openNote(note, keys)
  const checkpoint = parseCheckpoint(text)
  if (signedBy.every((key) => key.name !== checkpoint.origin)) throw foreign(checkpoint.origin)
  if (origin !== undefined && origin !== checkpoint.origin) {
    throw new ProofError('origin_mismatch', `The checkpoint is of ${checkpoint.origin}, not of ${origin}.`)
  }
  return checkpoint
}

const malformed = (detail: string): ProofError => new ProofError('checkpoint_malformed', detail)

const foreign = (origin: string): ProofError =>
  new ProofError('origin_mismatch', `The checkpoint of ${origin} is not signed by a key of that name.`)
