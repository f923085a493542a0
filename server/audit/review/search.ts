import type { Database } from '../../db/pool.js'
import type { Driver, Order, Range } from './drivers.js'
import { inOrder } from './in-order.js'
import { Parameters } from './parameters.js'
import { planned } from './planned.js'

/** A condition over `e` (the entry), and for issuances `i` (intent) and `o` (outcome) too. */
export type Condition = (add: Parameters['add']) => string

/** What is looked for: all that lies in the range and meets every condition. */
export interface Search {
  readonly of: 'events' | 'issuances'
  readonly range: Range
  readonly conditions: readonly Condition[]
  /** Each finds at least all that is looked for. Never empty. */
  readonly drivers: readonly Driver[]
  /** What the one driver finds is what is looked for. */
  readonly exact: boolean
  /** Something was asked for that does not exist, so that nothing can match. */
  readonly nothing: boolean
}

/** Part of a search: all that it finds between where the last step ended and `reached`. */
export interface Step {
  /** Indexes, in order. */
  readonly found: readonly number[]
  /** How many candidates were looked at. */
  readonly looked: number
  /** The range that is left to search. */
  readonly rest: Range
  readonly done: boolean
}

/** Fewer candidates are not worth a step. */
const LEAST = 100

/** Candidates that later steps grow to, where whoever asks does not say. */
const MOST_AT_ONCE = 6_000

/**
 * How far the first step of a merge of many streams looks, in indexes. Each stream looks into every partition in
 * its range: a common action, whose twenty scope sets are each met again soon, needs only the newest of them.
 */
const FIRST_STRETCH = 1_000_000
const MANY_STREAMS = 8

/**
 * Goes through a range step by step. Every step asks each driver for its next candidates and follows the one that
 * is sparsest there, so that what is rare decides the cost, here and now, whatever the planner's statistics say.
 * Nothing is held in the database between two steps. `first` is how many candidates the first step takes; later
 * ones take more, up to `most`, and no more than it should take until `wanted` are found.
 */
export async function* walk(
  database: Database,
  search: Search,
  order: Order,
  first: number,
  { most = MOST_AT_ONCE, wanted = Infinity }: { readonly most?: number; readonly wanted?: number } = {},
): AsyncGenerator<Step> {
  let met = 0
  let looked = 0
  let rest = search.range
  let stretch = search.drivers.some(({ streams }) => streams > MANY_STREAMS) ? FIRST_STRETCH : Infinity
  for (let size = first; !search.nothing && rest.lo < rest.hi; ) {
    const part = stretchOf(rest, order, stretch)
    const best = await sparsest(database, search.drivers, part, order, size)
    const found = search.exact ? best.candidates : await matching(database, search, best.candidates, order)
    rest = order === 'desc' ? { lo: rest.lo, hi: best.rest.hi } : { lo: best.rest.lo, hi: rest.hi }
    // Where a stretch held little, the next is longer: what is only long ago is still reached in a few steps.
    if (best.rest.lo >= best.rest.hi) stretch *= 4
    const done = rest.lo >= rest.hi
    yield { found, looked: best.candidates.length, rest, done }
    if (done) return
    met += found.length
    looked += best.candidates.length
    // Half as many again as what was met so far says, so that a third step is seldom.
    const enough = met === 0 ? Infinity : Math.ceil(((wanted - met) * looked * 1.5) / met)
    size = Math.min(size * 4, most, Math.max(enough, LEAST))
  }
}

function stretchOf({ lo, hi }: Range, order: Order, length: number): Range {
  return order === 'desc' ? { lo: Math.max(lo, hi - length), hi } : { lo, hi: Math.min(hi, lo + length) }
}

interface Candidates {
  readonly candidates: readonly number[]
  readonly rest: Range
}

async function sparsest(
  database: Database,
  drivers: readonly Driver[],
  range: Range,
  order: Order,
  size: number,
): Promise<Candidates> {
  const parameters = new Parameters()
  const most = drivers.map(({ streams }) => Math.max(Math.ceil(size / streams), 8))
  const parts = drivers.map(
    (driver, n) =>
      `SELECT ${n} AS driver, json_agg(d.idx) AS found FROM (${driver.sql(parameters.add, range, order, most[n] ?? 8)}) d GROUP BY d.stream`,
  )
  const rows = await inOrder<{ driver: number; found: number[] }>(
    database,
    parts.join(' UNION ALL '),
    parameters.values,
  )
  const all = drivers.map((_, n) =>
    merged(
      rows.filter(({ driver }) => driver === n).map(({ found }) => found),
      range,
      order,
      most[n] ?? 8,
    ),
  )
  const width = ({ rest, candidates }: Candidates) => [rest.hi - rest.lo, candidates.length] as const
  return all.reduce((best, one) => {
    const [left, count] = width(one)
    const [least, fewest] = width(best)
    return left < least || (left === least && count < fewest) ? one : best
  })
}

/** Streams that were cut off know nothing beyond their last: the merge ends where the first of them does. */
function merged(streams: readonly number[][], range: Range, order: Order, most: number): Candidates {
  const cut = streams.filter((stream) => stream.length === most)
  const all = streams.flat().sort(order === 'desc' ? (a, b) => b - a : (a, b) => a - b)
  if (order === 'desc') {
    const floor = cut.reduce((bound, stream) => Math.max(bound, Math.min(...stream)), range.lo)
    return { candidates: all.filter((idx) => idx >= floor), rest: { lo: range.lo, hi: floor } }
  }
  const next = cut.reduce((bound, stream) => Math.min(bound, Math.max(...stream) + 1), range.hi)
  return { candidates: all.filter((idx) => idx < next), rest: { lo: next, hi: range.hi } }
}

/** Looked up one by one, behind OFFSET 0: from a join the planner may make a scan of the whole table. */
export const SOURCES = {
  events: `LATERAL (SELECT * FROM writ.entry e WHERE e.idx = c.idx OFFSET 0) e`,
  issuances: `LATERAL (SELECT * FROM writ.intent i WHERE i.entry_idx = c.idx OFFSET 0) i
    LEFT JOIN LATERAL (SELECT * FROM writ.outcome o WHERE o.issuance_id = i.issuance_id OFFSET 0) o ON true
    LEFT JOIN LATERAL (SELECT * FROM writ.entry e WHERE e.idx = i.entry_idx OFFSET 0) e ON true`,
} as const

async function matching(
  database: Database,
  { of, conditions }: Search,
  candidates: readonly number[],
  order: Order,
): Promise<readonly number[]> {
  if (candidates.length === 0) return []
  const { add, values } = new Parameters()
  const text = `SELECT json_agg(c.idx) AS found FROM unnest(${add(candidates)}::bigint[]) c(idx), ${SOURCES[of]}
     WHERE ${[...conditions.map((condition) => condition(add)), 'true'].join(' AND ')}`
  const rows = await database.query<{ found: number[] | null }>(text, values, planned(text))
  return (rows[0]?.found ?? []).sort(order === 'desc' ? (a, b) => b - a : (a, b) => a - b)
}
