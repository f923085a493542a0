import type { Database } from '../../db/pool.js'
import { type Search, walk } from './search.js'

const AT_ONCE = 500

export type FetchRows<T> = (database: Database, indexes: readonly number[]) => Promise<readonly T[]>

/**
 * All that a search finds, oldest first. Holds at most a page of rows, and nothing in the database between two
 * pages: a reader that stalls holds up nobody.
 */
export async function* streamOf<T>(
  database: Database,
  search: Search,
  fetchRows: FetchRows<T>,
): AsyncGenerator<T> {
  for await (const { found } of walk(database, search, 'asc', AT_ONCE)) {
    for (let at = 0; at < found.length; at += AT_ONCE) {
      yield* await fetchRows(database, found.slice(at, at + AT_ONCE))
    }
  }
}
