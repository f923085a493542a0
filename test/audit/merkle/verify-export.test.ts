import fc from 'fast-check'
import t from 'tap'
import { PROOF_ERRORS } from '../../../server/audit/merkle/error.js'
import { verifyExport } from '../../../server/audit/verify/export.js'
import {
  bodies,
  bodyOf,
  checkpointOf,
  keys,
  leafOf,
  publish,
  readFiles,
  refusalOf,
  treeHash,
} from './support.js'

const SIZE = 300
const entries = bodies(320)
const files = await publish(entries, [SIZE])
const checkpoint = files.get('checkpoint') ?? Buffer.alloc(0)

const lineOf = (body: Buffer, index: number, leaf = leafOf(body)): string =>
  JSON.stringify(
    index % 2 === 0
      ? { index, body: body.toString(), leaf_hash: leaf.toString('hex') }
      : { index, body_base64: body.toString('base64'), leaf_hash: leaf.toString('hex') },
  )
const LINES = entries.slice(0, SIZE).map((body, i) => lineOf(body, i))

const verdict = (lines: readonly string[], tiles = false) =>
  refusalOf(() => verifyExport(lines, checkpoint, keys, tiles ? { tiles: readFiles(files) } : {}))

t.test('a complete export verifies', async (t) => {
  const found = await verifyExport(LINES, checkpoint, keys, { tiles: readFiles(files) })
  t.match(found, { size: SIZE, beyond: 0, root: treeHash(entries.slice(0, SIZE).map(leafOf)) })
  const longer = entries.map((body, i) => lineOf(body, i))
  t.match(await verifyExport(longer, checkpoint, keys), { size: SIZE, beyond: 20 })
  const empty = checkpointOf(treeHash([]), 0)
  t.match(await verifyExport([], empty, keys), { size: 0, beyond: 0 })
  t.match(await refusalOf(() => verifyExport(LINES, checkpoint, [])), { code: 'key_unknown' })
})

t.test('a changed body is named, also with its leaf hash recomputed when tiles are at hand', async (t) => {
  for (const index of [0, 1, 150, 255, 256, 299]) {
    const body = bodyOf(index, { agent: 'somebody else' })
    const old = leafOf(entries[index] ?? Buffer.alloc(0))
    t.match(await verdict(LINES.with(index, lineOf(body, index, old))), { code: 'entry_mismatch', index })
    const recomputed = LINES.with(index, lineOf(body, index))
    t.match(await verdict(recomputed, true), { code: 'entry_mismatch', index })
    t.match(await verdict(recomputed), { code: 'checkpoint_mismatch', path: 'checkpoint' })
  }
})

t.test('swapped, dropped, inserted, doubled lines are named', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.nat(SIZE - 1), fc.nat(SIZE - 1), async (a, b) => {
      const missing = async (lines: readonly string[], index: number) => {
        const found = await verdict(lines)
        return found.code === 'entry_missing' && found.index === index
      }
      const [one = '', other = ''] = [LINES[a], LINES[b]]
      const doubled = await verdict(LINES.toSpliced(a, 0, one))
      return (
        (await missing(LINES.toSpliced(a, 1), a)) &&
        doubled.code === 'entry_missing' &&
        doubled.index === a + 1 &&
        (a === b || (await missing(LINES.with(a, other).with(b, one), Math.min(a, b))))
      )
    }),
    { numRuns: 30 },
  )
  t.match(await verdict(LINES.slice(0, -1)), { code: 'entry_missing', index: 299 })
  t.match(await verdict([]), { code: 'entry_missing', index: 0 })
})

t.test('other lines are refused', async (t) => {
  const at = async (line: string) => (await verdict(LINES.with(4, line))).code
  const [body, leaf] = [bodyOf(4), leafOf(bodyOf(4)).toString('hex')]
  const line = (fields: Readonly<Record<string, unknown>>) =>
    JSON.stringify({ index: 4, body: body.toString(), leaf_hash: leaf, ...fields })
  t.equal(await at(line({})), 'passed')
  for (const text of ['', '{', 'null', '[]', '4', `${line({})}x`])
    t.equal(await at(text), 'entry_missing', text)
  t.equal(await at(line({ index: '4' })), 'entry_missing')
  t.equal(await at(line({ index: 2 ** 60 })), 'entry_missing')
  t.equal(await at(line({ body: undefined })), 'export_malformed')
  t.equal(await at(line({ body: JSON.parse(body.toString()) })), 'export_malformed')
  t.equal(await at(line({ body_base64: body.toString('base64') })), 'export_malformed', 'both')
  t.equal(await at(line({ body: undefined, body_base64: `${body.toString('base64')} ` })), 'export_malformed')
  t.equal(await at(line({ leaf_hash: undefined })), 'export_malformed')
  t.equal(await at(line({ leaf_hash: leaf.toUpperCase() })), 'export_malformed')
  t.equal(await at(line({ leaf_hash: leaf.slice(2) })), 'export_malformed')
  t.equal(await at(line({ body: `${body} ` })), 'entry_mismatch')
  t.equal(await at(line({ body: 'x'.repeat(65_536) })), 'entry_too_large')
  await fc.assert(
    fc.asyncProperty(fc.json(), async (text) => (await at(text)) in PROOF_ERRORS),
    { numRuns: 50 },
  )
})
