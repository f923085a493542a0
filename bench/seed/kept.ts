import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../../server/db/embedded.js'
import { migrate } from '../../server/db/migrate.js'
import { withDatabase } from '../../server/db/provision.js'
import { MIGRATIONS } from '../../server/wiring/database.js'
import { createPlainTable, openPool, silent } from '../plain.js'
import { seed, seedSql } from './seed.js'

/** A record of many entries, on a server of its own with fsync on. */
export interface Kept {
  readonly entries: number
  readonly brokerUrl: string
  readonly ownerUrl: string
  readonly superuserUrl: string
  /** Another database of the same server, with the table that floors write to. */
  readonly plainUrl: string
  readonly pid: number
  /** Of PostgreSQL. */
  readonly version: string
  readonly close: () => Promise<void>
}

/** For loading only. What a crash leaves then is thrown away: the mark is written last. */
const LOADING = {
  fsync: 'off',
  full_page_writes: 'off',
  synchronous_commit: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '4GB',
  shared_buffers: '1GB',
  autovacuum: 'off',
}

/**
 * Starts the server of a record that was filled once and is kept in the folder for temporary files, under a name of
 * its length and of everything that made it. Rows that measurements append stay; they are few beside it. With
 * `keep` false it is filled anew and thrown away, for smoke runs.
 */
export async function openKept(entries: number, keep: boolean, say: (text: string) => void): Promise<Kept> {
  const place = join(tmpdir(), `writ-bench-${entries}-`)
  const dataDir = keep ? place + fingerprint() : await mkdtemp(place)
  const mark = join(dataDir, 'seeded')
  if (!existsSync(mark)) {
    // Also those that something older made: ten million entries are some fifteen gigabytes.
    const older = readdirSync(tmpdir()).filter((name) => keep && join(tmpdir(), name).startsWith(place))
    for (const name of older) await rm(join(tmpdir(), name), { recursive: true, force: true })
    const began = performance.now()
    const loading = await startEmbeddedPostgres({ dataDir, log: silent, extraSettings: LOADING })
    const kill = (): void => void process.kill(loading.pid, 'SIGQUIT')
    process.once('exit', kill)
    try {
      await migrate({ ownerUrl: loading.ownerUrl, directory: MIGRATIONS, log: silent })
      await seed(withDatabase(loading.superuserUrl, 'writ'), entries, say)
      const plain = openPool(loading.superuserUrl)
      await createPlainTable(plain).finally(() => plain.end())
    } finally {
      await loading.stop()
      process.removeListener('exit', kill)
    }
    await writeFile(mark, '')
    say(`seed: ${Math.round((performance.now() - began) / 1000)} s${keep ? `, kept in ${dataDir}` : ''}`)
  }
  const server = await startEmbeddedPostgres({ dataDir, log: silent })
  const kill = (): void => {
    process.kill(server.pid, 'SIGQUIT')
    if (!keep) rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', kill)
  return {
    entries,
    brokerUrl: server.brokerUrl,
    ownerUrl: server.ownerUrl,
    superuserUrl: withDatabase(server.superuserUrl, 'writ'),
    plainUrl: server.superuserUrl,
    pid: server.pid,
    version: server.version,
    close: async () => {
      await server.stop()
      process.removeListener('exit', kill)
      if (!keep) await rm(dataDir, { recursive: true, force: true })
    },
  }
}

function fingerprint(): string {
  const hash = createHash('sha256')
  for (const name of readdirSync(MIGRATIONS).sort()) hash.update(readFileSync(join(MIGRATIONS, name)))
  for (const sql of seedSql()) hash.update(sql)
  return hash.digest('hex').slice(0, 12)
}
