import type { Logger } from 'pino'
import { readLogKey, readOrMakeLogKey } from '../audit/publish/log-key.js'
import { type Publishing, publishLog } from '../audit/publish/publishing.js'
import { openBucket } from '../aws/s3.js'
import type { Config } from '../config.js'
import type { Database } from '../db/pool.js'

const LOCAL_ORIGIN = 'writ.localhost/log'

/** Before anything is recorded: a restored database must not be built upon. */
export async function startPublishing(
  { mode, publish, logBucket }: Config,
  database: Database,
  log: Logger,
): Promise<Publishing | undefined> {
  const keyFile = publish?.keyFile ?? logBucket?.keyFile
  if (keyFile === undefined) {
    log.warn('neither WRIT_LOG_DIR nor WRIT_LOG_BUCKET is set: this replica does not publish the log')
    return undefined
  }
  const signer = mode === 'local' ? await readOrMakeLogKey(keyFile, LOCAL_ORIGIN) : await readLogKey(keyFile)
  const bucket = logBucket === undefined ? undefined : await openBucket(logBucket)
  return publishLog({
    database,
    signer,
    log,
    ...(publish === undefined ? {} : { directory: publish.directory }),
    ...(bucket === undefined ? {} : { bucket }),
  })
}
