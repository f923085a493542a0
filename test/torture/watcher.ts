import { setTimeout as delay } from 'node:timers/promises'
import { openCheckpoint } from '../../server/audit/merkle/checkpoint.js'
import { parseVerifierKey } from '../../server/audit/merkle/keys.js'
import { folder } from '../../server/audit/publish/folder.js'

/** Somebody outside who keeps every checkpoint they see. */
export interface Watcher {
  /** Size → note. */
  readonly seen: ReadonlyMap<number, Buffer>
  /** How often a smaller one lay where a larger one had been. */
  readonly wentBack: () => number
  /** What was not a checkpoint of this log at all. */
  readonly unreadable: readonly string[]
  readonly stop: () => Promise<void>
}

const EVERY_MS = 100

export function watchPublished(directory: string, verifierKey: string): Watcher {
  const published = folder(directory)
  const keys = [parseVerifierKey(verifierKey)]
  const seen = new Map<number, Buffer>()
  const unreadable: string[] = []
  let last = 0
  let back = 0
  let stopped = false

  async function look(): Promise<void> {
    const note = await published.read('checkpoint')
    if (note === undefined) return
    try {
      const { size } = openCheckpoint(note, keys)
      if (size < last) back += 1
      last = size
      const known = seen.get(size)
      if (known === undefined) seen.set(size, note)
      else if (!known.equals(note)) unreadable.push(`two checkpoints of ${size} entries`)
    } catch (error) {
      unreadable.push(error instanceof Error ? error.message : 'unknown')
    }
  }

  const running = (async () => {
    while (!stopped) {
      await look()
      await delay(EVERY_MS)
    }
    await look()
  })()
  return {
    seen,
    wentBack: () => back,
    unreadable,
    stop: async () => {
      stopped = true
      await running
    },
  }
}
