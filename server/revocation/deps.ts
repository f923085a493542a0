import type { RecordItem } from '../audit/items.js'
import type { Database, Log } from '../db/pool.js'
import type { OperatorDeps } from '../operators/deps.js'

/** What stopping and killing need; handed in by the wiring. */
export interface RevocationDeps {
  readonly database: Database
  /** For refusals. What is stopped is recorded by the database itself, whatever the record is worth. */
  readonly record: RecordItem
  readonly newId: () => string
  readonly now: () => Date
  readonly log: Log
  /** Releasing takes signatures. */
  readonly operators: OperatorDeps
  /** Something is to die: has the denies written now, not at the worker's next round. */
  readonly kick: () => void
}
