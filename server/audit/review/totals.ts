import type { Database } from '../../db/pool.js'
import { Parameters } from './parameters.js'
import { type Search, walk } from './search.js'

export interface Total {
  readonly count: number
  /** Otherwise the planner's estimate. */
  readonly exact: boolean
}

const EXACT_UP_TO = 10_000
/** Candidates; as many as three pages may look at. */
const MOST_LOOKED_AT = 45_000

/** How many there are: counted up to 10,000, estimated beyond, or when counting would take too long. */
export async function totalOf(database: Database, search: Search): Promise<Total> {
  let count = 0
  let looked = 0
  for await (const step of walk(database, search, 'desc', EXACT_UP_TO + 1)) {
    count += step.found.length
    looked += step.looked
    const over = count > EXACT_UP_TO
    if (over || (!step.done && looked >= MOST_LOOKED_AT)) {
      return { count: Math.max(count, await estimate(database, search)), exact: false }
    }
  }
  return { count, exact: true }
}

const FROM = {
  events: 'writ.entry e',
  issuances: `writ.intent i LEFT JOIN writ.outcome o USING (issuance_id)
    LEFT JOIN writ.entry e ON e.idx = i.entry_idx`,
} as const

async function estimate(database: Database, { of, range, conditions }: Search): Promise<number> {
  const { add, values } = new Parameters()
  const idx = of === 'events' ? 'e.idx' : 'i.entry_idx'
  const parts = [
    `${idx} >= ${add(range.lo)}::bigint`,
    `${idx} < ${add(range.hi)}::bigint`,
    ...conditions.map((condition) => condition(add)),
  ]
  const rows = await database.query<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    `EXPLAIN (FORMAT JSON) SELECT FROM ${FROM[of]} WHERE ${parts.join(' AND ')}`,
    values,
  )
  return rows[0]?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0
}
