import fc from 'fast-check'
import t from 'tap'
import { CompactRange } from '../../../server/audit/merkle/compact.js'
import { emptyRoot, leafHash, MAX_SIZE, nodeHash } from '../../../server/audit/merkle/hash.js'
import { leafOf, refusal, treeHash } from './support.js'

// The tree that Certificate Transparency's implementations test with.
const BODIES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
]
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

t.test('the published roots come out', async (t) => {
  const range = new CompactRange()
  t.equal(range.root().toString('hex'), ROOTS[0])
  t.equal(emptyRoot().toString('hex'), ROOTS[0])
  for (const [i, hex] of BODIES.entries()) {
    range.append(leafHash(Buffer.from(hex, 'hex')))
    t.equal(range.root().toString('hex'), ROOTS[i + 1], `size ${i + 1}`)
  }
})

t.test('a range equals the recursive definition at every size, also when saved in between', async (t) => {
  const leaves = Array.from({ length: 300 }, (_, i) => leafOf(Buffer.from(`${i}`)))
  const range = new CompactRange()
  for (const [i, leaf] of leaves.entries()) {
    range.append(leaf)
    if (!range.root().equals(treeHash(leaves.slice(0, i + 1)))) t.fail(`root at ${i + 1}`)
  }
  fc.assert(
    fc.property(fc.nat(299), fc.nat(299), (a, b) => {
      const [from, size] = [Math.min(a, b), Math.max(a, b)]
      const first = new CompactRange()
      for (const leaf of leaves.slice(0, from)) first.append(leaf)
      const second = CompactRange.restore(JSON.parse(JSON.stringify(first.save())))
      for (const leaf of leaves.slice(from, size)) second.append(leaf)
      return second.root().equals(treeHash(leaves.slice(0, size))) && first.size === from
    }),
  )
})

t.test('every complete subtree is told of once', async (t) => {
  const leaves = Array.from({ length: 21 }, (_, i) => leafOf(Buffer.from(`${i}`)))
  const range = new CompactRange()
  const seen = new Map<string, Buffer>()
  for (const leaf of leaves) range.append(leaf, (level, index, hash) => seen.set(`${level}/${index}`, hash))
  t.equal(seen.size, 21 + 10 + 5 + 2 + 1)
  for (const [name, hash] of seen) {
    const [level = 0, index = 0] = name.split('/').map(Number)
    t.same(hash, treeHash(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)), name)
  }
})

t.test('a state that save did not make is refused', async (t) => {
  const hash = leafOf(Buffer.from('x')).toString('base64')
  const restore = (size: number, peaks: string[]) => refusal(() => CompactRange.restore({ size, peaks }))
  t.equal(restore(3, [hash, hash]), 'passed')
  t.equal(restore(3, [hash]), 'proof_length')
  t.equal(restore(2, [hash, hash]), 'proof_length')
  t.equal(restore(1, [hash.slice(4)]), 'hash_length')
  t.equal(restore(1, ['']), 'hash_length')
  for (const size of [-1, 0.5, Number.NaN, MAX_SIZE + 1, Number.POSITIVE_INFINITY]) {
    t.equal(restore(size, [hash]), 'size_range', String(size))
  }
  const full = CompactRange.restore({ size: MAX_SIZE, peaks: [hash] })
  t.equal(
    refusal(() => full.append(leafOf(Buffer.from('y')))),
    'size_range',
  )
})

t.test('lengths are checked', async (t) => {
  t.equal(
    refusal(() => leafHash(Buffer.alloc(65_536))),
    'entry_too_large',
  )
  t.same(leafHash(Buffer.alloc(65_535, 7)), leafOf(Buffer.alloc(65_535, 7)))
  t.equal(
    refusal(() => nodeHash(Buffer.alloc(31), Buffer.alloc(32))),
    'hash_length',
  )
  t.equal(
    refusal(() => nodeHash(Buffer.alloc(32), Buffer.alloc(33))),
    'hash_length',
  )
  t.equal(
    refusal(() => new CompactRange().append(Buffer.alloc(31))),
    'hash_length',
  )
})
