import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createPool, type Database } from '../../server/db/pool.js'
import { packageRoot } from '../../server/paths.js'
import { silent } from '../plain.js'

/** One entry follows the other after this many seconds, so that a million are a month. */
export const SECONDS_APART = 3

/** What is not there while rows come in at random: its indexes are built at the end, sorted, several times as fast. */
const LOADED = ['entry', 'intent', 'outcome', 'denial']

const CHUNK = 20_000
const CONNECTIONS = 2

/** The SQL that makes the rows: part of what a kept folder stands for. */
export const seedSql = (): readonly [facts: string, chunk: string] => [sqlOf('facts'), sqlOf('chunk')]

const sqlOf = (name: string): string => readFileSync(join(packageRoot(), 'bench/seed', `${name}.sql`), 'utf8')

/**
 * Fills an empty, migrated database with a record of so many entries, the newest of now. As superuser and past all
 * triggers and foreign keys: what the rows would be refused for is checked by the smoke test on a short record.
 */
export async function seed(
  superuserUrl: string,
  entries: number,
  say: (text: string) => void,
): Promise<void> {
  const database = createPool({
    connectionString: superuserUrl,
    applicationName: 'writ bench seed',
    log: silent,
    max: CONNECTIONS,
    statementTimeoutMs: 0,
    lockTimeoutMs: 0,
  })
  const [facts, chunk] = seedSql()
  try {
    const first = new Date(Date.now() - entries * SECONDS_APART * 1000)
    await database.transaction(async (client) => {
      await client.query('SET LOCAL session_replication_role = replica')
      await client.query('CREATE SCHEMA seed; CREATE TABLE seed.run (entries bigint, first timestamptz)')
      await client.query('INSERT INTO seed.run VALUES ($1, $2)', [entries, first])
      await client.query(facts)
    })
    const indexes = await indexesOf(database)
    for (const { name } of indexes) await database.query(`DROP INDEX writ.${name}`)
    let loaded = 0
    const chunks = Array.from({ length: Math.ceil(entries / CHUNK) }, (_, n) => n * CHUNK)
    await inTurns(chunks, database, async (from, client) => {
      await client.query(chunk, [from, Math.min(from + CHUNK, entries)], { name: 'seed_chunk' })
      loaded += CHUNK
      if (loaded % 500_000 === 0) say(`seed: ${loaded.toLocaleString('en')} entries`)
    })
    say('seed: indexes')
    await inTurns(indexes, database, async ({ definition }, client) => void (await client.query(definition)))
    say('seed: statistics')
    await inTurns(await tablesOf(database), database, async (table, client) => {
      await client.query(`VACUUM (FREEZE, ANALYZE) ${table}`)
    })
    await database.query('DROP SCHEMA seed CASCADE')
    await database.query('CHECKPOINT')
  } finally {
    await database.end()
  }
}

type Work<T> = (item: T, client: Pick<Database, 'query'>) => Promise<void>

/** A connection takes the next item when it is done with one. */
async function inTurns<T>(items: readonly T[], database: Database, work: Work<T>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> =>
    database.withClient(async (client) => {
      await client.query('SET session_replication_role = replica')
      // Compiling the query takes longer than it does.
      await client.query('SET jit = off')
      await client.query("SET work_mem = '256MB'")
      await client.query("SET maintenance_work_mem = '512MB'")
      for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item, client)
      await client.query('RESET ALL')
    })
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
}

/** Those that are no constraint. Of a partitioned table its own, which PostgreSQL tells as ON ONLY: each partition's comes with it. */
async function indexesOf(database: Database) {
  return await database.query<{ name: string; definition: string }>(
    `SELECT c.relname AS name, replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ') AS definition
     FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
     WHERE t.relnamespace = 'writ'::regnamespace AND t.relname = ANY ($1)
       AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid)`,
    [LOADED],
  )
}

/** As autovacuum does it: each partition, and never the partitioned table as a whole. */
async function tablesOf(database: Database): Promise<readonly string[]> {
  const rows = await database.query<{ name: string }>(
    `SELECT format('%I.%I', 'writ', relname) AS name FROM pg_class
     WHERE relnamespace = 'writ'::regnamespace AND relkind = 'r' ORDER BY relpages DESC, oid`,
  )
  return rows.map(({ name }) => name)
}
