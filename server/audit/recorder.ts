import { WritError } from '../errors.js'
import type { AppendItem, RecordItem, Verdict } from './items.js'

interface Waiting {
  readonly item: AppendItem
  readonly since: number
  readonly resolve: (verdict: Verdict) => void
  readonly reject: (error: Error) => void
}

export interface Recorder {
  readonly record: RecordItem
  /** Resolves when everything handed in so far is committed or refused. */
  readonly drain: () => Promise<void>
  readonly depth: () => number
}

/** Appends a batch in one statement. A thrown error with `unavailable: true` means the outcome is unknown. */
export type AppendBatch = (items: readonly AppendItem[]) => Promise<readonly Verdict[]>

/** Measured: larger batches gain nothing more, and lengthen the head's lock. */
const LARGEST_BATCH = 256

/** A request that waits longer than this for the record is better told to come back. */
const OLDEST_WAIT_MS = 2_000

/**
 * Group commit: whatever came in while the last commit was under way goes into the next. No linger
 * (a millisecond of it lowered throughput and raised the median).
 */
export function createRecorder(append: AppendBatch, now: () => number = Date.now): Recorder {
  const queue: Waiting[] = []
  let running: Promise<void> | undefined

  const record: RecordItem = (item) =>
    new Promise((resolve, reject) => {
      const oldest = queue[0]
      // An outcome is never shed: the session it tells of exists already.
      if (item.op !== 'outcome' && oldest !== undefined && now() - oldest.since > OLDEST_WAIT_MS) {
        reject(new WritError('record_busy', 'The record is behind.', { retryAfterSeconds: 2 }))
        return
      }
      queue.push({ item, since: now(), resolve, reject })
      running ??= flush()
    })

  async function flush(): Promise<void> {
    // Lets everything that arrived in this turn of the event loop into the first batch.
    await Promise.resolve()
    while (queue.length > 0) await settle(queue.splice(0, LARGEST_BATCH))
    // In the same turn as the look at the queue: what came a turn later would wait for a flush that has ended.
    running = undefined
  }

  async function settle(batch: readonly Waiting[]): Promise<void> {
    try {
      const verdicts = await append(batch.map((waiting) => waiting.item))
      batch.forEach((waiting, i) => {
        const verdict = verdicts[i]
        if (verdict === undefined) waiting.reject(unavailable())
        else waiting.resolve(verdict)
      })
    } catch (error) {
      if (batch.length > 1 && !isUnavailable(error)) {
        // One poisonous item (a NUL byte, a constraint) rolled the batch back: it must not fail its neighbours.
        const middle = batch.length >> 1
        await settle(batch.slice(0, middle))
        await settle(batch.slice(middle))
        return
      }
      // After a lost connection the rows may be there or not. Either way nothing is handed out: an intent
      // without outcome is swept, an outcome without delivery is a session nobody holds.
      for (const waiting of batch) waiting.reject(unavailable(error))
    }
  }

  return {
    record,
    drain: async () => {
      while (running !== undefined) await running
    },
    depth: () => queue.length,
  }
}

function unavailable(cause?: unknown): WritError {
  const error = new WritError(
    'record_unavailable',
    'The record could not be written, so nothing is answered.',
  )
  if (cause !== undefined) error.cause = cause
  return error
}

function isUnavailable(error: unknown): boolean {
  return error instanceof Error && 'unavailable' in error && error.unavailable === true
}
