import { StartError } from '../errors.js'
import { type Migration, readMigrations } from './migrate-files.js'
import { createPool, type Database, type Log, type Queryable } from './pool.js'
import { DatabaseError } from './pool-errors.js'

export interface Migrated {
  /** Files applied by this call, in order. */
  readonly applied: readonly string[]
  /** Number of the newest migration in the database; 0 for none. */
  readonly version: number
}

interface AppliedRow {
  readonly number: number
  readonly name: string
  readonly sha256: string
}

/**
 * Brings the database to the newest of the files `NNN-name.sql`: forward only, each in a transaction of
 * its own, as `writ_owner`, with `writ` first on the search path. Several starts at once are safe. Throws
 * StartError when file and database disagree or a file fails, DatabaseError when it cannot be reached.
 */
export async function migrate(options: {
  /** Logs in as a member of `writ_owner`. */
  readonly ownerUrl: string
  readonly directory: string
  readonly log: Log
}): Promise<Migrated> {
  const { ownerUrl, directory, log } = options
  const files = readMigrations(directory)
  const database = createPool({
    connectionString: ownerUrl,
    applicationName: 'writ migrate',
    log,
    max: 1,
    // Building an index on a large record takes as long as it takes, and so may the start before us.
    statementTimeoutMs: 0,
    lockTimeoutMs: 0,
    idleInTransactionMs: 60_000,
  })
  try {
    await createTable(database)
    const applied: string[] = []
    for (;;) {
      const name = await applyNext(database, files)
      if (name === undefined) return { applied, version: files.length }
      applied.push(name)
      log.info({ migration: name }, 'migration applied')
    }
  } finally {
    await database.end()
  }
}

export interface MigrationState {
  readonly upToDate: boolean
  /** Number of the newest applied migration; 0 for none. */
  readonly applied: number
  /** Number of the newest file. */
  readonly expected: number
  /** Why it is not up to date, in one sentence. */
  readonly problem?: string
}

/** Whether the database fits this code; the broker's login may ask. Throws DatabaseError. */
export async function migrationState(database: Queryable, directory: string): Promise<MigrationState> {
  const files = readMigrations(directory)
  const expected = files.length
  let rows: readonly AppliedRow[] = []
  try {
    rows = await readApplied(database)
  } catch (error) {
    // No schema, no table, or neither visible to us: not migrated yet.
    if (!(error instanceof DatabaseError) || !['3F000', '42P01', '42501'].includes(error.sqlState))
      throw error
  }
  const applied = rows.at(-1)?.number ?? 0
  const problem =
    disagreement(files, rows) ??
    (applied < expected ? `The database is at migration ${applied} of ${expected}.` : undefined)
  return { upToDate: problem === undefined, applied, expected, ...(problem === undefined ? {} : { problem }) }
}

/** The schema and the list of what was applied. Two starts may both find them missing. */
async function createTable(database: Database): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await database.transaction(async (client) => {
        await becomeOwner(client)
        if (
          (await client.query("SELECT FROM pg_catalog.pg_class WHERE oid = to_regclass('writ.migration')"))[0]
        )
          return
        await client.query(`
          CREATE SCHEMA IF NOT EXISTS writ;
          CREATE TABLE IF NOT EXISTS writ.migration (
            number integer PRIMARY KEY CHECK (number > 0),
            name text NOT NULL,
            sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
          );
          GRANT USAGE ON SCHEMA writ TO writ_broker;
          GRANT SELECT ON writ.migration TO writ_broker`)
      })
      return
    } catch (error) {
      // IF NOT EXISTS looks first and creates then: the loser of a race gets one of these.
      const raced =
        error instanceof DatabaseError && ['23505', '42P06', '42P07', 'XX000'].includes(error.sqlState)
      if (!raced || attempt >= 20) throw error
    }
  }
}

/** Applies the first file that is missing and answers with its name; undefined when none is. */
async function applyNext(database: Database, files: readonly Migration[]): Promise<string | undefined> {
  return await database.transaction(async (client) => {
    await becomeOwner(client)
    // One start at a time. A table lock of the owner's, since any role can take an advisory lock and keep
    // us out; this mode still lets readiness read.
    await client.query('LOCK TABLE writ.migration IN SHARE ROW EXCLUSIVE MODE')
    const rows = await readApplied(client)
    const problem = disagreement(files, rows)
    if (problem !== undefined) throw new StartError(problem)
    const next = files[rows.length]
    if (next === undefined) return undefined
    try {
      await client.query(next.sql)
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.unavailable) throw error
      throw new StartError(
        `Migration ${next.name} failed${lineOf(next, error)}: ${error.message} (${error.sqlState}).`,
      )
    }
    await client.query('INSERT INTO writ.migration (number, name, sha256) VALUES ($1, $2, $3)', [
      next.number,
      next.name,
      next.sha256,
    ])
    return next.name
  })
}

async function becomeOwner(client: Queryable): Promise<void> {
  try {
    await client.query('SET LOCAL ROLE writ_owner')
  } catch (error) {
    if (!(error instanceof DatabaseError) || !['42501', '22023', '42704'].includes(error.sqlState))
      throw error
    throw new StartError(
      'The login for migrations has to be a member of the role writ_owner, and that role has to exist: set up roles and database first.',
    )
  }
  await client.query('SET LOCAL search_path TO writ, pg_temp')
}

async function readApplied(client: Queryable): Promise<AppliedRow[]> {
  return await client.query<AppliedRow>('SELECT number, name, sha256 FROM writ.migration ORDER BY number')
}

/** Why these files cannot continue what the database holds. */
function disagreement(files: readonly Migration[], rows: readonly AppliedRow[]): string | undefined {
  for (const [index, row] of rows.entries()) {
    if (row.number !== index + 1) {
      return `The database has migration ${row.number} but not ${index + 1}: it was changed by hand; restore it from a backup.`
    }
    const file = files[index]
    if (file === undefined) {
      return `The database is at migration ${rows.length}, this version of Writ knows ${files.length}: start the newer version.`
    }
    if (file.sha256 !== row.sha256) {
      return `Migration ${file.name} was changed after it had been applied (as ${row.name}): restore the file, and put the change into a new one.`
    }
  }
  return undefined
}

function lineOf(file: Migration, { position }: DatabaseError): string {
  return position === undefined ? '' : ` in line ${file.sql.slice(0, position - 1).split('\n').length}`
}
