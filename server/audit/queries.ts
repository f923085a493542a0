import type { Queryable } from '../db/pool.js'

/** What one line of an export holds: enough to hash the entry again and find its place. */
export interface ExportedEntry {
  readonly index: number
  /** The exact text that was hashed. */
  readonly body: string
  readonly leaf_hash: string
  /** Exact text and salt (hex) of the personal part; only in exports that ask for it, where it is not erased. */
  readonly personal?: string
  readonly salt?: string
}

const EXPORT_PAGE = 500

/** Entries from `from` up to and without `to`, in order, a page at a time: memory stays the same at any length. */
export async function* exportEntries(
  database: Queryable,
  from: number,
  to: number,
  personalToo: boolean,
): AsyncGenerator<ExportedEntry> {
  for (let next = from; next < to; ) {
    const rows = await database.query<ExportRow>(
      `SELECT idx, convert_from(body, 'UTF8') AS body, encode(leaf_hash, 'hex') AS leaf,
         CASE WHEN $4 AND salt IS NOT NULL THEN convert_from(personal, 'UTF8') END AS personal,
         CASE WHEN $4 THEN encode(salt, 'hex') END AS salt
       FROM writ.entry WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3`,
      [next, to, EXPORT_PAGE, personalToo],
    )
    yield* rows.map(exported)
    // A gap would end it early, and whoever verifies the export says so.
    if (rows.length === 0) return
    next = Number(rows.at(-1)?.idx) + 1
  }
}

/** The entries with these indexes, in order; those that are not in the database any more are left out. */
export async function entriesAt(
  database: Queryable,
  indexes: readonly number[],
  personalToo: boolean,
): Promise<readonly ExportedEntry[]> {
  const rows = await database.query<ExportRow>(
    `SELECT idx, convert_from(body, 'UTF8') AS body, encode(leaf_hash, 'hex') AS leaf,
       CASE WHEN $2 AND salt IS NOT NULL THEN convert_from(personal, 'UTF8') END AS personal,
       CASE WHEN $2 THEN encode(salt, 'hex') END AS salt
     FROM writ.entry WHERE idx = ANY ($1::bigint[]) ORDER BY idx`,
    [indexes, personalToo],
  )
  return rows.map(exported)
}

function exported({ idx, body, leaf, personal, salt }: ExportRow): ExportedEntry {
  const beside = personal === null || salt === null ? {} : { personal, salt }
  return { index: Number(idx), body, leaf_hash: leaf, ...beside }
}

interface ExportRow {
  readonly idx: string
  readonly body: string
  readonly leaf: string
  readonly personal: string | null
  readonly salt: string | null
}

/** The first entry that is still in the database: those before are archived. */
export async function logStart(database: Queryable): Promise<number> {
  const rows = await database.query<{ first: string }>('SELECT first FROM writ.log_start')
  return Number(rows[0]?.first ?? 0)
}

/** How many entries there are. */
export async function logSize(database: Queryable): Promise<number> {
  const rows = await database.query<{ size: string }>('SELECT size FROM writ.log_head')
  return Number(rows[0]?.size ?? 0)
}
