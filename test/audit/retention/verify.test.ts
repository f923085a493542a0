import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ProofError } from '../../../server/audit/merkle/error.js'
import { exportEntries } from '../../../server/audit/queries.js'
import {
  type ArchiveManifest,
  archiveLines,
  rangeFromTiles,
  readManifest,
  verifyArchive,
} from '../../../server/audit/verify/archive.js'
import { verifyExport } from '../../../server/audit/verify/export.js'
import { Walk } from '../../../server/audit/verify/walk.js'
import { archiveNext, archiveStage, keys } from './support.js'

/** Archives of a log of 1,000 entries up to 300, what was in them, and an export of the rest. */
async function archives(t: Test) {
  const stage = await archiveStage(t, 420)
  for (let i = 0; i < 3; i++) await archiveNext(stage)
  await stage.restart().tick()
  const pieces = [0, 100, 200].map((from) => {
    const name = `writ-log-${String(from).padStart(12, '0')}-${String(from + 99).padStart(12, '0')}.json`
    return readManifest(readFileSync(join(stage.out, name), 'utf8'))
  })
  const lines = async (manifest: ArchiveManifest) => {
    const all: string[] = []
    for await (const line of archiveLines(join(stage.out, manifest.entries), manifest.sha256)) all.push(line)
    return all
  }
  const rest: string[] = []
  for await (const entry of exportEntries(stage.broker, 300, 1000, false)) rest.push(JSON.stringify(entry))
  const note = (await stage.published.read('checkpoint')) ?? Buffer.alloc(0)
  return { stage, pieces, lines, rest, note, tiles: stage.published.read }
}

const codeOf = async (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'passed',
    (error: unknown) =>
      error instanceof ProofError ? `${error.code} ${error.index ?? ''}`.trim() : String(error),
  )

t.test('archives', { timeout: 60_000 }, async (t) => {
  const { stage, pieces, lines, rest, note, tiles } = await archives(t)
  const [one, two, three] = pieces as [ArchiveManifest, ArchiveManifest, ArchiveManifest]

  t.test('each stands by itself, with nothing but a key', async (t) => {
    for (const manifest of pieces) {
      const found = await verifyArchive(manifest, await lines(manifest), keys)
      t.match(found, { origin: 'writ.test/log', from: manifest.from, to: manifest.from + 100 })
      t.match(await verifyArchive(manifest, await lines(manifest), keys, { tiles }), { to: found.to })
    }
  })

  t.test('and together with what came after they are the whole log', async (t) => {
    const walk = new Walk()
    for (const manifest of pieces) await verifyArchive(manifest, await lines(manifest), keys, { walk })
    const whole = await verifyExport(rest, note, keys, { walk })
    t.match(whole, { size: 423, beyond: 0 })
    t.match(
      await verifyExport(rest, note, keys, {
        walk: new Walk(undefined, await rangeFromTiles(tiles, 300, 423)),
      }),
      {
        size: 423,
      },
    )
  })

  t.test('a piece left out, or in another order', async (t) => {
    const walk = new Walk()
    await verifyArchive(one, await lines(one), keys, { walk })
    t.equal(await codeOf(verifyArchive(three, await lines(three), keys, { walk })), 'entry_missing 100')
    t.equal(await codeOf(verifyExport(rest, note, keys, { walk })), 'entry_missing 100')
    t.equal(await codeOf(verifyArchive(one, [], keys, { walk })), 'entry_missing 100', 'the same one again')
    t.equal(await codeOf(verifyExport(rest, note, keys)), 'entry_missing 0')
  })

  t.test('an export under a checkpoint from before it begins proves nothing', async (t) => {
    const walk = new Walk()
    for (const manifest of pieces) await verifyArchive(manifest, await lines(manifest), keys, { walk })
    const old = await stage.published.read('checkpoint').then(() => Buffer.from(one.checkpoint))
    t.match(await codeOf(verifyExport([], old, keys, { walk })), /entry_missing 300/)
    const other = await archiveStage(t, 150)
    const small = (await other.published.read('checkpoint')) ?? Buffer.alloc(0)
    t.equal(await codeOf(verifyExport([], small, keys, { walk })), 'checkpoint_mismatch 150')
  })

  t.test('archives of another history do not go together', async (t) => {
    const other = await archives(t)
    const walk = new Walk()
    await verifyArchive(one, await lines(one), keys, { walk })
    const [, foreign] = other.pieces as [ArchiveManifest, ArchiveManifest]
    t.equal(
      await codeOf(verifyArchive(foreign, await other.lines(foreign), keys, { walk })),
      'checkpoint_mismatch 100',
      'each is sound, and they are not one log',
    )
  })

  t.test('anything changed', async (t) => {
    const sound = await lines(two)
    const check = async (change: (all: string[]) => string[], options = {}, manifest = two) =>
      codeOf(verifyArchive(manifest, change([...sound]), keys, options))
    const swap = (all: string[], at: number, change: (line: string) => string) =>
      all.map((line, i) => (i === at ? change(line) : line))
    const body = (line: string) => line.replace('orders-coder', 'report-coder')
    const { createHash } = await import('node:crypto')
    const whole = (line: string) => {
      const entry = JSON.parse(body(line))
      const leaf = createHash('sha256')
        .update(Buffer.from([0]))
        .update(entry.body)
        .digest('hex')
      return JSON.stringify({ ...entry, leaf_hash: leaf })
    }
    t.equal(await check((all) => all), 'passed')
    t.equal(await check((all) => swap(all, 42, body)), 'entry_mismatch 142')
    t.equal(await check((all) => swap(all, 42, whole)), 'checkpoint_mismatch 100', 'with its leaf hash')
    t.equal(await check((all) => swap(all, 42, whole), { tiles }), 'entry_mismatch 142', 'and tiles name it')
    t.equal(await check((all) => all.slice(0, -1)), 'entry_missing 199')
    t.equal(await check((all) => all.toSpliced(50, 1)), 'entry_missing 150')
    t.equal(await check((all) => [...all, rest[0] ?? '']), 'export_malformed 200')
    t.equal(await check((all) => all, { tiles: async () => undefined }), 'file_missing')
    t.equal(await check((all) => all, { origin: 'another/log' }), 'origin_mismatch')
    const change = (part: Partial<ArchiveManifest>) => check((all) => all, {}, { ...two, ...part })
    t.match(await change({ before: [...two.before].reverse() }), /checkpoint_mismatch/)
    t.match(await change({ before: two.before.slice(1) }), /proof_length/)
    t.match(await change({ after: two.after.slice(1) }), /proof_length|checkpoint_mismatch/)
    t.match(await change({ checkpoint: one.checkpoint.replace(/\n\d+\n/, '\n999\n') }), /signature_invalid/)
    t.match(await change({ origin: 'another/log' }), /origin_mismatch/)
    t.throws(() => readManifest(JSON.stringify({ ...two, entries: '../../etc/passwd' })), {
      code: 'export_malformed',
    })
    t.throws(() => readManifest(JSON.stringify({ ...two, to: two.from })), { code: 'export_malformed' })
    t.throws(() => readManifest('{'), { code: 'export_malformed' })
  })

  t.test('a file cut off, or another one', async (t) => {
    const drain = async (file: string, sha256: string) => {
      for await (const _line of archiveLines(file, sha256));
    }
    const file = join(stage.out, two.entries)
    t.equal(await codeOf(drain(file, two.sha256)), 'passed')
    t.equal(await codeOf(drain(file, one.sha256)), 'export_malformed')
    const { writeFileSync } = await import('node:fs')
    writeFileSync(`${file}.cut`, readFileSync(file).subarray(0, 300))
    t.equal(await codeOf(drain(`${file}.cut`, two.sha256)), 'export_malformed')
    writeFileSync(`${file}.not`, 'not gzip at all')
    t.equal(await codeOf(drain(`${file}.not`, two.sha256)), 'export_malformed')
    t.match(await codeOf(drain(join(stage.out, 'nothing'), two.sha256)), /ENOENT/)
  })
})
