import { resolve } from 'node:path'
import { StartError } from '../errors.js'
import { isServerOf, readPidFile } from './embedded-process.js'
import { readSecrets } from './embedded-secrets.js'
import { createPool, type Log, type Queryable } from './pool.js'
import { DatabaseError } from './pool-errors.js'
import { withLogin } from './provision.js'

/**
 * One connection as `writ_owner`, for what no broker may do. No statement timeout: erasing and archiving take as
 * long as they take. Throws StartError when the login may not become the owner, else `DatabaseError`.
 */
export async function asOwner<T>(
  ownerUrl: string,
  log: Log,
  work: (client: Queryable) => Promise<T>,
): Promise<T> {
  const database = createPool({
    connectionString: ownerUrl,
    applicationName: 'writ owner work',
    log,
    max: 1,
    statementTimeoutMs: 0,
    lockTimeoutMs: 10_000,
    idleInTransactionMs: 60_000,
  })
  try {
    return await database.withClient(async (client) => {
      try {
        await client.query('SET ROLE writ_owner')
      } catch (error) {
        if (!(error instanceof DatabaseError) || !['42501', '22023', '42704'].includes(error.sqlState))
          throw error
        throw new StartError('The login in WRIT_MIGRATE_DATABASE_URL has to be a member of writ_owner.')
      }
      // Never a temporary table of somebody else's in place of ours.
      await client.query('SET search_path TO writ, pg_temp')
      return await work(client)
    })
  } finally {
    await database.end()
  }
}

/** The owner's URL of the embedded database that a running broker of this data folder uses. Throws StartError. */
export async function localOwnerUrl(dataDir: string): Promise<string> {
  const secrets = await readSecrets(dataDir)
  const folder = secrets === undefined ? undefined : resolve(dataDir, secrets.folder)
  const server = folder === undefined ? undefined : await readPidFile(folder)
  if (
    secrets === undefined ||
    folder === undefined ||
    server?.ready !== true ||
    !(await isServerOf(server.pid, folder))
  ) {
    throw new StartError(
      `No broker is running on ${dataDir}: start it, or set WRIT_MIGRATE_DATABASE_URL where it is another database.`,
    )
  }
  return withLogin(`postgres://127.0.0.1:${server.port}/writ`, 'writ_migrator', secrets.owner)
}
