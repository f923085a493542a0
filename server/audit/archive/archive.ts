import type { Queryable } from '../../db/pool.js'
import { openCheckpoint } from '../merkle/checkpoint.js'
import { ProofError } from '../merkle/error.js'
import type { VerifierKey } from '../merkle/keys.js'
import type { ReadFile } from '../merkle/tiles.js'
import {
  detach,
  type FullPartition,
  fullPartitions,
  instantBefore,
  recordArchive,
  unfinished,
} from './detach.js'
import { type ArchiveTarget, checkArchive, type PublishedLog, writeArchive } from './write.js'

export interface ArchiveOrder extends ArchiveTarget {
  readonly by: string
  readonly olderThanSeconds: number
}

export interface ArchivePlan {
  readonly log: PublishedLog
  readonly before: string
  /** What an earlier run did not come to finish. */
  readonly unfinished: readonly string[]
  readonly partitions: readonly FullPartition[]
}

export interface Archived {
  readonly partition: string
  readonly from: number
  readonly to: number
  readonly manifest: string
  /** The entry that says so. */
  readonly index: number
}

/** What could be archived now, and what keeps the rest. Throws `ProofError` when nothing is published, or wrongly. */
export async function planArchive(
  owner: Queryable,
  read: ReadFile,
  keys: readonly VerifierKey[],
  olderThanSeconds: number,
): Promise<ArchivePlan> {
  const note = await read('checkpoint')
  if (note === undefined) {
    throw new ProofError('file_missing', 'No checkpoint is published: an archive could not be proven.', {
      path: 'checkpoint',
    })
  }
  const { origin, size } = openCheckpoint(note, keys)
  const log = { read, keys, origin, note: note.toString('utf8'), size }
  const before = await instantBefore(owner, olderThanSeconds)
  const partitions = await fullPartitions(owner, before, size)
  return { log, before, unfinished: await unfinished(owner), partitions }
}

/** Finishes what an earlier run began. Answers the partitions. */
export async function finishDetaching(owner: Queryable): Promise<readonly string[]> {
  const names = await unfinished(owner)
  for (const name of names) await detach(owner, name)
  return names
}

/**
 * Archives one partition: write, read back against what was published, record, detach, in this order. After a
 * crash at any point nothing is lost, and another run goes on: before the record the archive is checked again, or
 * written again; after it the partition is found by `unfinished`.
 */
export async function archivePartition(
  owner: Queryable,
  { log, before }: Pick<ArchivePlan, 'log' | 'before'>,
  { by, ...target }: Omit<ArchiveOrder, 'olderThanSeconds'>,
  { name, from, to }: FullPartition,
): Promise<Archived> {
  const archive = await writeArchive(owner, log, target, { from, to })
  const { origin, size, root } = await checkArchive(archive, log)
  const index = await recordArchive(owner, { name, by, origin, size, root: root.toString('base64'), before })
  await detach(owner, name)
  return { partition: name, from, to, manifest: archive.manifestFile, index }
}
