import type { Logger } from 'pino'
import { readLogKey, readOrMakeLogKey } from '../audit/publish/log-key.js'
import { type Publishing, publishLog } from '../audit/publish/publishing.js'
import type { Config } from '../config.js'
import type { Database } from '../db/pool.js'

const LOCAL_ORIGIN = 'writ.localhost/log'

/** Before anything is recorded: a restored database must not be built upon. */
export async function startPublishing(
  config: Config,
  database: Database,
  log: Logger,
): Promise<Publishing | undefined> {
  if (config.publish === undefined) {
    log.warn('WRIT_LOG_DIR is not set: this replica does not publish the log')
    return undefined
  }
  const { directory, keyFile } = config.publish
  const signer =
    config.mode === 'local' ? await readOrMakeLogKey(keyFile, LOCAL_ORIGIN) : await readLogKey(keyFile)
  return publishLog({ database, signer, directory, log })
}
