import type { Test } from 'tap'
import { DatabaseError } from '../../server/db/pool-errors.js'

/** The statement is refused by PostgreSQL with this SQLSTATE, and by nothing else. */
export async function failsWith(
  t: Test,
  work: Promise<unknown>,
  sqlState: string,
  why = sqlState,
): Promise<void> {
  const found = await work.then(
    () => 'no error',
    (error: unknown) => (error instanceof DatabaseError ? error.sqlState : String(error)),
  )
  t.equal(found, sqlState, why)
}
