import { ProofError } from './error.js'
import { checkHash, checkIndex, checkSize, foldPeaks, half, nodeHash } from './hash.js'

/** Reads the hash of the complete subtree of 2^level leaves, the index-th of its level from the left. */
export type ReadHash = (level: number, index: number) => Promise<Buffer>

/** The hashes from the leaf's sibling up to the root's child. RFC 9162 section 2.1.3.1. */
export async function inclusionProof(index: number, size: number, read: ReadHash): Promise<Buffer[]> {
  checkSize(size, 1)
  checkIndex(index, size)
  const path: Buffer[] = []
  let [begin, end] = [0, size]
  while (end - begin > 1) {
    const middle = begin + split(end - begin)
    if (index < middle) {
      path.push(await subtree(middle, end, read))
      end = middle
    } else {
      path.push(await subtree(begin, middle, read))
      begin = middle
    }
  }
  return path.reverse()
}

/**
 * Shows that the tree of `size` begins with the tree of `from`: RFC 9162 section 2.1.4.1, and nothing at all
 * between equal sizes. From size 0 there is no proof: every tree begins with the empty one.
 */
export async function consistencyProof(from: number, size: number, read: ReadHash): Promise<Buffer[]> {
  checkSize(size, 1)
  checkSize(from, 1)
  if (from > size) throw new ProofError('size_range', `The tree of ${from} is not part of one of ${size}.`)
  const path: Buffer[] = []
  let [begin, end] = [0, size]
  while (from !== end) {
    const middle = begin + split(end - begin)
    if (from <= middle) {
      path.push(await subtree(middle, end, read))
      end = middle
    } else {
      path.push(await subtree(begin, middle, read))
      begin = middle
    }
  }
  // Who holds the old root can leave out the one subtree that is all of the old tree.
  if (begin > 0) path.push(await subtree(begin, end, read))
  return path.reverse()
}

/**
 * RFC 9162 section 2.1.3.2. Returns or throws `ProofError`. The size is as good as where it is from: some
 * sizes share the shape of a path, and only a signed checkpoint binds one to its root.
 */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): void {
  checkSize(size, 1)
  checkIndex(index, size)
  for (const hash of [leaf, root, ...path]) checkHash(hash)
  let [fn, sn] = [index, size - 1]
  let node = leaf
  for (const sibling of path) {
    if (sn === 0) throw tooLong(path)
    if (fn % 2 === 1 || fn === sn) {
      node = nodeHash(sibling, node)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)]
    } else {
      node = nodeHash(node, sibling)
    }
    ;[fn, sn] = [half(fn), half(sn)]
  }
  if (sn !== 0) throw tooShort(path)
  checkRoot(node, root)
}

/** RFC 9162 section 2.1.4.2, and equal roots with an empty proof between equal sizes. Returns or throws `ProofError`. */
export function verifyConsistency(
  from: number,
  size: number,
  path: readonly Uint8Array[],
  fromRoot: Uint8Array,
  root: Uint8Array,
): void {
  // A "consistent" empty tree would let anybody pass off any log as the continuation of another.
  checkSize(from, 1)
  checkSize(size, 1)
  if (from > size) throw new ProofError('size_range', `The tree of ${from} is not part of one of ${size}.`)
  for (const hash of [fromRoot, root, ...path]) checkHash(hash)
  if (from === size) {
    if (path.length > 0) throw tooLong(path)
    checkRoot(fromRoot, root)
    return
  }
  let [fn, sn] = [from - 1, size - 1]
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)]
  // Now fn is 0 exactly when `from` is a power of two: the old root is then itself a subtree of the new tree.
  const [first, ...rest] = fn === 0 ? [fromRoot, ...path] : path
  if (first === undefined) throw tooShort(path)
  let [older, newer] = [first, first]
  for (const hash of rest) {
    if (sn === 0) throw tooLong(path)
    if (fn % 2 === 1 || fn === sn) {
      older = nodeHash(hash, older)
      newer = nodeHash(hash, newer)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)]
    } else {
      newer = nodeHash(newer, hash)
    }
    ;[fn, sn] = [half(fn), half(sn)]
  }
  if (sn !== 0) throw tooShort(path)
  checkRoot(older, fromRoot)
  checkRoot(newer, root)
}

/** The largest power of two below `size`. */
function split(size: number): number {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}

/** The hash over the leaves `begin` to `end`, exclusive, as they stand together in some tree. */
async function subtree(begin: number, end: number, read: ReadHash): Promise<Buffer> {
  const peaks: Buffer[] = []
  for (let at = begin; at < end; ) {
    let [level, width] = [0, 1]
    while (width * 2 <= end - at) [level, width] = [level + 1, width * 2]
    const hash = await read(level, at / width)
    checkHash(hash)
    peaks.push(hash)
    at += width
  }
  return foldPeaks(peaks)
}

function checkRoot(computed: Uint8Array, claimed: Uint8Array): void {
  if (Buffer.compare(computed, claimed) !== 0) {
    throw new ProofError('root_mismatch', 'The proof leads to another root.')
  }
}

const tooLong = (path: readonly unknown[]): ProofError =>
  new ProofError('proof_length', `A proof of ${path.length} hashes is too long for its sizes.`)

const tooShort = (path: readonly unknown[]): ProofError =>
  new ProofError('proof_length', `A proof of ${path.length} hashes is too short for its sizes.`)
