import type { Checkpoint } from '../merkle/checkpoint.js'
import { CompactRange, type OnNode } from '../merkle/compact.js'
import { ProofError } from '../merkle/error.js'
import { HASH_BYTES, leafHash } from '../merkle/hash.js'
import { type LogEntry, readEntry } from './entry.js'

/** Called for each entry once it is checked; may throw `ProofError` about what is in it. */
export type OnEntry = (entry: LogEntry) => void

/** Goes through a log from its first entry on, and knows up to where signed checkpoints agreed. */
export class Walk {
  readonly #range = new CompactRange()
  readonly #onEntry: OnEntry | undefined
  #lastAt = ''
  #agreed = 0

  constructor(onEntry?: OnEntry) {
    this.#onEntry = onEntry
  }

  /** Entries so far; the position of the next one. */
  get size(): number {
    return this.#range.size
  }

  /** `published` holds the hash that the leaf must have, at position `at`. */
  next(body: Buffer, published?: { hashes: Buffer; at: number }, onNode?: OnNode): LogEntry {
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
    this.#onEntry?.(entry)
    return entry
  }

  /** Compares a checkpoint of the present size. */
  agree({ size, root }: Checkpoint, path: string): void {
    if (size !== this.#range.size || !this.#range.root().equals(root)) {
      throw new ProofError(
        'checkpoint_mismatch',
        `The entries do not lead to the root of ${path}: one of ${this.#agreed} to ${size - 1} was changed.`,
        { index: this.#agreed, path },
      )
    }
    this.#agreed = size
  }
}
