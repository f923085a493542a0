import { ProofError } from './error.js'
import { checkHash, checkSize, foldPeaks, half, nodeHash, parseBase64 } from './hash.js'

/** What a `CompactRange` needs to go on: JSON, at most 49 hashes. */
export interface CompactState {
  readonly size: number
  /** Base64, one for each bit of `size`, highest first. */
  readonly peaks: readonly string[]
}

/** Told of each subtree of 2^level leaves that became complete, the index-th of its level. */
export type OnNode = (level: number, index: number, hash: Buffer) => void

/**
 * A tree that only grows, kept as its largest complete subtrees: appends in amortised constant time, and
 * gives the root at any moment.
 */
export class CompactRange {
  #size = 0
  #peaks: Buffer[] = []

  get size(): number {
    return this.#size
  }

  /** The complete subtrees, largest and leftmost first. */
  get peaks(): readonly Buffer[] {
    return this.#peaks
  }

  append(leaf: Buffer, onNode?: OnNode): void {
    checkHash(leaf)
    checkSize(this.#size + 1)
    let node = leaf
    let index = this.#size
    onNode?.(0, index, node)
    for (let level = 1; index % 2 === 1; level++) {
      const left = this.#peaks.pop()
      if (left === undefined) throw new ProofError('size_range', 'A compact range lacks a subtree.')
      node = nodeHash(left, node)
      index = half(index)
      onNode?.(level, index, node)
    }
    this.#peaks.push(node)
    this.#size++
  }

  root(): Buffer {
    return foldPeaks(this.#peaks)
  }

  copy(): CompactRange {
    const other = new CompactRange()
    other.#size = this.#size
    other.#peaks = [...this.#peaks]
    return other
  }

  save(): CompactState {
    return { size: this.#size, peaks: this.#peaks.map((peak) => peak.toString('base64')) }
  }

  /** Throws `size_range`, `hash_length` or `proof_length` for a state that `save` did not make. */
  static restore(state: CompactState): CompactRange {
    checkSize(state.size)
    const peaks = state.peaks.map((text) => parseBase64(text) ?? Buffer.alloc(0))
    for (const peak of peaks) checkHash(peak)
    if (peaks.length !== countBits(state.size)) {
      throw new ProofError('proof_length', `A range of ${state.size} does not have ${peaks.length} subtrees.`)
    }
    const range = new CompactRange()
    range.#size = state.size
    range.#peaks = peaks
    return range
  }
}

/** How many complete subtrees a tree of `size` leaves has. */
export function countBits(size: number): number {
  let count = 0
  for (let rest = size; rest > 0; rest = half(rest)) count += rest % 2
  return count
}
