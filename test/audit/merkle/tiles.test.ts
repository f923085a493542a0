import fc from 'fast-check'
import t from 'tap'
import { CompactRange } from '../../../server/audit/merkle/compact.js'
import { growTiles } from '../../../server/audit/merkle/grow.js'
import { MAX_SIZE } from '../../../server/audit/merkle/hash.js'
import { inclusionProof } from '../../../server/audit/merkle/proof.js'
import {
  encodeBundle,
  newTiles,
  parseTilePath,
  splitBundle,
  tileHashes,
  tilePath,
} from '../../../server/audit/merkle/tiles.js'
import {
  bodies,
  leafOf,
  pathOf,
  publish,
  readFiles,
  readFrom,
  refusal,
  refusalOf,
  treeHash,
} from './support.js'

t.test('paths are those of C2SP tlog-tiles', async (t) => {
  const paths: readonly (readonly [Parameters<typeof tilePath>[0], string])[] = [
    [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
    [{ level: 0, index: 1_234_067, width: 256 }, 'tile/0/x001/x234/067'],
    [{ level: 5, index: 999, width: 255 }, 'tile/5/999.p/255'],
    [{ level: 63, index: 1_000, width: 1 }, 'tile/63/x001/000.p/1'],
    [{ level: 'entries', index: 273, width: 112 }, 'tile/entries/273.p/112'],
    [{ level: 0, index: MAX_SIZE / 256 - 1, width: 256 }, 'tile/0/x001/x099/x511/x627/775'],
  ]
  for (const [tile, path] of paths) {
    t.equal(tilePath(tile), path)
    t.same(parseTilePath(path), tile)
  }
  for (const path of [
    'tile/0/0',
    'tile/0/0000',
    'tile/0/x000/000',
    'tile/0/x00/067',
    'tile/0/001/067',
    'tile/0/x001',
    'tile/00/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/999',
    'tile/0/000/',
    'tile/0/000\n',
    '/tile/0/000',
    'tile/0/../000',
    'tile/entry/000',
    'tile/0/x999/x999/x999/x999/x999/999',
    'tile/0/٠٠٠',
    '',
  ]) {
    t.equal(parseTilePath(path), undefined, JSON.stringify(path))
  }
  for (const width of [0, 257, 1.5, Number.NaN]) {
    t.equal(
      refusal(() => tilePath({ level: 0, index: 0, width })),
      'tile_length',
    )
  }
  t.equal(
    refusal(() => tilePath({ level: 0, index: -1, width: 1 })),
    'index_range',
  )
})

t.test('any path that is read is written the same', async () => {
  fc.assert(
    fc.property(fc.nat(63), fc.maxSafeNat(), fc.integer({ min: 1, max: 256 }), (level, large, width) => {
      const tile = { level, index: large % MAX_SIZE, width }
      const found = parseTilePath(tilePath(tile))
      return found !== undefined && tilePath(found) === tilePath(tile) && found.index === tile.index
    }),
  )
  fc.assert(
    fc.property(fc.stringMatching(/^tile\/[0-9e]{1,2}\/[x0-9/]{0,12}(\.p\/[0-9]{1,3})?$/), (path) => {
      const tile = parseTilePath(path)
      return tile === undefined || tilePath(tile) === path
    }),
  )
})

t.test('a tree of 70,000 has the tiles of the example in the specification', async (t) => {
  const tiles = newTiles(0, 70_000)
  const widths = (level: number) => tiles.filter((one) => one.level === level).map((one) => one.width)
  t.same(widths(0), [...Array(273).fill(256), 112])
  t.same(widths(1), [256, 17])
  t.same(widths(2), [1])
  t.equal(tiles.length, 277)
  t.same(newTiles(0, 256).map(tilePath), ['tile/0/000', 'tile/1/000.p/1'])
  t.same(newTiles(255, 257).map(tilePath), ['tile/0/000', 'tile/0/001.p/1', 'tile/1/000.p/1'])
  t.same(newTiles(257, 258).map(tilePath), ['tile/0/001.p/2'])
  t.same(newTiles(7, 7), [])
  t.equal(
    refusal(() => newTiles(8, 7)),
    'size_range',
  )
})

t.test('a tree written in steps equals one written at once', async (t) => {
  const entries = bodies(1_100)
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.integer({ min: 1, max: 1_100 }), { minLength: 1, maxLength: 8 }),
      fc.boolean(),
      async (cuts, edge) => {
        const sizes = [...cuts, ...(edge ? [255, 256, 257, 512] : [])].sort((a, b) => a - b)
        const size = Math.max(...sizes)
        const [steps, once] = [await publish(entries, sizes), await publish(entries, [size])]
        for (const [path, data] of once) {
          if (path !== 'checkpoint') t.ok(steps.get(path)?.equals(data), path)
        }
        return once.size > 2
      },
    ),
    { numRuns: 25 },
  )
})

t.test('hashes and proofs from tiles are those of the entries', async (t) => {
  const entries = bodies(700)
  const leaves = entries.map(leafOf)
  for (const size of [1, 255, 256, 257, 512, 700]) {
    const read = tileHashes(readFiles(await publish(entries, [size])), size)
    const own = readFrom(leaves.slice(0, size))
    for (let level = 0; 2 ** level <= size; level++) {
      for (const index of [0, Math.floor(size / 2 ** level) - 1]) {
        t.same(await read(level, index), await own(level, index), `${level}/${index} of ${size}`)
      }
    }
    const path = await inclusionProof(size - 1, size, read)
    t.same(path, pathOf(size - 1, leaves.slice(0, size)))
    t.equal((await refusalOf(() => read(0, size))).code, 'index_range')
  }
})

t.test('a partial tile that is gone is read from the full one', async (t) => {
  const files = await publish(bodies(600), [10, 600])
  t.ok(files.delete('tile/0/000.p/10'))
  const leaves = bodies(10).map(leafOf)
  const path = await inclusionProof(3, 10, tileHashes(readFiles(files), 10))
  t.same(path, pathOf(3, leaves))
  files.delete('tile/0/000')
  t.match(await refusalOf(() => inclusionProof(3, 10, tileHashes(readFiles(files), 10))), {
    code: 'file_missing',
    path: 'tile/0/000.p/10',
  })
})

t.test('growing refuses a store that no longer holds what was published', async (t) => {
  const entries = bodies(600)
  const range = new CompactRange()
  for (const body of entries.slice(0, 590)) range.append(leafOf(body))
  const grow = async (path: string, change: (data: Buffer) => Buffer | undefined) => {
    const files = await publish(entries, [590])
    const changed = change(Buffer.from(files.get(path) ?? ''))
    if (changed === undefined) files.delete(path)
    else files.set(path, changed)
    return (await refusalOf(() => growTiles(range, entries.slice(590), readFiles(files)))).code
  }
  const turn = (at: number) => (data: Buffer) => {
    data[at] = (data[at] ?? 0) ^ 1
    return data
  }
  t.equal(await grow('tile/0/002.p/78', (data) => data), 'passed')
  for (const at of [0, 31, 32, 77 * 32]) t.equal(await grow('tile/0/002.p/78', turn(at)), 'tile_mismatch')
  t.equal(await grow('tile/0/002.p/78', (data) => data.subarray(1)), 'tile_length')
  t.equal(await grow('tile/0/002.p/78', () => undefined), 'file_missing')
  for (const at of [0, 1, 2, 40]) t.equal(await grow('tile/entries/002.p/78', turn(at)), 'entry_mismatch')
  t.equal(await grow('tile/entries/002.p/78', (data) => data.subarray(0, -1)), 'entry_mismatch')
  t.equal(await grow('tile/entries/002.p/78', () => undefined), 'file_missing')
  t.equal(range.size, 590, 'the range given stays as it is')
  t.same(range.root(), treeHash(entries.slice(0, 590).map(leafOf)))
})

t.test('bundles split into what they were made of', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (some) => {
      const { bodies: found, whole } = splitBundle(encodeBundle(some))
      return whole && found.length === some.length && found.every((body, i) => body.equals(some[i] ?? body))
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      const { bodies: found, whole } = splitBundle(Buffer.from(bytes))
      return !whole || encodeBundle(found).equals(bytes)
    }),
  )
  const longest = Buffer.alloc(65_535, 1)
  t.same(splitBundle(encodeBundle([longest])).bodies, [longest])
  t.equal(
    refusal(() => encodeBundle([Buffer.alloc(65_536)])),
    'entry_too_large',
  )
  t.equal((await refusalOf(() => publish([Buffer.alloc(65_536)], [1]))).code, 'entry_too_large')
})
