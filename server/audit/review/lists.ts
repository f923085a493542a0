import type { Database } from '../../db/pool.js'
import { type EventView, fetchEvents } from './events.js'
import { type EventFilter, type IssuanceFilter, searchEvents, searchIssuances } from './filters.js'
import { fetchIssuances, type IssuanceView } from './issuances.js'
import { findPage, type PageAsked } from './page.js'
import type { Search } from './search.js'
import type { FetchRows } from './stream.js'
import { type Total, totalOf } from './totals.js'

export interface ListAsked extends PageAsked {
  /** Also how many there are. */
  readonly total?: boolean
}

export interface Listed<T> {
  readonly items: readonly T[]
  /** What `before` of the next page is; null after the last. A page may be short and have one. */
  readonly next: number | null
  readonly total?: Total
}

/** A page of entries of the log, newest first. */
export async function listEvents(
  database: Database,
  filter: EventFilter,
  asked: ListAsked,
): Promise<Listed<EventView>> {
  return list(database, await searchEvents(database, filter), asked, fetchEvents)
}

/** A page of issuances, newest first. */
export async function listIssuances(
  database: Database,
  filter: IssuanceFilter,
  asked: ListAsked,
): Promise<Listed<IssuanceView>> {
  return list(database, await searchIssuances(database, filter), asked, fetchIssuances)
}

async function list<T>(
  database: Database,
  search: Search,
  asked: ListAsked,
  fetchRows: FetchRows<T>,
): Promise<Listed<T>> {
  const { indexes, next } = await findPage(database, search, asked)
  const items = await fetchRows(database, indexes)
  return { items, next, ...(asked.total === true ? { total: await totalOf(database, search) } : {}) }
}
