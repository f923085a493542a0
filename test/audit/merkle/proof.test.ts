import fc from 'fast-check'
import t from 'tap'
import { MAX_SIZE } from '../../../server/audit/merkle/hash.js'
import {
  consistencyProof,
  inclusionProof,
  verifyConsistency,
  verifyInclusion,
} from '../../../server/audit/merkle/proof.js'
import {
  leafOf,
  pathOf,
  readFrom,
  refusal,
  refusalOf,
  rootByPath,
  rootsBySubproof,
  subproofOf,
  treeHash,
} from './support.js'

const LEAVES = Array.from({ length: 300 }, (_, i) => leafOf(Buffer.from(`leaf ${i}`)))
const OTHER = leafOf(Buffer.from('other'))
const tree = (size: number): readonly Buffer[] => LEAVES.slice(0, size)
const leafAt = (index: number): Buffer => LEAVES[index] ?? OTHER
const ROOTS = Array.from({ length: 301 }, (_, size) => treeHash(tree(size)))
const rootAt = (size: number): Buffer => ROOTS[size] ?? OTHER

const passes = (call: () => void): boolean => refusal(call) === 'passed'

t.test('every proof of small trees is the one RFC 9162 defines, and verifies', async (t) => {
  for (let size = 1; size <= 34; size++) {
    const read = readFrom(tree(size))
    for (let other = 1; other <= size; other++) {
      const path = await inclusionProof(other - 1, size, read)
      const ok = path.length === pathOf(other - 1, tree(size)).length
      if (!ok || !Buffer.concat(path).equals(Buffer.concat(pathOf(other - 1, tree(size))))) {
        t.fail(`inclusion ${other - 1} in ${size}`)
      }
      verifyInclusion(leafAt(other - 1), other - 1, size, path, rootAt(size))
      const steps = await consistencyProof(other, size, read)
      if (!Buffer.concat(steps).equals(Buffer.concat(subproofOf(other, tree(size))))) {
        t.fail(`consistency ${other} to ${size}`)
      }
      verifyConsistency(other, size, steps, rootAt(other), rootAt(size))
    }
  }
  t.pass()
})

const pair = fc
  .tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)

t.test('and those of larger trees', async (t) => {
  await fc.assert(
    fc.asyncProperty(pair, async ([from, size]) => {
      const read = readFrom(tree(size))
      const path = await inclusionProof(from - 1, size, read)
      t.strictSame(path, pathOf(from - 1, tree(size)))
      verifyInclusion(leafAt(from - 1), from - 1, size, path, rootAt(size))
      const steps = await consistencyProof(from, size, read)
      t.strictSame(steps, subproofOf(from, tree(size)))
      verifyConsistency(from, size, steps, rootAt(from), rootAt(size))
    }),
    { numRuns: 40 },
  )
})

/** A path with one bit turned, one hash dropped, doubled, added or two swapped. */
function mutants(path: readonly Buffer[]): Buffer[][] {
  const all: Buffer[][] = [
    [...path, OTHER],
    [OTHER, ...path],
  ]
  path.forEach((hash, i) => {
    for (const at of [0, 13, 31]) {
      const turned = Buffer.from(hash)
      turned[at] = (turned[at] ?? 0) ^ 0x10
      all.push(path.with(i, turned))
    }
    all.push(path.toSpliced(i, 1), path.toSpliced(i, 0, hash), path.with(i, hash.subarray(1)))
    const next = path[i + 1]
    if (next !== undefined) all.push(path.with(i, next).with(i + 1, hash))
  })
  return all
}

t.test('no changed proof passes', async () => {
  await fc.assert(
    fc.asyncProperty(pair, async ([from, size]) => {
      const [path, steps, root] = [pathOf(from - 1, tree(size)), subproofOf(from, tree(size)), rootAt(size)]
      const leaf = leafAt(from - 1)
      const inclusion = (index: number, n: number, of: readonly Buffer[], to = root, body = leaf) =>
        passes(() => verifyInclusion(body, index, n, of, to))
      if (!inclusion(from - 1, size, path)) return false
      if (mutants(path).some((mutant) => inclusion(from - 1, size, mutant))) return false
      if (inclusion(from - 1, size, path, OTHER) || inclusion(from - 1, size, path, root, OTHER)) return false
      for (let index = 0; index < size; index++) {
        if (index !== from - 1 && inclusion(index, size, path)) return false
      }
      const consistency = (of: readonly Buffer[], old = rootAt(from), to = root) =>
        passes(() => verifyConsistency(from, size, of, old, to))
      if (!consistency(steps)) return false
      if (mutants(steps).some((mutant) => consistency(mutant))) return false
      return !consistency(steps, OTHER) && !consistency(steps, rootAt(from), OTHER)
    }),
    { numRuns: 40 },
  )
})

const hashes = fc.array(fc.constantFrom(...LEAVES.slice(0, 3), OTHER), { maxLength: 9 })

t.test('for any sizes and any path the verdict is that of the recursive definition', async (t) => {
  const sizes = fc.tuple(
    pair,
    fc.integer({ min: 1, max: 310 }),
    fc.integer({ min: 1, max: 310 }),
    fc.boolean(),
  )
  let agreed = 0
  fc.assert(
    fc.property(sizes, hashes, ([[from, size], a, b, real], random) => {
      const [m, n] = [Math.min(a, b), Math.max(a, b)]
      const path = real ? pathOf(from - 1, tree(size)) : random
      const leaf = leafAt(from - 1)
      const by = rootByPath(leaf, m - 1, n, path)
      if (passes(() => verifyInclusion(leaf, m - 1, n, path, by ?? rootAt(size))) !== (by !== undefined)) {
        return false
      }
      const steps = real ? subproofOf(from, tree(size)) : random
      const roots = rootsBySubproof(m, n, steps, rootAt(from))
      const [old, now] = roots ?? [rootAt(from), rootAt(size)]
      if (roots !== undefined) agreed++
      // An empty path between equal sizes leads wherever it began.
      return passes(() => verifyConsistency(m, n, steps, old, now)) === (roots !== undefined)
    }),
    { numRuns: 3_000 },
  )
  t.ok(agreed > 50, `${agreed} paths fitted`)
})

const ODD = [-1, 0, 0.5, Number.NaN, Number.POSITIVE_INFINITY, MAX_SIZE + 1, 2 ** 53, 2 ** 64, -(2 ** 32)]

t.test('odd sizes and indexes are refused by both sides', async (t) => {
  const [path, steps] = [pathOf(2, tree(7)), subproofOf(3, tree(7))]
  const read = readFrom(tree(7))
  for (const odd of ODD) {
    t.equal(
      refusal(() => verifyInclusion(leafAt(2), 2, odd, path, rootAt(7))),
      'size_range',
      `size ${odd}`,
    )
    t.equal(
      refusal(() => verifyConsistency(odd, 7, steps, rootAt(3), rootAt(7))),
      'size_range',
      `from ${odd}`,
    )
    t.equal(
      refusal(() => verifyConsistency(3, odd, steps, rootAt(3), rootAt(7))),
      'size_range',
      `to ${odd}`,
    )
    t.equal((await refusalOf(() => inclusionProof(0, odd, read))).code, 'size_range')
    t.equal((await refusalOf(() => consistencyProof(odd, 7, read))).code, 'size_range')
    t.equal((await refusalOf(() => consistencyProof(3, odd, read))).code, 'size_range')
    if (odd === 0) continue
    t.equal(
      refusal(() => verifyInclusion(leafAt(2), odd, 7, path, rootAt(7))),
      'index_range',
      `index ${odd}`,
    )
    t.equal((await refusalOf(() => inclusionProof(odd, 7, read))).code, 'index_range')
  }
  t.equal(
    refusal(() => verifyInclusion(leafAt(2), 7, 7, path, rootAt(7))),
    'index_range',
  )
  t.equal(
    refusal(() => verifyConsistency(8, 7, steps, rootAt(8), rootAt(7))),
    'size_range',
  )
  t.equal((await refusalOf(() => consistencyProof(8, 7, read))).code, 'size_range')
})

t.test('the empty tree proves nothing', async (t) => {
  t.equal(
    refusal(() => verifyConsistency(0, 0, [], rootAt(0), rootAt(0))),
    'size_range',
  )
  t.equal(
    refusal(() => verifyConsistency(0, 7, [], rootAt(0), rootAt(7))),
    'size_range',
  )
  t.equal(
    refusal(() => verifyInclusion(rootAt(0), 0, 0, [], rootAt(0))),
    'size_range',
  )
})

t.test('equal sizes need equal roots and no path', async (t) => {
  t.equal(
    refusal(() => verifyConsistency(7, 7, [], rootAt(7), rootAt(7))),
    'passed',
  )
  t.equal(
    refusal(() => verifyConsistency(7, 7, [], rootAt(7), OTHER)),
    'root_mismatch',
  )
  t.equal(
    refusal(() => verifyConsistency(7, 7, [rootAt(7)], rootAt(7), rootAt(7))),
    'proof_length',
  )
  t.same(await consistencyProof(7, 7, readFrom(tree(7))), [])
})

t.test('hashes of other lengths are refused', async (t) => {
  for (const length of [0, 31, 33, 64]) {
    const odd = Buffer.alloc(length)
    t.equal(
      refusal(() => verifyInclusion(odd, 0, 1, [], rootAt(1))),
      'hash_length',
    )
    t.equal(
      refusal(() => verifyInclusion(leafAt(0), 0, 1, [], odd)),
      'hash_length',
    )
    t.equal(
      refusal(() => verifyInclusion(leafAt(0), 0, 2, [odd], rootAt(2))),
      'hash_length',
    )
    t.equal(
      refusal(() => verifyConsistency(1, 2, [odd], rootAt(1), rootAt(2))),
      'hash_length',
    )
    t.equal(
      refusal(() => verifyConsistency(1, 1, [], odd, odd)),
      'hash_length',
    )
    t.equal((await refusalOf(() => inclusionProof(0, 2, async () => odd))).code, 'hash_length')
  }
})

t.test('proofs reach to 2^48 entries', async (t) => {
  // A tree of equal leaves: each complete subtree is known from its level alone.
  const levels = [leafAt(0)]
  for (let i = 0; i < 48; i++) levels.push(treeHash([levels[i] ?? OTHER, levels[i] ?? OTHER]))
  const read = async (level: number): Promise<Buffer> => levels[level] ?? OTHER
  const top = levels[48] ?? OTHER
  for (const index of [0, 2 ** 31, 2 ** 32, 2 ** 32 + 1, MAX_SIZE - 1]) {
    const path = await inclusionProof(index, MAX_SIZE, read)
    t.equal(path.length, 48)
    t.equal(
      refusal(() => verifyInclusion(leafAt(0), index, MAX_SIZE, path, top)),
      'passed',
    )
  }
  for (const from of [2 ** 32, 2 ** 47]) {
    const steps = await consistencyProof(from, MAX_SIZE, read)
    const old = levels[Math.log2(from)] ?? OTHER
    t.equal(
      refusal(() => verifyConsistency(from, MAX_SIZE, steps, old, top)),
      'passed',
    )
    t.equal(
      refusal(() => verifyConsistency(from + 1, MAX_SIZE, steps, old, top)),
      'proof_length',
    )
  }
})
