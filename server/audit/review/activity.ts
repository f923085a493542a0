import type { Database } from '../../db/pool.js'
import { type IssuanceFilter, searchIssuances } from './filters.js'
import { walk } from './search.js'

/** What happened between two instants. */
export interface ActivityBucket {
  /** ISO 8601 UTC; inclusive, exclusive. */
  readonly from: string
  readonly to: string
  /** Issuances begun. Null where counting did not get to. */
  readonly issuances: number | null
  /** Requests refused; null where a filter asks for issuances, which a refusal is not. */
  readonly denials: number | null
  /** `about`: from samples all over the bucket. `at least`: counting ended in it. */
  readonly counted: 'exactly' | 'about' | 'at least' | 'not'
}

/** Entries that are counted one by one, over all buckets; a longer log is sampled. Index tuples alone are read. */
const MOST_COUNTED = 400_000
/** A sample is this many stretches, of so many entries each, evenly over its bucket. */
const STRETCHES = 32
const STRETCH = 256

/** How many issuances a filter may have looked at before older ones are left out. */
const MOST_LOOKED_AT = 5_000

/**
 * Counts over time, in as many buckets as there are instants but one, oldest first. What it costs is bounded whatever
 * the length of the log: without a filter a long bucket is sampled; with one the newest are counted, and buckets that
 * this does not reach say so.
 */
export async function activityOf(
  database: Database,
  filter: Omit<IssuanceFilter, 'since' | 'until'>,
  instants: readonly Date[],
): Promise<readonly ActivityBucket[]> {
  const bounds = await indexesAt(database, instants)
  const places = bounds.slice(1).map((hi, n) => ({
    from: (instants[n] ?? new Date()).toISOString(),
    to: (instants[n + 1] ?? new Date()).toISOString(),
    lo: bounds[n] ?? 0,
    hi,
  }))
  const narrowed = Object.values(filter).some((value) => value !== undefined)
  return narrowed ? found(database, filter, places) : counted(database, places)
}

interface Place {
  readonly from: string
  readonly to: string
  readonly lo: number
  readonly hi: number
}

/** The first entry at or after each instant. Entries of a batch share its time, and time never runs backwards. */
async function indexesAt(database: Database, instants: readonly Date[]): Promise<readonly number[]> {
  const rows = await database.query<{ idx: string }>(
    `SELECT coalesce((SELECT b.first_idx FROM writ.log_batch b WHERE b.at >= t.at ORDER BY b.at, b.first_idx LIMIT 1),
       h.size) AS idx
     FROM unnest($1::timestamptz[]) WITH ORDINALITY t(at, n), writ.log_head h ORDER BY t.n`,
    [instants],
  )
  return rows.map(({ idx }) => Number(idx))
}

async function counted(database: Database, places: readonly Place[]): Promise<readonly ActivityBucket[]> {
  const whole = Math.max(MOST_COUNTED / Math.max(places.length, 1), STRETCHES * STRETCH)
  const stretches = places.flatMap(({ lo, hi }, place) => {
    if (hi - lo <= whole) return [{ place, lo, hi }]
    const apart = (hi - lo) / STRETCHES
    return Array.from({ length: STRETCHES }, (_, n) => {
      const begin = lo + Math.floor(n * apart)
      return { place, lo: begin, hi: begin + STRETCH }
    })
  })
  const rows = await database.query<{ place: number; issuances: string; denials: string; looked: string }>(
    `SELECT s.place, sum(s.hi - s.lo) AS looked,
       sum((SELECT count(*) FROM writ.intent i WHERE i.entry_idx >= s.lo AND i.entry_idx < s.hi)) AS issuances,
       sum((SELECT count(*) FROM writ.entry e
            WHERE e.kind = 'issuance.denied' AND e.idx >= s.lo AND e.idx < s.hi)) AS denials
     FROM unnest($1::integer[], $2::bigint[], $3::bigint[]) s(place, lo, hi) GROUP BY s.place`,
    [stretches.map(({ place }) => place), stretches.map(({ lo }) => lo), stretches.map(({ hi }) => hi)],
  )
  return places.map(({ from, to, lo, hi }, n) => {
    const row = rows.find(({ place }) => place === n)
    const looked = Number(row?.looked ?? 0)
    const scaled = (sum: string | undefined) =>
      looked === 0 ? 0 : Math.round((Number(sum ?? 0) * (hi - lo)) / looked)
    return {
      from,
      to,
      issuances: scaled(row?.issuances),
      denials: scaled(row?.denials),
      counted: looked === hi - lo ? ('exactly' as const) : ('about' as const),
    }
  })
}

async function found(
  database: Database,
  filter: IssuanceFilter,
  places: readonly Place[],
): Promise<readonly ActivityBucket[]> {
  const search = await searchIssuances(database, filter)
  const range = { lo: places[0]?.lo ?? 0, hi: places.at(-1)?.hi ?? 0 }
  const counts = places.map(() => 0)
  let looked = 0
  // What lies below was not looked at.
  let floor = search.nothing ? range.lo : range.hi
  const most = search.exact ? 4 * MOST_LOOKED_AT : MOST_LOOKED_AT
  for await (const step of walk(database, { ...search, range }, 'desc', 1_000, { most })) {
    for (const idx of step.found) {
      const place = placeOf(places, idx)
      counts[place] = (counts[place] ?? 0) + 1
    }
    looked += step.looked
    floor = step.done ? range.lo : step.rest.hi
    if (looked >= most) break
  }
  return places.map(({ from, to, lo, hi }, n) => {
    const reached = lo >= floor || hi === lo ? 'exactly' : hi > floor ? 'at least' : 'not'
    return {
      from,
      to,
      issuances: reached === 'not' ? null : (counts[n] ?? 0),
      denials: null,
      counted: reached,
    }
  })
}

function placeOf(places: readonly Place[], idx: number): number {
  let [lo, hi] = [0, places.length - 1]
  while (lo < hi) {
    const middle = Math.ceil((lo + hi) / 2)
    if ((places[middle]?.lo ?? 0) <= idx) lo = middle
    else hi = middle - 1
  }
  return lo
}
