import { join } from 'node:path'
import { readConfig } from '../server/config.js'
import { migrate, migrationState } from '../server/db/migrate.js'
import { createPool } from '../server/db/pool.js'
import { DatabaseError } from '../server/db/pool-errors.js'
import { checkBrokerRole } from '../server/db/role-check.js'
import { StartError } from '../server/errors.js'
import { createLog } from '../server/log.js'
import { packageRoot } from '../server/paths.js'

export interface MigrateAnswer {
  readonly applied: readonly string[]
  readonly version: number
  readonly broker_login_checked: boolean
}

/** Migrates as the owner, then looks at the broker's login as the broker would. Throws `StartError`. */
export async function migrateDatabase(): Promise<MigrateAnswer> {
  const { mode, databaseUrl, migrateDatabaseUrl } = readConfig(undefined, 'migrate')
  if (mode === 'local') {
    throw new StartError(
      'Local mode migrates its own database when it starts; `writ migrate` is for production.',
    )
  }
  if (migrateDatabaseUrl === undefined) {
    throw new StartError(
      'WRIT_MIGRATE_DATABASE_URL is missing: migrations run as a login that is a member of writ_owner.',
    )
  }
  // Warnings and errors only: the answer says what was done.
  const log = createLog('warn')
  const directory = join(packageRoot(), 'migrations')
  try {
    const { applied, version } = await migrate({ ownerUrl: migrateDatabaseUrl, directory, log })
    if (databaseUrl === undefined) return { applied, version, broker_login_checked: false }
    const database = createPool({
      connectionString: databaseUrl,
      applicationName: 'writ migrate',
      log,
      max: 1,
    })
    try {
      await checkBrokerRole(database)
      const state = await migrationState(database, directory)
      if (!state.upToDate) {
        throw new StartError(
          `DATABASE_URL leads to another database: ${state.problem ?? 'it is not migrated.'}`,
        )
      }
    } finally {
      await database.end()
    }
    return { applied, version, broker_login_checked: true }
  } catch (error) {
    if (error instanceof DatabaseError) throw new StartError(`The database cannot be used: ${error.message}.`)
    throw error
  }
}
