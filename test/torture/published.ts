import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseVerifierKey } from '../../server/audit/merkle/keys.js'
import { verifyTiles } from '../../server/audit/verify/tiles.js'
import type { Database } from '../../server/db/pool.js'
import type { RecordFacts } from './evidence.js'
import type { Stage } from './stage.js'
import type { Watcher } from './watcher.js'

export interface PublishedFacts {
  readonly findings: readonly string[]
  /** Signed checkpoints that agreed with the entries, the newest included. */
  readonly checkpoints: number
}

/**
 * The published folder by itself, with the public key alone, at every checkpoint that was ever signed or seen;
 * then against the database.
 */
export async function judgePublished(
  { folder, verifierKey, admin }: Pick<Stage, 'folder' | 'verifierKey' | 'admin'>,
  watcher: Watcher,
  record: RecordFacts,
): Promise<PublishedFacts> {
  const findings = [...watcher.unreadable]
  const notes = new Map(watcher.seen)
  for (const [size, note] of await signed(admin)) {
    const known = notes.get(size)
    if (known !== undefined && !known.equals(note))
      findings.push(`two checkpoints of ${size} entries were signed`)
    notes.set(size, note)
  }
  const read = async (path: string): Promise<Buffer | undefined> => {
    const older = /^checkpoints\/(\d+)$/.exec(path)?.[1]
    if (older !== undefined) return notes.get(Number(older))
    return readFile(join(folder, path)).catch(() => undefined)
  }
  try {
    const verified = await verifyTiles(read, [parseVerifierKey(verifierKey)], { checkpoints: notes.keys() })
    if (verified.size !== record.entries.length || !verified.root.equals(record.root))
      findings.push(
        `${verified.size} entries are published, and the database has ${record.entries.length} or others`,
      )
    return { findings, checkpoints: verified.checkpoints }
  } catch (error) {
    findings.push(`the published log does not verify: ${error instanceof Error ? error.message : 'unknown'}`)
    return { findings, checkpoints: 0 }
  }
}

async function signed(database: Database): Promise<readonly (readonly [number, Buffer])[]> {
  const rows = await database.query<{ size: string; note: string }>('SELECT size, note FROM writ.checkpoint')
  return rows.map(({ size, note }) => [Number(size), Buffer.from(note)])
}
