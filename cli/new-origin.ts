import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCheckpoint } from '../server/audit/merkle/checkpoint.js'
import { generateSignerKey, parseSignerKey } from '../server/audit/merkle/keys.js'
import { bucketPlace } from '../server/audit/publish/bucket.js'
import { folder } from '../server/audit/publish/folder.js'
import { readLogKey } from '../server/audit/publish/log-key.js'
import { ORIGIN_FILE, type OriginNote } from '../server/audit/publish/publishing.js'
import { openBucket } from '../server/aws/s3.js'
import { readConfig } from '../server/config.js'
import { StartError } from '../server/errors.js'
import type { LockedBucket } from '../server/types-aws.js'

export interface NewOrigin {
  readonly origin: string
  readonly verifier_key: string
  readonly previous_origin: string
  readonly kept: readonly string[]
}

/**
 * Gives a log up and begins another: the old folder and key are moved aside, never deleted, and the next start
 * of the broker records what was given up and why. In a bucket nothing can be moved: there it is another prefix.
 * `lastCheckpoint` is that of the old log where no folder has it. Throws `StartError`.
 */
export async function newOrigin(
  name: string,
  reason: string,
  now: Date,
  lastCheckpoint = '',
): Promise<NewOrigin> {
  const { publish, logBucket } = readConfig()
  const keyFile = publish?.keyFile ?? logBucket?.keyFile
  if (keyFile === undefined)
    throw new StartError('Neither WRIT_LOG_DIR nor WRIT_LOG_BUCKET is set: no log is published.')
  const old = await readLogKey(keyFile)
  if (old.name === name)
    throw new StartError(`The log is called ${name} already: a new origin needs another name.`)
  const bucket = logBucket === undefined ? undefined : await openBucket(logBucket)
  try {
    if (bucket !== undefined) await requireEmpty(bucket)
    const key = generateSignerKey(name)
    const directory = publish?.directory
    const found = directory === undefined ? undefined : await folder(directory).read('checkpoint')
    const checkpoint = found?.toString('utf8') ?? lastCheckpoint
    if (checkpoint !== '') parseCheckpoint(checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1))
    const note: OriginNote = {
      previous_origin: old.name,
      previous_checkpoint: checkpoint,
      reason,
      at: now.toISOString(),
    }
    const stamp = now.toISOString().replace(/[:.]/g, '-')
    const kept = [...(directory === undefined ? [] : [directory]), keyFile].map((path) => [
      path,
      `${path}.${stamp}`,
    ]) as [string, string][]
    for (const [path, aside] of kept) await rename(path, aside)
    if (directory !== undefined) {
      await mkdir(directory, { recursive: true })
      await writeFile(join(directory, ORIGIN_FILE), `${JSON.stringify(note)}\n`)
    }
    if (bucket !== undefined)
      await bucketPlace(bucket).write(ORIGIN_FILE, Buffer.from(`${JSON.stringify(note)}\n`))
    await writeFile(keyFile, `${key}\n`, { mode: 0o600, flag: 'wx' })
    return {
      origin: name,
      verifier_key: parseSignerKey(key).verifierKey,
      previous_origin: old.name,
      kept: kept.map(([, aside]) => aside),
    }
  } finally {
    bucket?.close()
  }
}

async function requireEmpty(bucket: LockedBucket): Promise<void> {
  if ((await bucket.read('checkpoint')) === undefined) return
  throw new StartError(
    `${bucket.name} holds the log that is given up, and nothing in it can be moved: set WRIT_LOG_BUCKET to another prefix first.`,
  )
}
