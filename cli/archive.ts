import {
  type Archived,
  archivePartition,
  finishDetaching,
  planArchive,
} from '../server/audit/archive/archive.js'
import type { FullPartition } from '../server/audit/archive/detach.js'
import type { VerifierKey } from '../server/audit/merkle/keys.js'
import type { ReadFile } from '../server/audit/merkle/tiles.js'
import { bucketPlace } from '../server/audit/publish/bucket.js'
import { folder } from '../server/audit/publish/folder.js'
import { readLogKey } from '../server/audit/publish/log-key.js'
import { openBucket } from '../server/aws/s3.js'
import { asOwner } from '../server/db/owner.js'
import type { Queryable } from '../server/db/pool.js'
import { verifierKeys } from './audit-keys.js'
import { confirm } from './confirm.js'
import { usageError } from './exit.js'
import { type OwnerSide, onDatabase, ownerSide } from './owner-url.js'

export interface ArchiveOptions {
  readonly olderThan: number
  readonly out: string
  readonly by: string
  readonly personal?: boolean
  readonly log?: string
  readonly key?: readonly string[]
  readonly dryRun?: boolean
  readonly yes?: boolean
}

export interface ArchiveAnswer {
  readonly dry_run: boolean
  /** Written, recorded and detached; in a dry run what would be. */
  readonly archived: readonly (Archived | FullPartition)[]
  /** Partitions that an earlier run had recorded and not detached. */
  readonly finished: readonly string[]
  /** Full ones that stay, and why. */
  readonly kept: readonly FullPartition[]
}

/** Archives what is old enough, the oldest first. Throws `ProofError`, `CliError`, `StartError`. */
export async function archiveRecord(options: ArchiveOptions): Promise<ArchiveAnswer> {
  const side = await ownerSide()
  const keys = await keysOf(side, options)
  const { read, close } = await publishedLog(side, options)
  try {
    return await onDatabase(() => asOwner(side.url, side.log, (owner) => archive(owner, read, keys, options)))
  } finally {
    close()
  }
}

async function archive(
  owner: Queryable,
  read: ReadFile,
  keys: readonly VerifierKey[],
  options: ArchiveOptions,
): Promise<ArchiveAnswer> {
  const plan = await planArchive(owner, read, keys, options.olderThan)
  const ready = plan.partitions.filter((one) => one.why_not === undefined)
  const kept = plan.partitions.filter((one) => one.why_not !== undefined)
  if (options.dryRun === true) return { dry_run: true, archived: ready, finished: plan.unfinished, kept }
  const [first, last] = [ready[0], ready.at(-1)]
  if (first !== undefined && last !== undefined && options.yes !== true) {
    await confirm(
      `Entries ${first.from} to ${last.to - 1} leave the database for ${options.out}. Archive them?`,
    )
  }
  const finished = await finishDetaching(owner)
  const archived: Archived[] = []
  const target = { by: options.by, directory: options.out, personal: options.personal === true }
  for (const partition of ready) archived.push(await archivePartition(owner, plan, target, partition))
  return { dry_run: false, archived, finished, kept }
}

interface ReadLog {
  readonly read: ReadFile
  readonly close: () => void
}

async function publishedLog({ config }: OwnerSide, { log }: ArchiveOptions): Promise<ReadLog> {
  const directory = log ?? config.publish?.directory
  if (directory !== undefined) return { read: folder(directory).read, close: () => undefined }
  if (config.logBucket === undefined) {
    throw usageError(
      'Where the log is published is not known.',
      'Set WRIT_LOG_DIR or WRIT_LOG_BUCKET as for the broker, or name a copy of the tiles with --log.',
    )
  }
  const bucket = await openBucket(config.logBucket)
  return { read: bucketPlace(bucket).read, close: bucket.close }
}

async function keysOf({ config }: OwnerSide, { key }: ArchiveOptions): Promise<readonly VerifierKey[]> {
  if (key !== undefined) return verifierKeys(key)
  const keyFile = config.publish?.keyFile ?? config.logBucket?.keyFile
  if (keyFile === undefined) throw usageError('Give the public key of the log with --key.')
  return verifierKeys([(await readLogKey(keyFile)).verifierKey])
}
