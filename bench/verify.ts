import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { signCheckpoint } from '../server/audit/merkle/checkpoint.js'
import { CompactRange } from '../server/audit/merkle/compact.js'
import { growTiles } from '../server/audit/merkle/grow.js'
import { generateSignerKey, parseSignerKey, parseVerifierKey } from '../server/audit/merkle/keys.js'
import { exportEntries } from '../server/audit/queries.js'
import { verifyExport } from '../server/audit/verify/export.js'
import { verifyTiles } from '../server/audit/verify/tiles.js'
import { median } from './measure.js'
import { openPool } from './plain.js'
import type { Result } from './result.js'
import type { Run } from './run.js'

const ORIGIN = 'writ.example/bench'

/** How fast a stranger checks the record, from files and a public key, on one core. */
export async function verify(run: Run): Promise<Result> {
  const entries = run.smoke ? 2_000 : Math.min(run.entries, 100_000)
  const kept = await run.kept(run.entries)
  const folder = await mkdtemp(join(tmpdir(), 'writ-bench-verify-'))
  try {
    run.say(`verify: publishing ${entries.toLocaleString('en')} entries`)
    const signer = parseSignerKey(generateSignerKey(ORIGIN))
    const bodies = await publish(kept.brokerUrl, entries, folder, signer)
    const keys = [parseVerifierKey(signer.verifierKey)]
    const read = async (path: string) => await readFile(join(folder, path)).catch(() => undefined)
    const checkpoint = await readFile(join(folder, 'checkpoint'))
    const lines = () =>
      createInterface({ input: createReadStream(join(folder, 'export')), crlfDelay: Infinity })
    const ways: Readonly<Record<string, () => unknown>> = {
      'SHA-256 of the bodies alone': () => {
        for (const body of bodies) createHash('sha256').update('\0').update(body).digest()
      },
      'published folder, every tile': () => verifyTiles(read, keys),
      'export, against a checkpoint': () => verifyExport(lines(), checkpoint, keys),
      'export, against checkpoint and tiles': () => verifyExport(lines(), checkpoint, keys, { tiles: read }),
    }
    const seconds = new Map<string, number[]>()
    // The first one warms up.
    for (let round = 0; round <= run.pace.rounds; round++) {
      for (const [way, call] of Object.entries(ways)) {
        run.say(`verify: ${way}, ${round === 0 ? 'warm-up' : `round ${round}`}`)
        const begin = performance.now()
        await call()
        if (round > 0) seconds.set(way, [...(seconds.get(way) ?? []), (performance.now() - begin) / 1000])
      }
    }
    const [floor = []] = seconds.values()
    const rows = [...seconds].map(([way, all]) => ({
      way,
      entries,
      'per second': entries / median(all),
      'of floor': { ratio: median(all.map((one, n) => (floor[n] ?? Number.NaN) / one)) },
    }))
    return {
      name: 'verify',
      title: 'Verify: entries checked offline',
      about:
        'On one core, from files: signature, every leaf, every hash of every tile, the form and the order of every entry. The floor is hashing the bodies, and nothing else.',
      rows,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** The beginning of a record as a published folder and as an export beside it; answers its bodies. */
async function publish(
  databaseUrl: string,
  entries: number,
  folder: string,
  signer: ReturnType<typeof parseSignerKey>,
): Promise<readonly Buffer[]> {
  const database = openPool(databaseUrl)
  const read = async (path: string) => await readFile(join(folder, path)).catch(() => undefined)
  const bodies: Buffer[] = []
  const lines: string[] = []
  try {
    for await (const entry of exportEntries(database, 0, entries, false)) {
      bodies.push(Buffer.from(entry.body))
      lines.push(`${JSON.stringify(entry)}\n`)
    }
  } finally {
    await database.end()
  }
  let range = new CompactRange()
  for (let from = 0; from < bodies.length; from += 1024) {
    const grown = await growTiles(range, bodies.slice(from, from + 1024), read)
    for (const { path, data } of grown.files) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), data)
    }
    range = grown.range
  }
  const head = { origin: ORIGIN, size: range.size, root: range.root(), extensions: [] }
  await writeFile(join(folder, 'checkpoint'), signCheckpoint(head, [signer]))
  await writeFile(join(folder, 'export'), lines.join(''))
  return bodies
}
