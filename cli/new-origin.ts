import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCheckpoint } from '../server/audit/merkle/checkpoint.js'
import { generateSignerKey, parseSignerKey } from '../server/audit/merkle/keys.js'
import { folder } from '../server/audit/publish/folder.js'
import { readLogKey } from '../server/audit/publish/log-key.js'
import { ORIGIN_FILE, type OriginNote } from '../server/audit/publish/publishing.js'
import { readConfig } from '../server/config.js'
import { StartError } from '../server/errors.js'

export interface NewOrigin {
  readonly origin: string
  readonly verifier_key: string
  readonly previous_origin: string
  readonly kept: readonly string[]
}

/**
 * Gives a log up and begins another: the old folder and key are moved aside, never deleted, and the next start
 * of the broker records what was given up and why. Throws `StartError`.
 */
export async function newOrigin(name: string, reason: string, now: Date): Promise<NewOrigin> {
  const { publish } = readConfig()
  if (publish === undefined) throw new StartError('WRIT_LOG_DIR is not set: no log is published.')
  const { directory, keyFile } = publish
  const old = await readLogKey(keyFile)
  if (old.name === name)
    throw new StartError(`The log is called ${name} already: a new origin needs another name.`)
  const key = generateSignerKey(name)
  const checkpoint = (await folder(directory).read('checkpoint'))?.toString('utf8') ?? ''
  if (checkpoint !== '') parseCheckpoint(checkpoint.slice(0, checkpoint.indexOf('\n\n') + 1))
  const stamp = now.toISOString().replace(/[:.]/g, '-')
  const kept = [`${directory}.${stamp}`, `${keyFile}.${stamp}`] as const
  await rename(directory, kept[0])
  await rename(keyFile, kept[1])
  const note: OriginNote = {
    previous_origin: old.name,
    previous_checkpoint: checkpoint,
    reason,
    at: now.toISOString(),
  }
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, ORIGIN_FILE), `${JSON.stringify(note)}\n`)
  await writeFile(keyFile, `${key}\n`, { mode: 0o600, flag: 'wx' })
  return { origin: name, verifier_key: parseSignerKey(key).verifierKey, previous_origin: old.name, kept }
}
