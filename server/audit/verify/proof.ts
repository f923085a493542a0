import { openCheckpoint } from '../merkle/checkpoint.js'
import { ProofError } from '../merkle/error.js'
import { leafHash } from '../merkle/hash.js'
import type { VerifierKey } from '../merkle/keys.js'
import { verifyInclusion } from '../merkle/proof.js'
import { parseProof } from '../merkle/tlog-proof.js'
import { type LogEntry, readEntry } from './entry.js'

export interface VerifiedProof {
  readonly origin: string
  readonly size: number
  readonly root: Buffer
  readonly index: number
  /** The exact bytes that were hashed. */
  readonly body: Buffer
  readonly entry: LogEntry
}

/**
 * Checks one self-contained proof document with public keys alone. Throws `ProofError`: from the document, its
 * checkpoint, its path, or its entry.
 */
export function verifyProof(
  document: Uint8Array,
  keys: readonly VerifierKey[],
  options: { readonly origin?: string | undefined } = {},
): VerifiedProof {
  const { extra: body, index, path, checkpoint: note } = parseProof(document)
  if (body === undefined) throw new ProofError('proof_malformed', 'The proof document carries no entry.')
  const { origin, size, root } = openCheckpoint(note, keys, options.origin)
  verifyInclusion(leafHash(body), index, size, path, root)
  return { origin, size, root, index, body, entry: readEntry(body, index) }
}
