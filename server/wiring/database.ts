import { join } from 'node:path'
import type { Logger } from 'pino'
import { makePartitions, sweep } from '../audit/store.js'
import type { Config } from '../config.js'
import { startEmbeddedPostgres } from '../db/embedded.js'
import { migrate, migrationState } from '../db/migrate.js'
import { createPool, type Database } from '../db/pool.js'
import { checkBrokerRole } from '../db/role-check.js'
import { StartError } from '../errors.js'
import { sweepPace } from '../issuance/standing.js'
import { sweepSessions } from '../operators/sessions.js'
import { packageRoot } from '../paths.js'
import { sweepStops } from '../revocation/stop-store.js'

export const MIGRATIONS = join(packageRoot(), 'migrations')

/**
 * The database, checked: a login that can only append, a schema of this version, room for the log to grow.
 * `given` is migrated already, in place of the configured one. Throws `StartError`.
 */
export async function openDatabase(
  config: Config,
  log: Logger,
  ending: (() => unknown)[],
  given: string | undefined,
): Promise<Database> {
  const database = createPool({
    connectionString: given ?? (await databaseUrl(config, log, ending)),
    applicationName: 'writ',
    log,
    max: 20,
    // No statement of the broker's may take longer, and it has no transaction of several.
    transactionTimeoutMs: 5_000,
  })
  ending.push(() => database.end())
  await checkDatabase(database)
  return database
}

async function databaseUrl(config: Config, log: Logger, ending: (() => unknown)[]): Promise<string> {
  if (config.mode === 'production') {
    if (config.databaseUrl !== undefined) return config.databaseUrl
    throw new StartError('DATABASE_URL is missing: production needs a PostgreSQL database.')
  }
  const embedded = await startEmbeddedPostgres({ dataDir: config.dataDir, log })
  ending.push(() => embedded.stop())
  await migrate({ ownerUrl: embedded.ownerUrl, directory: MIGRATIONS, log })
  return embedded.brokerUrl
}

async function checkDatabase(database: Database): Promise<void> {
  try {
    await checkBrokerRole(database)
    const state = await migrationState(database, MIGRATIONS)
    if (!state.upToDate) {
      throw new StartError(
        `${state.problem ?? 'The database does not fit this version.'} Run \`writ migrate\` first.`,
      )
    }
    await makePartitions(database)
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(
      `The database cannot be used: ${error instanceof Error ? error.message : 'unknown error'}.`,
    )
  }
}

/** Longer than any AssumeRole with its retries may take, so that a sweep never meets one under way. */
const ABANDONED_AFTER_SECONDS = 90
const SWEEP_EVERY_MS = 15_000

export function sweepRegularly(database: Database, log: Logger): () => void {
  const timer = setInterval(() => {
    makePartitions(database).catch((err: unknown) => log.error({ err }, 'no room made for the log'))
    sweep(database, ABANDONED_AFTER_SECONDS).then(
      (closed) => {
        if (closed > 0) log.warn({ closed }, 'swept')
      },
      (err: unknown) => log.error({ err }, 'sweep failed'),
    )
    sweepPace(database).catch((err: unknown) => log.error({ err }, 'counts not swept'))
    sweepStops(database).catch((err: unknown) => log.error({ err }, 'stops not swept'))
    sweepSessions(database).catch((err: unknown) => log.error({ err }, 'sessions not swept'))
  }, SWEEP_EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}
