import type { Checkpoint } from '../merkle/checkpoint.js'
import { CompactRange, type OnNode } from '../merkle/compact.js'
import { ProofError } from '../merkle/error.js'
import { HASH_BYTES, leafHash } from '../merkle/hash.js'
import { verifyConsistency } from '../merkle/proof.js'
import { type LogEntry, readEntry } from './entry.js'

/**
 * Called for each entry once it is checked, with its leaf hash and, where it lies beside, the personal part; may throw
 * `ProofError` about what is in it.
 */
export type OnEntry = (entry: LogEntry, leaf: Buffer, personal: string | undefined) => void

/** The personal part beside an entry: its text, and the hash that the body must name. */
export interface Beside {
  readonly text: string
  readonly hash: string
}

/**
 * Goes through a log from its first entry on, or from the subtrees of those before on, and knows up to where signed
 * checkpoints agreed. Wrong subtrees lead to no signed root.
 */
export class Walk {
  readonly #range: CompactRange
  readonly #onEntry: OnEntry | undefined
  #lastAt = ''
  #agreed: number

  constructor(onEntry?: OnEntry, before = new CompactRange()) {
    this.#onEntry = onEntry
    this.#range = before.copy()
    this.#agreed = before.size
  }

  /** Entries so far; the position of the next one. */
  get size(): number {
    return this.#range.size
  }

  /** `published` holds the hash that the leaf must have, at position `at`. */
  next(
    body: Buffer,
    published?: { hashes: Buffer; at: number },
    onNode?: OnNode,
    beside?: Beside | undefined,
  ): LogEntry {
    const index = this.#range.size
    const leaf = leafHash(body)
    if (published !== undefined) {
      const from = published.at * HASH_BYTES
      if (leaf.compare(published.hashes, from, from + HASH_BYTES) !== 0) {
        throw new ProofError('entry_mismatch', `Entry ${index} is not what was published.`, { index })
      }
    }
    const entry = readEntry(body, index, this.#lastAt)
    this.#lastAt = entry.at
    this.#range.append(leaf, onNode)
    // Before anybody looks into it.
    if (beside !== undefined && beside.hash !== entry.personal) {
      const detail = `What lies beside entry ${index} is not what was recorded.`
      throw new ProofError('personal_mismatch', detail, { index })
    }
    this.#onEntry?.(entry, leaf, beside?.text)
    return entry
  }

  /** Compares a checkpoint of the present size. */
  agree({ size, root }: Checkpoint, path: string): void {
    if (size !== this.#range.size || !this.#range.root().equals(root)) throw this.#disagrees(size, path)
    this.#agreed = size
  }

  /** Compares a checkpoint of more entries, by the proof that it continues these. */
  leadsTo({ size, root }: Checkpoint, proof: readonly Buffer[], path: string): void {
    try {
      verifyConsistency(this.#range.size, size, proof, this.#range.root(), root)
    } catch (error) {
      if (error instanceof ProofError && error.code === 'root_mismatch')
        throw this.#disagrees(this.#range.size, path)
      throw error
    }
    this.#agreed = this.#range.size
  }

  #disagrees(size: number, path: string): ProofError {
    return new ProofError(
      'checkpoint_mismatch',
      `The entries do not lead to the root of ${path}: one of ${this.#agreed} to ${size - 1} was changed.`,
      { index: this.#agreed, path },
    )
  }
}
