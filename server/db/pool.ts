import { readFileSync } from 'node:fs'
import pg from 'pg'
import { StartError } from '../errors.js'
import { DatabaseError, translate, unreachable } from './pool-errors.js'

/** What this folder needs of a logger; pino's is one. */
export interface Log {
  info(detail: object, message: string): void
  warn(detail: object, message: string): void
  error(detail: object, message: string): void
}

export interface Queryable {
  /** Rows of the (last) statement. With `name` it is prepared once per connection: one name, one text. */
  query<Row extends object = Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
    options?: { readonly name?: string },
  ): Promise<Row[]>
}

/** Everything throws `DatabaseError`, and what the function handed in throws. */
export interface Database extends Queryable {
  /** One connection for the length of `work`. */
  withClient<T>(work: (client: Queryable) => Promise<T>): Promise<T>
  /** BEGIN, `work`, COMMIT; whatever it throws rolls back. */
  transaction<T>(work: (client: Queryable) => Promise<T>): Promise<T>
  /** Waits for queries under way. May be called more than once. */
  end(): Promise<void>
  stats(): { readonly total: number; readonly idle: number; readonly waiting: number }
}

export interface PoolOptions {
  /** A URL; TLS by its `sslmode`. */
  readonly connectionString: string
  /** A file whose content replaces the URL's password. */
  readonly passwordFile?: string
  readonly applicationName: string
  readonly log: Log
  /** Connections at most; default 10. */
  readonly max?: number
  /** Default 5,000; 0 means none. */
  readonly statementTimeoutMs?: number
  /** Default 3,000; 0 means none. */
  readonly lockTimeoutMs?: number
  /** Default 10,000. */
  readonly idleInTransactionMs?: number
  /** Longest transaction, on PostgreSQL 17 and newer; default none. Ends the connection. */
  readonly transactionTimeoutMs?: number
  /** For a free connection of the pool as for a new one; default 3,000. */
  readonly connectTimeoutMs?: number
}

/** The server's own timeout should speak first: after ours the statement may still commit. */
const CLIENT_TIMEOUT_MARGIN_MS = 2_000

/** Connects when first used. Throws StartError on an unusable connection string. */
export function createPool(options: PoolOptions): Database {
  const { log } = options
  const statementTimeoutMs = options.statementTimeoutMs ?? 5_000
  const pool = new pg.Pool({
    connectionString: connectionUrl(options),
    application_name: options.applicationName,
    max: options.max ?? 10,
    statement_timeout: statementTimeoutMs,
    lock_timeout: options.lockTimeoutMs ?? 3_000,
    idle_in_transaction_session_timeout: options.idleInTransactionMs ?? 10_000,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 3_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    ...(statementTimeoutMs > 0 ? { query_timeout: statementTimeoutMs + CLIENT_TIMEOUT_MARGIN_MS } : {}),
  })
  // The server going away is an event on idle and on checked-out connections alike; without a listener on
  // both it ends the process. A query under way gets its own rejection.
  pool.on('error', (error) => {
    log.warn({ code: (error as { code?: string }).code ?? '' }, 'an idle database connection was lost')
  })
  pool.on('connect', (client) => {
    client.on('error', () => undefined)
    // A sender that stops between the last two messages of a statement (Execute, Sync) leaves it run and not
    // committed, with its locks held: seen to outlast every other timeout. No row before version 17.
    if (options.transactionTimeoutMs !== undefined) {
      const text =
        "SELECT set_config(name, $1, false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'"
      client.query(text, [String(options.transactionTimeoutMs)]).catch(() => undefined)
    }
  })

  const lease = async <T>(work: (run: Run) => Promise<T>): Promise<T> => {
    const client = await connect(pool)
    let broken = false
    const run: Run = async (text, values, name) => {
      try {
        const result: pg.QueryResult | pg.QueryResult[] = await client.query({
          text,
          ...(values === undefined ? {} : { values: [...values] }),
          ...(name === undefined ? {} : { name }),
        })
        // Several statements in one text answer with several results.
        return Array.isArray(result) ? result.at(-1) : result
      } catch (error) {
        const translated = translate(error)
        broken ||= translated.broken
        throw translated.error
      }
    }
    try {
      return await work(run)
    } finally {
      client.release(broken)
    }
  }

  let ending: Promise<void> | undefined
  return {
    query: (text, values, named) => lease((run) => queryable(run).query(text, values, named)),
    withClient: (work) => lease((run) => work(queryable(run))),
    transaction: (work) => lease((run) => inTransaction(run, work)),
    end: () => {
      ending ??= pool.end()
      return ending
    },
    stats: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
  }
}

type Run = (text: string, values?: readonly unknown[], name?: string) => Promise<pg.QueryResult | undefined>

function queryable(run: Run): Queryable {
  return {
    query: async <Row extends object>(
      text: string,
      values?: readonly unknown[],
      { name }: { readonly name?: string } = {},
    ) => ((await run(text, values, name))?.rows ?? []) as Row[],
  }
}

async function inTransaction<T>(run: Run, work: (client: Queryable) => Promise<T>): Promise<T> {
  await run('BEGIN')
  let result: T
  try {
    result = await work(queryable(run))
  } catch (error) {
    // When this fails too, the connection is broken and thrown away, and the server rolls back.
    await run('ROLLBACK').catch(() => undefined)
    throw error
  }
  const done = await run('COMMIT')
  if (done?.command !== 'COMMIT') {
    // After an error that `work` swallowed, the server answers COMMIT with ROLLBACK, and calls it success.
    throw new DatabaseError('the transaction was rolled back: a statement in it had failed', {
      sqlState: '25P02',
      unavailable: false,
    })
  }
  return result
}

async function connect(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    throw unreachable(error)
  }
}

/** Never echoes its input: a mistyped URL still holds a password. */
function connectionUrl({ connectionString, passwordFile }: PoolOptions): string {
  let url: URL
  try {
    url = new URL(connectionString)
  } catch {
    throw new StartError('The database URL is not a URL; write postgres://user:password@host:port/database.')
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    throw new StartError('The database URL has to begin with postgres:// or postgresql://.')
  }
  // pg verifies the server's certificate in all three and warns that it will not forever; say so instead.
  const sslmode = url.searchParams.get('sslmode') ?? ''
  if (['prefer', 'require', 'verify-ca'].includes(sslmode) && !url.searchParams.has('uselibpqcompat')) {
    url.searchParams.set('sslmode', 'verify-full')
  }
  if (passwordFile !== undefined) url.password = encodeURIComponent(readPassword(passwordFile))
  return url.href
}

function readPassword(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd()
  } catch (error) {
    throw new StartError(
      `The database password file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}.`,
    )
  }
}
