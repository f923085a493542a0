import type { Queryable } from '../../db/pool.js'
import { type PersonalState, readPersonal } from '../personal.js'
import { planned } from './planned.js'
import { SOURCES } from './search.js'

export interface EventView {
  readonly index: number
  readonly leaf_hash: string
  /** How often the same was refused again shortly after; on denials. */
  readonly repeats: number | null
  readonly body: Readonly<Record<string, unknown>>
  readonly personal_data: PersonalState
  /** What the entry says of people, checked against the body's hash of it. */
  readonly personal: Readonly<Record<string, unknown>> | null
}

const VIEWS = `SELECT e.idx, encode(e.leaf_hash, 'hex') AS leaf, convert_from(e.body, 'UTF8') AS body, e.personal, e.salt,
    (SELECT d.repeats FROM writ.denial d WHERE d.entry_idx = e.idx) AS repeats
  FROM unnest($1::bigint[]) WITH ORDINALITY c(idx, n), ${SOURCES.events} ORDER BY c.n`

/** The entries with these indexes, in their order. */
export async function fetchEvents(
  database: Queryable,
  indexes: readonly number[],
): Promise<readonly EventView[]> {
  if (indexes.length === 0) return []
  const rows = await database.query<EventRow>(VIEWS, [indexes], planned(VIEWS))
  return rows.map((row) => {
    const body = JSON.parse(row.body) as Readonly<Record<string, unknown>>
    const { state, data } = readPersonal(body, row.personal, row.salt)
    return {
      index: Number(row.idx),
      leaf_hash: row.leaf,
      repeats: row.repeats,
      body,
      personal_data: state,
      personal: data,
    }
  })
}

interface EventRow {
  readonly idx: string
  readonly leaf: string
  readonly body: string
  readonly repeats: number | null
  readonly personal: Buffer | null
  readonly salt: Buffer | null
}
