import { openCheckpoint } from '../merkle/checkpoint.js'
import { ProofError } from '../merkle/error.js'
import { leafHash } from '../merkle/hash.js'
import type { VerifierKey } from '../merkle/keys.js'
import { verifyInclusion } from '../merkle/proof.js'
import { parseProof } from '../merkle/tlog-proof.js'
import { proofProblem, readProof } from '../proofs/proof.js'
import { isSigned } from './decisions.js'
import { type LogEntry, readEntry } from './entry.js'

export interface VerifiedProof {
  readonly origin: string
  readonly size: number
  readonly root: Buffer
  readonly index: number
  /** The exact bytes that were hashed. */
  readonly body: Buffer
  readonly entry: LogEntry
  /** Id of the key that signed what the entry says, where somebody did. Whose key that is, only a whole log says. */
  readonly signed_with?: string
}

/**
 * Checks one self-contained proof document with public keys alone. Throws `ProofError`: from the document, its
 * checkpoint, its path, its entry, or a signature in that.
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
  const entry = readEntry(body, index)
  return { origin, size, root, index, body, entry, ...signature(entry) }
}

function signature(entry: LogEntry): { readonly signed_with?: string } {
  if (!isSigned(entry)) return {}
  const { index, kind, proof } = entry
  const problem = proofProblem(proof)
  if (problem === undefined) return { signed_with: readProof(proof)?.key_id ?? '' }
  throw new ProofError('authority_missing', `Entry ${index}, ${kind}, is not proven: ${problem}`, { index })
}
