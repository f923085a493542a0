import type { Database } from '../../db/pool.js'
import { planned } from './planned.js'

// Whatever the values, the way is the same: to plan it for each again took up to two thirds of the time.
const SETTINGS =
  'SET TRANSACTION READ ONLY; SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_generic_plan'

/**
 * Runs a statement that reads the first rows of an index in its order. Without sorting there is no other way to
 * that order: where statistics are missing or old the planner takes a common value for a rare one, and would fetch
 * and sort all that has it. Measured on 60,000 rows without statistics: 29,400 rows read for 51.
 */
export async function inOrder<Row extends object>(
  database: Database,
  text: string,
  values: readonly unknown[],
): Promise<Row[]> {
  return database.transaction(async (client) => {
    await client.query(SETTINGS)
    return client.query<Row>(text, values, planned(text))
  })
}
