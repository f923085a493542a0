import type { Database } from '../../db/pool.js'
import { type EventView, fetchEvents } from './events.js'
import { type EventFilter, searchEvents } from './filters.js'
import { walk } from './search.js'
import { type Total, totalOf } from './totals.js'

/** The first entries that a filter finds, in the order of the log, and how many more there are. */
export async function oldestEvents(
  database: Database,
  filter: EventFilter,
  most: number,
): Promise<{ readonly events: readonly EventView[]; readonly more: Total }> {
  const search = await searchEvents(database, filter)
  const found: number[] = []
  for await (const step of walk(database, search, 'asc', most + 1)) {
    found.push(...step.found)
    if (found.length > most) break
  }
  const events = await fetchEvents(database, found.slice(0, most))
  if (found.length <= most) return { events, more: { count: 0, exact: true } }
  const { count, exact } = await totalOf(database, search)
  return { events, more: { count: Math.max(count - most, 1), exact } }
}
