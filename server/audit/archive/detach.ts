import type { Queryable } from '../../db/pool.js'

/** Why a full partition stays: see `writ.archivable` in migrations/010-retention.sql. */
export type WhyNot = 'young' | 'unpublished' | 'open' | 'webhook' | 'earlier'

export interface FullPartition {
  readonly name: string
  /** First entry, and the one behind the last. */
  readonly from: number
  readonly to: number
  readonly why_not?: WhyNot
}

/** Who recorded an archive, and against which checkpoint it was held. */
export interface RecordedArchive {
  readonly name: string
  readonly by: string
  readonly origin: string
  readonly size: number
  readonly root: string
  /** Instant of the database: nothing younger goes. */
  readonly before: string
}

/** The instant so many seconds ago, on the database's clock. */
export async function instantBefore(owner: Queryable, seconds: number): Promise<string> {
  const rows = await owner.query<{ at: string }>(
    'SELECT to_char((clock_timestamp() - make_interval(secs => $1)) AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') AS at',
    [seconds],
  )
  return rows[0]?.at ?? ''
}

/** The full partitions of the log, oldest first. */
export async function fullPartitions(
  owner: Queryable,
  before: string,
  published: number,
): Promise<readonly FullPartition[]> {
  const rows = await owner.query<{ name: string; first: string; until: string; why_not: WhyNot | null }>(
    'SELECT name, first, until, why_not FROM writ.archivable($1::timestamptz, $2) ORDER BY first',
    [before, published],
  )
  return rows.map(({ name, first, until, why_not }) => ({
    name,
    from: Number(first),
    to: Number(until),
    ...(why_not === null ? {} : { why_not }),
  }))
}

/**
 * Says in the log that a partition is archived, and that the log begins behind it; one commit. Answers the index of
 * that entry. Throws when something keeps the partition by now.
 */
export async function recordArchive(owner: Queryable, archive: RecordedArchive): Promise<number> {
  const rows = await owner.query<{ answer: { status: string; index?: number; code?: string } }>(
    'SELECT writ.record_archive($1::jsonb) AS answer',
    [JSON.stringify(archive)],
  )
  const { status, index, code } = rows[0]?.answer ?? { status: 'nothing' }
  if (status === 'ok' && index !== undefined) return index
  throw new Error(`${archive.name} stays after all: ${code ?? status}`)
}

/** Partitions below the beginning of the log that a crash left attached, or detached and not put away. */
export async function unfinished(owner: Queryable): Promise<readonly string[]> {
  const rows = await owner.query<{ name: string }>(
    `SELECT p.name FROM writ.entry_partition p WHERE p.until <= (SELECT first FROM writ.log_start)
     UNION ALL SELECT c.relname FROM pg_catalog.pg_class c
     WHERE c.relnamespace = 'writ'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^entry_' AND NOT c.relispartition
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
     ORDER BY 1`,
  )
  return rows.map(({ name }) => name)
}

/** For as long as it may wait for readers; then it is left half-way, which the next call finds and finishes. */
const LONGEST_WAIT_MS = 60_000

/**
 * Detaches a partition that is recorded as archived, and puts it away where no broker looks. CONCURRENTLY: readers
 * and writers of the log go on, where plain DETACH would have all of them wait behind the slowest reader. It
 * commits twice; what a crash leaves is attached, marked as detaching, or detached, and is taken on from there.
 */
export async function detach(owner: Queryable, name: string, waitMs = LONGEST_WAIT_MS): Promise<void> {
  const table = `"${name.replaceAll('"', '""')}"`
  const state = async () =>
    (
      await owner.query<{ until: string; detaching: boolean }>(
        'SELECT until, detaching FROM writ.entry_partition WHERE name = $1 AND until <= (SELECT first FROM writ.log_start)',
        [name],
      )
    )[0]
  const found = await state()
  if (found !== undefined) {
    // Not lock_timeout: waiting for a reader to end is no waiting for a lock of a table.
    await owner.query(`SET statement_timeout = ${waitMs}`)
    try {
      const how = found.detaching ? 'FINALIZE' : 'CONCURRENTLY'
      await owner.query(`ALTER TABLE writ.entry DETACH PARTITION writ.${table} ${how}`)
    } finally {
      await owner.query('SET statement_timeout = 0')
    }
  }
  // One implicit transaction.
  await owner.query(
    `ALTER TABLE writ.${table} SET SCHEMA writ_archive;
     REVOKE ALL ON TABLE writ_archive.${table} FROM PUBLIC, writ_broker`,
  )
}
