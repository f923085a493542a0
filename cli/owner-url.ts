import { type Config, readConfig } from '../server/config.js'
import { localOwnerUrl } from '../server/db/owner.js'
import { DatabaseError } from '../server/db/pool-errors.js'
import { StartError } from '../server/errors.js'
import { createLog } from '../server/log.js'

export interface OwnerSide {
  readonly url: string
  readonly config: Config
  /** Warnings and errors only: the answer says what was done. */
  readonly log: ReturnType<typeof createLog>
}

/**
 * The database as its owner: WRIT_MIGRATE_DATABASE_URL, as migrations run, or in local mode the database of the
 * broker that runs on the data folder. Throws StartError.
 */
export async function ownerSide(): Promise<OwnerSide> {
  const config = readConfig(undefined, 'migrate')
  const { mode, migrateDatabaseUrl } = config
  if (migrateDatabaseUrl === undefined && mode !== 'local') {
    throw new StartError(
      'WRIT_MIGRATE_DATABASE_URL is missing: this runs as a login that is a member of writ_owner, never as the broker.',
    )
  }
  const url = migrateDatabaseUrl ?? (await localOwnerUrl(config.dataDir))
  return { url, config, log: createLog('warn') }
}

/** What the database refuses or cannot do ends the command with a sentence. */
export async function onDatabase<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof DatabaseError) throw new StartError(`The database cannot be used: ${error.message}.`)
    throw error
  }
}
