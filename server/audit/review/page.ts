import type { Database } from '../../db/pool.js'
import { type Search, walk } from './search.js'

/** Newest first. */
export interface PageAsked {
  readonly limit: number
  /** Index before which the page begins. */
  readonly before?: number | undefined
}

export interface PageFound {
  readonly indexes: readonly number[]
  /** What `before` of the next page is; null after the last. */
  readonly next: number | null
}

/**
 * A page takes no further step once it has looked at so many candidates, and no step takes more than as many again.
 * Filters that are common each and rare together would have it read for minutes; it ends early instead, with `next`.
 * Looking one up costs some ten microseconds: this many keep a page that finds little under fifty milliseconds.
 */
const MOST_LOOKED_AT = 1_500

/** The indexes of a page. Costs the same wherever the page lies. */
export async function findPage(
  database: Database,
  search: Search,
  { limit, before }: PageAsked,
): Promise<PageFound> {
  const { lo, hi } = search.range
  const range = { lo, hi: Math.min(hi, before ?? hi) }
  const found: number[] = []
  let looked = 0
  // One more than is shown tells whether there is more.
  const first = search.exact ? limit + 1 : Math.max(300, 6 * limit)
  const bounds = { most: MOST_LOOKED_AT, wanted: limit + 1 }
  for await (const step of walk(database, { ...search, range }, 'desc', first, bounds)) {
    found.push(...step.found)
    const last = found[limit - 1]
    if (found.length > limit && last !== undefined) return { indexes: found.slice(0, limit), next: last }
    looked += step.looked
    if (!step.done && looked >= MOST_LOOKED_AT) return { indexes: found, next: step.rest.hi }
  }
  return { indexes: found, next: null }
}
