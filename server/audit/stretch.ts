import type { Database } from '../db/pool.js'
import { type PersonalState, readPersonal } from './personal.js'

/** The last entry that was looked at. */
export interface Position {
  /** -1 before the first entry. */
  readonly index: number
  /** Its leaf hash in hex, whole. Absent before the first entry, and where that entry is archived. */
  readonly leaf?: string
}

/** Where a reader wants to begin: after an index, and after the entry whose leaf hash begins so, when it knows it. */
export interface After {
  readonly index: number
  readonly leaf?: string
}

/** Every one that is given has to hold. */
export interface FollowFilter {
  /** A trailing `*` stands for whatever begins so. Empty: all. */
  readonly kinds: readonly string[]
  readonly agent?: string | undefined
  readonly environment?: string | undefined
}

export interface FollowedEntry {
  readonly index: number
  readonly kind: string
  readonly agent: string | null
  readonly environment: string | null
  /** Hex. */
  readonly leaf: string
  /** One line of JSON: index, leaf_hash, body, personal_data. */
  readonly json: string
  /** One line of JSON: what the entry says of people, checked; `null` where there is nothing to show. */
  readonly personal: string
}

/** A piece of the log without gaps. */
export interface Stretch {
  /** Everything up to here was looked at. */
  readonly at: Position
  /** Those the filter takes, in order. */
  readonly entries: readonly FollowedEntry[]
}

/**
 * `ahead`: the log ends before the position. `other`: another entry is there. `missing`: entries that follow are
 * gone from the database, archived or otherwise.
 */
export type Mismatch = 'ahead' | 'other' | 'missing'

/** A position that is none of this log, or of what is left of it. The message may be shown to the reader. */
export class NotThisLog extends Error {
  override readonly name = 'NotThisLog'
  readonly why: Mismatch

  constructor(why: Mismatch, message: string) {
    super(message)
    this.why = why
  }
}

/** Entries looked at in one query: at most 16 MiB of bodies, and a few hundred KiB as bodies are. */
export const STRETCH = 256

/** What a position must be for everything that follows it to be what the reader has not had yet. */
export async function positionAfter(database: Database, after: After | 'head'): Promise<Position> {
  const [row] = await database.query<PositionRow>(POSITION, [after === 'head' ? null : after.index])
  const size = Number(row?.size ?? 0)
  const index = after === 'head' ? size - 1 : after.index
  if (index >= size) throw ahead(index, size)
  const leaf = row?.leaf ?? undefined
  if (after !== 'head' && after.leaf !== undefined) {
    if (leaf === undefined) throw await missing(database, index)
    if (!leaf.startsWith(after.leaf)) throw other(index)
  }
  if (index + 1 < size && row?.follows !== true) throw await missing(database, index + 1)
  return leaf === undefined ? { index } : { index, leaf }
}

interface PositionRow {
  readonly size: string
  readonly leaf: string | null
  readonly follows: boolean
}

// One statement here and below, so that size and entries are of one snapshot: an entry that is missing is missing.
const POSITION = `
  SELECT h.size, encode(p.leaf_hash, 'hex') AS leaf, n.idx IS NOT NULL AS follows
  FROM writ.log_head h
  LEFT JOIN writ.entry p ON p.idx = coalesce($1::bigint, h.size - 1)
  LEFT JOIN writ.entry n ON n.idx = coalesce($1::bigint, h.size - 1) + 1`

/**
 * The next entries after a position, looked at one by one so that none is passed over. Throws `NotThisLog` when
 * the entry at the position is no longer the same, or one that must follow is not there.
 */
export async function readStretch(
  database: Database,
  after: Position,
  { kinds, agent, environment }: FollowFilter,
): Promise<Stretch> {
  const known = after.leaf !== undefined
  const from = known ? after.index : after.index + 1
  const most = known ? STRETCH + 1 : STRETCH
  const begins = kinds.filter((kind) => kind.endsWith('*')).map((kind) => kind.slice(0, -1))
  const values = [from, most, kinds, begins, agent ?? null, environment ?? null]
  const rows = await database.query<StretchRow>(NEXT, values)
  const size = Number(rows[0]?.size ?? 0)
  if (after.index >= size) throw ahead(after.index, size)
  const present = rows.filter((row) => row.idx !== null)
  if (known && Number(present[0]?.idx) === from && present[0]?.leaf !== after.leaf) throw other(from)
  const gap = present.findIndex((row, i) => Number(row.idx) !== from + i)
  const together = gap === -1 ? present.length : gap
  if (together < Math.min(most, size - from)) throw await missing(database, from + together)
  const fresh = known ? present.slice(1) : present
  const last = fresh.at(-1)
  return {
    at: last === undefined ? after : { index: Number(last.idx), leaf: last.leaf },
    entries: fresh.flatMap((row) => (row.body === null ? [] : [followed(row, row.body)])),
  }
}

interface StretchRow {
  readonly size: string
  /** Null when nothing is there. */
  readonly idx: string | null
  readonly leaf: string
  readonly kind: string
  readonly agent: string | null
  readonly environment: string | null
  /** Null when the filter does not take it. */
  readonly body: string | null
  readonly personal: Buffer | null
  readonly salt: Buffer | null
}

const NEXT = `
  SELECT h.size, e.* FROM writ.log_head h LEFT JOIN LATERAL (
    SELECT idx, encode(leaf_hash, 'hex') AS leaf, kind, agent, environment,
      CASE WHEN takes THEN convert_from(body, 'UTF8') END AS body,
      CASE WHEN takes THEN personal END AS personal, CASE WHEN takes THEN salt END AS salt
    FROM (SELECT *, (cardinality($3::text[]) = 0 OR kind = ANY ($3)
                     OR EXISTS (SELECT FROM unnest($4::text[]) p WHERE starts_with(kind, p)))
                    AND ($5::text IS NULL OR agent = $5) AND ($6::text IS NULL OR environment = $6) AS takes
          FROM writ.entry WHERE idx >= $1::bigint AND idx < $1::bigint + $2::integer) t
  ) e ON true ORDER BY e.idx`

/** The same filter over entries already read; a test holds the two against each other. */
export function takes({ kinds, agent, environment }: FollowFilter, entry: FollowedEntry): boolean {
  return (
    (kinds.length === 0 ||
      kinds.some((kind) =>
        kind.endsWith('*') ? entry.kind.startsWith(kind.slice(0, -1)) : entry.kind === kind,
      )) &&
    (agent === undefined || entry.agent === agent) &&
    (environment === undefined || entry.environment === environment)
  )
}

function followed({ idx, leaf, kind, agent, environment, personal, salt }: StretchRow, text: string) {
  const index = Number(idx)
  const body = JSON.parse(text) as Readonly<Record<string, unknown>>
  const { state, data } = readPersonal(body, personal, salt)
  const shown: EntryView = { index, leaf_hash: leaf, body, personal_data: state }
  const json = JSON.stringify(shown)
  return { index, kind, agent, environment, leaf, json, personal: JSON.stringify(data) }
}

interface EntryView {
  readonly index: number
  readonly leaf_hash: string
  readonly body: Readonly<Record<string, unknown>>
  readonly personal_data: PersonalState
}

const ahead = (index: number, size: number): NotThisLog =>
  new NotThisLog(
    'ahead',
    `There is no entry ${index}: this log has ${size}. It is not the log you read from.`,
  )

export const other = (index: number): NotThisLog =>
  new NotThisLog('other', `Entry ${index} is another one here. It is not the log you read from.`)

async function missing(database: Database, index: number): Promise<NotThisLog> {
  const [row] = await database.query<{ oldest: string | null }>(
    'SELECT min(idx) AS oldest FROM writ.entry WHERE idx >= $1',
    [index],
  )
  const left = row?.oldest == null ? 'none that follows is' : `the next that is begins at ${row.oldest}`
  return new NotThisLog('missing', `Entry ${index} is not in the database any more; ${left}.`)
}
