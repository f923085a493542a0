import fc from 'fast-check'
import t from 'tap'
import { PROOF_ERRORS } from '../../../server/audit/merkle/error.js'
import { generateSignerKey, parseSignerKey, parseVerifierKey } from '../../../server/audit/merkle/keys.js'
import { signNote } from '../../../server/audit/merkle/note.js'
import { encodeBundle, splitBundle } from '../../../server/audit/merkle/tiles.js'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import {
  bodies,
  bodyOf,
  checkpointOf,
  type Files,
  keys,
  leafOf,
  ORIGIN,
  publish,
  type Refused,
  readFiles,
  refusalOf,
  treeHash,
} from './support.js'

const SIZES = [3, 256, 300, 520]
const SIZE = 520
const OLDER = SIZES.slice(0, -1).reverse()
const entries = bodies(SIZE)
const log = await publish(entries, SIZES)

const verify = (files: Files, checkpoints = OLDER) => verifyTiles(readFiles(files), keys, { checkpoints })
const verdict = (files: Files, checkpoints = OLDER) => refusalOf(() => verify(files, checkpoints))

/** The log with one file changed; undefined removes it. */
function withFile(path: string, change: (data: Buffer) => Buffer | undefined, of = log): Files {
  const data = of.get(path)
  if (data === undefined) throw new Error(`no ${path}`)
  const files = new Map(of)
  const changed = change(Buffer.from(data))
  if (changed === undefined) files.delete(path)
  else files.set(path, changed)
  return files
}
const turn =
  (at: number, bit = 1) =>
  (data: Buffer) => {
    data[at] = (data[at] ?? 0) ^ bit
    return data
  }
const BUNDLES = ['tile/entries/000', 'tile/entries/001', 'tile/entries/002.p/8']
const bundleOf = (index: number): string => BUNDLES[Math.floor(index / 256)] ?? ''
const withBodies = (bundle: string, change: (all: readonly Buffer[]) => readonly Buffer[]) =>
  withFile(bundle, (data) => encodeBundle(change(splitBundle(data).bodies)))

t.test('an untouched log verifies, every entry seen once and in order', async (t) => {
  const seen: number[] = []
  const onEntry = ({ index }: { index: number }) => seen.push(index)
  const found = await verifyTiles(readFiles(log), keys, { origin: ORIGIN, checkpoints: OLDER, onEntry })
  t.match(found, { origin: ORIGIN, size: SIZE, checkpoints: 4 })
  t.same(found.root, treeHash(entries.map(leafOf)))
  t.same(
    seen,
    entries.map((_, i) => i),
  )
  for (const size of [0, 1, 255, 256, 257, 512]) {
    t.match(await verify(await publish(entries, [size]), []), { size, checkpoints: 1 }, String(size))
  }
})

t.test('each file is read once', async (t) => {
  const reads: string[] = []
  await verifyTiles(
    async (path) => {
      reads.push(path)
      return log.get(path)
    },
    keys,
    { checkpoints: OLDER },
  )
  t.equal(new Set(reads).size, reads.length)
  t.equal(reads.length, 4 + 3 + 3 + 1)
})

t.test('any changed byte of any entry names the entry', async (t) => {
  for (const index of [0, 255, 300, 519]) {
    const bundle = bundleOf(index)
    const { bodies: all } = splitBundle(log.get(bundle) ?? Buffer.alloc(0))
    const start = encodeBundle(all.slice(0, index % 256)).length
    const length = (entries[index]?.length ?? 0) + 2
    for (let at = 0; at < length; at++) {
      const { code, index: named } = await verdict(withFile(bundle, turn(start + at, 1 << (at % 8))))
      const right = code === 'entry_mismatch' || (at < 2 && code === 'bundle_malformed')
      if (!right || named !== index) t.fail(`byte ${at} of entry ${index}: ${code} ${named}`)
    }
  }
})

t.test('swapped, dropped, inserted, doubled and reordered entries are named', async (t) => {
  const at = fc.nat(SIZE - 1)
  await fc.assert(
    fc.asyncProperty(at, at, async (a, b) => {
      const [bundle, i] = [bundleOf(a), a % 256]
      const mismatch = (found: Refused, index = a) => found.code === 'entry_mismatch' && found.index === index
      const last = a === SIZE - 1 || i === 255
      const dropped = await verdict(withBodies(bundle, (all) => all.toSpliced(i, 1)))
      const dropping = last ? dropped.code === 'bundle_malformed' && dropped.index === a : mismatch(dropped)
      const inserted = mismatch(
        await verdict(withBodies(bundle, (all) => all.toSpliced(i, 0, bodyOf(9_999)))),
      )
      const doubled = await verdict(withBodies(bundle, (all) => all.toSpliced(i, 0, all[i] ?? bodyOf(0))))
      const doubling = last
        ? doubled.code === 'bundle_malformed' && doubled.index === a + 1
        : mismatch(doubled, a + 1)
      if (!dropping || !inserted || !doubling || a === b) return dropping && inserted && doubling
      const [one, other] = [entries[a] ?? bodyOf(0), entries[b] ?? bodyOf(0)]
      const files = withBodies(bundle, (all) => all.with(i, other))
      const [place, from] = [bundleOf(b), files.get(bundleOf(b)) ?? Buffer.alloc(0)]
      files.set(place, encodeBundle(splitBundle(from).bodies.with(b % 256, one)))
      return mismatch(await verdict(files), Math.min(a, b))
    }),
    { numRuns: 40 },
  )
  const reversed = await verdict(withBodies('tile/entries/001', (all) => all.toReversed()))
  t.match(reversed, { code: 'entry_mismatch', index: 256 })
  const appended = await verdict(withBodies('tile/entries/002.p/8', (all) => [...all, bodyOf(520)]))
  t.match(appended, { code: 'bundle_malformed', index: 520 })
  const stray = await verdict(
    withFile('tile/entries/001', (data) => Buffer.concat([data, data.subarray(0, 1)])),
  )
  t.match(stray, { code: 'bundle_malformed', index: 512 })
  const full = Array.from({ length: 256 }, (_, i) => bodyOf(512 + i))
  const filled = await verdict(withBodies('tile/entries/002.p/8', () => full))
  t.match(filled, { code: 'bundle_malformed', index: 520 }, 'as many as a full bundle has')
  const cut = await verdict(withFile('tile/entries/002.p/8', (data) => data.subarray(0, -1)))
  t.match(cut, { code: 'bundle_malformed', index: 519, path: 'tile/entries/002.p/8' })
})

t.test('any changed byte of a tile is found in its place', async (t) => {
  for (const [path, first, span] of [
    ['tile/0/000', 0, 1],
    ['tile/0/001', 256, 1],
    ['tile/0/002.p/8', 512, 1],
    ['tile/1/000.p/2', 0, 256],
  ] as const) {
    const length = log.get(path)?.length ?? 0
    for (let at = 0; at < length; at += span === 1 ? 61 : 1) {
      const found = await verdict(withFile(path, turn(at)))
      const index = first + Math.floor(at / 32) * span
      const code = span === 1 ? 'entry_mismatch' : 'tile_mismatch'
      if (found.code !== code || found.index !== index) t.fail(`${path} byte ${at}: ${found.code}`)
    }
    t.match(await verdict(withFile(path, (data) => data.subarray(1))), { code: 'tile_length', path })
    t.match(await verdict(withFile(path, (data) => Buffer.concat([data, data]))), {
      code: 'tile_length',
      path,
    })
    t.match(await verdict(withFile(path, () => undefined)), { code: 'file_missing', path })
  }
  for (const path of BUNDLES) {
    t.match(await verdict(withFile(path, () => undefined)), { code: 'file_missing', path })
  }
})

t.test('an entry rewritten with all its tiles is found between two checkpoints', async (t) => {
  const changed = entries.with(270, bodyOf(270, { agent: 'somebody else' }))
  const rewritten = await publish(changed, SIZES)
  for (const name of ['checkpoint', ...OLDER.map((size) => `checkpoints/${size}`)]) {
    rewritten.set(name, log.get(name) ?? Buffer.alloc(0))
  }
  t.match(await verdict(rewritten), { code: 'checkpoint_mismatch', index: 256, path: 'checkpoints/300' })
  t.match(await verdict(rewritten, []), { code: 'checkpoint_mismatch', index: 0, path: 'checkpoint' })
  // With the lowest tile alone rewritten, the one above tells which 256 it is.
  const half = new Map(log)
  for (const path of ['tile/0/001', 'tile/entries/001'])
    half.set(path, rewritten.get(path) ?? Buffer.alloc(0))
  t.match(await verdict(half, []), { code: 'tile_mismatch', index: 256, path: 'tile/1/000.p/2' })
})

t.test('two histories under one key are found, and a log that was rolled back', async (t) => {
  const other = await publish(entries.with(100, bodyOf(100, { agent: 'x' })), SIZES)
  const forked = new Map(log).set('checkpoints/300', other.get('checkpoints/300') ?? Buffer.alloc(0))
  t.match(await verdict(forked), { code: 'checkpoint_mismatch', index: 256, path: 'checkpoints/300' })
  const back = new Map(await publish(entries, [3, 256])).set(
    'checkpoints/300',
    log.get('checkpoints/300') ?? entries[0] ?? Buffer.alloc(0),
  )
  t.match(await verdict(back, [3, 300]), { code: 'checkpoint_mismatch', index: 256, path: 'checkpoints/300' })
  const renamed = new Map(log).set('checkpoints/299', log.get('checkpoints/300') ?? Buffer.alloc(0))
  t.match(await verdict(renamed, [299]), { code: 'checkpoint_mismatch', path: 'checkpoints/299' })
  t.match(await verdict(log, [299]), { code: 'file_missing', path: 'checkpoints/299' })
  t.match(await verdict(log, [Number.NaN]), { code: 'file_missing' })
  const emptied = new Map(log).set('checkpoints/0', checkpointOf(treeHash([]), 0))
  t.equal((await verdict(emptied, [0, 3])).code, 'passed')
  emptied.set('checkpoints/0', checkpointOf(leafOf(Buffer.alloc(0)), 0))
  t.match(await verdict(emptied, [0, 3]), { code: 'checkpoint_mismatch', path: 'checkpoints/0' })
})

t.test('a checkpoint that is not signed by the log is refused', async (t) => {
  const stranger = parseSignerKey(generateSignerKey(ORIGIN))
  const text = (log.get('checkpoint') ?? '').toString().split('\n\n')[0] ?? ''
  const forged = new Map(log).set('checkpoint', signNote(`${text}\n`, [stranger]))
  t.match(await verdict(forged), { code: 'key_unknown', path: 'checkpoint' })
  const foreign = parseSignerKey(generateSignerKey('other.example/log'))
  const both = [...keys, parseVerifierKey(foreign.verifierKey)]
  const theirs = signNote(`${text}\n`.replace(ORIGIN, foreign.name).replace('\n520\n', '\n300\n'), [foreign])
  const mixed = readFiles(new Map(log).set('checkpoints/300', theirs))
  t.match(await refusalOf(() => verifyTiles(mixed, both, { checkpoints: [300] })), {
    code: 'origin_mismatch',
    path: 'checkpoints/300',
  })
  t.match(await verdict(withFile('checkpoint', () => undefined)), {
    code: 'file_missing',
    path: 'checkpoint',
  })
  const older = withFile('checkpoints/300', (data) => data.subarray(0, -9))
  t.match(await verdict(older), { code: 'note_malformed', path: 'checkpoints/300' })
  const elsewhere = await refusalOf(() => verifyTiles(readFiles(log), keys, { origin: 'other' }))
  t.match(elsewhere, { code: 'origin_mismatch', path: 'checkpoint' })
  const huge = new Map(log).set('checkpoint', checkpointOf(treeHash([]), 2 ** 48))
  t.match(await verdict(huge, []), { code: 'file_missing', path: 'tile/0/002' })
  const wrong = new Map(log).set('checkpoint', checkpointOf(treeHash([]), SIZE))
  t.match(await verdict(wrong, []), { code: 'checkpoint_mismatch', path: 'checkpoint' })
})

t.test('random damage anywhere gives a typed error, never a pass', async () => {
  const paths = ['checkpoint', 'checkpoints/300', 'tile/0/001', 'tile/1/000.p/2', ...BUNDLES]
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      fc.uint8Array({ maxLength: 40 }),
      fc.nat(40),
      async (path, place, noise, drop) => {
        const files = withFile(path, (data) => {
          const at = Math.floor(place * data.length)
          return Buffer.concat([data.subarray(0, at), noise, data.subarray(at + drop)])
        })
        if (files.get(path)?.equals(log.get(path) ?? Buffer.alloc(0))) return true
        return (await verdict(files)).code in PROOF_ERRORS
      },
    ),
    { numRuns: 100 },
  )
})

t.test('full files stand in for partial ones that are gone, and are whole themselves', async (t) => {
  const files = new Map(await publish(bodies(600), [520, 600]))
  for (const path of ['tile/0/002.p/8', 'tile/entries/002.p/8']) files.delete(path)
  files.set('checkpoint', log.get('checkpoint') ?? Buffer.alloc(0))
  t.match(await verdict(files, []), { code: 'file_missing', path: 'tile/0/002.p/8' })
  const later = await publish(bodies(800), [800])
  for (const path of ['tile/0/002', 'tile/entries/002']) files.set(path, later.get(path) ?? Buffer.alloc(0))
  t.equal((await verdict(files, [])).code, 'passed')
  const cut = withFile('tile/entries/002', (data) => data.subarray(0, -1), files)
  t.match(await verdict(cut, []), { code: 'bundle_malformed', index: 520 })
})

t.test('an error of the storage is not one of the log', async (t) => {
  const broken = verifyTiles(async () => {
    throw new RangeError('disk')
  }, keys)
  await t.rejects(broken, RangeError)
})
