import pg from 'pg'

/**
 * Something the database refused, or could not do now. Holds neither the connection string nor a value of
 * a query; PostgreSQL's DETAIL, which quotes whole rows, is dropped, and there is no `cause` to print it.
 */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError'
  /** Five characters (PostgreSQL manual, Appendix A); empty when the server did not answer at all. */
  readonly sqlState: string
  /** Whether trying again later may help: connection, overload, shutdown, a timeout. The outcome is unknown. */
  readonly unavailable: boolean
  readonly constraint?: string
  /** Offset into the statement's text, from 1, where the server gave one. */
  readonly position?: number

  constructor(
    message: string,
    facts: { sqlState: string; unavailable: boolean; constraint?: string; position?: number },
  ) {
    super(message)
    this.sqlState = facts.sqlState
    this.unavailable = facts.unavailable
    if (facts.constraint !== undefined) this.constraint = facts.constraint
    if (facts.position !== undefined) this.position = facts.position
  }
}

/**
 * Connection exceptions, shortage, operator intervention, canceled by a timeout (57014, 55P03, 25P03,
 * 25P04), and read-only: a failover has made this server the replica.
 */
const UNAVAILABLE = /^(08|53|57|25006|55P03|25P03|25P04)/

/** States after which this connection is gone, or leads to the wrong server. */
const BROKEN = /^(08|57P|25006|25P03|25P04)/

/** What pg says itself, without a code, when a connection was lost, closed, or not had in time. */
const LOST = /timeout|terminated|ended|closed|queryable|calling end|unexpected/i

export interface Translated {
  readonly error: unknown
  /** Whether the connection must not be used again. */
  readonly broken: boolean
}

/** Turns what pg throws into a `DatabaseError`; a mistake of our own comes back as it is. */
export function translate(error: unknown): Translated {
  if (error instanceof DatabaseError) return { error, broken: BROKEN.test(error.sqlState) }
  if (error instanceof pg.DatabaseError && error.code !== undefined) {
    return { error: fromServer(error, error.code), broken: BROKEN.test(error.code) }
  }
  if (!(error instanceof Error)) return { error, broken: true }
  const lost = 'code' in error || LOST.test(error.message)
  if (!lost || error instanceof TypeError) return { error, broken: true }
  return { error: unreachable(error), broken: true }
}

/** For whatever went wrong while a connection was made: name, certificate, password, time. */
export function unreachable(error: unknown): DatabaseError {
  const translated = error instanceof pg.DatabaseError ? translate(error).error : undefined
  if (translated instanceof DatabaseError) return translated
  const { code, message } = error as NodeJS.ErrnoException
  // A failed dial to several addresses is an AggregateError without a message of its own.
  const reason = message === '' ? code : message
  return new DatabaseError(`the database cannot be reached: ${reason}`, { sqlState: '', unavailable: true })
}

function fromServer(error: pg.DatabaseError, sqlState: string): DatabaseError {
  // Class 22 quotes the value it could not take: invalid input syntax for type integer: "…".
  const message = sqlState.startsWith('22') ? `a value was not accepted (${sqlState})` : error.message
  const position = Number(error.position)
  return new DatabaseError(message, {
    sqlState,
    unavailable: UNAVAILABLE.test(sqlState),
    ...(error.constraint === undefined ? {} : { constraint: error.constraint }),
    ...(Number.isInteger(position) ? { position } : {}),
  })
}
