import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Database } from '../../db/pool.js'
import { StartError } from '../../errors.js'
import type { LockedBucket } from '../../types-aws.js'
import { openCheckpoint, signCheckpoint } from '../merkle/checkpoint.js'
import { ProofError } from '../merkle/error.js'
import { type NoteSigner, parseVerifierKey } from '../merkle/keys.js'
import { bucketPlace } from './bucket.js'
import { type Checkpointer, createCheckpointer } from './checkpointer.js'
import { folder, type Published } from './folder.js'
import { createMirror } from './mirror.js'
import { logStore } from './store.js'

export const originNote = z.object({
  previous_origin: z.string(),
  /** The last checkpoint of the log given up, as it was signed; empty when there was none. */
  previous_checkpoint: z.string(),
  reason: z.string(),
  at: z.string(),
})
export type OriginNote = z.infer<typeof originNote>

/** Where the note lies in the folder, or below the prefix, of the new log. */
export const ORIGIN_FILE = 'origin.json'

export interface Log {
  error(detail: object, message: string): void
}

/** A log that is being published. */
export interface Publishing {
  readonly checkpointer: Checkpointer
  readonly published: Published
  readonly origin: string
  /** What verifies its checkpoints: `name+id+base64`. */
  readonly verifierKey: string
  /** Set when this log begins where an older one was given up: what `writ audit new-origin` wrote down. */
  readonly begun?: OriginNote
  /** Why the last attempt failed; undefined when it did not. */
  readonly failure: () => string | undefined
  readonly close: () => Promise<void>
}

/** A tenth of the requests and of the locked partial tiles that rounds of a second would make in a bucket. */
const FOLDER_EVERY_MS = 1_000
const BUCKET_EVERY_MS = 10_000

interface Options {
  readonly database: Database
  readonly signer: NoteSigner
  readonly log: Log
  readonly directory?: string
  /** Beside the folder, or instead of it. Closed with the publishing, also when this does not begin. */
  readonly bucket?: LockedBucket
}

/**
 * Publishes the log of a database while there is something new: to a folder about once a second, to a bucket every
 * ten seconds; with both, to the folder first and from there to the bucket. Throws `StartError` when one of them
 * and the database disagree before it has begun, or when neither is given.
 */
export async function publishLog(options: Options): Promise<Publishing> {
  try {
    return await begin(options)
  } catch (error) {
    options.bucket?.close()
    throw error
  }
}

async function begin({ database, signer, log, directory, bucket }: Options): Promise<Publishing> {
  const key = parseVerifierKey(signer.verifierKey)
  const common = {
    store: logStore(database),
    origin: signer.name,
    open: (note: string) => openCheckpoint(Buffer.from(note), [key], signer.name),
    onTrouble: (why: string) =>
      log.error({ origin: signer.name, why }, 'the record is not what was published'),
  }
  const first = directory === undefined ? bucket && bucketPlace(bucket) : folder(directory)
  if (first === undefined) throw new StartError('Neither a folder nor a bucket is set to publish the log to.')
  const everyMs = directory === undefined ? BUCKET_EVERY_MS : FOLDER_EVERY_MS
  const primary = createCheckpointer({
    ...common,
    published: first,
    sign: (head) =>
      signCheckpoint({ origin: signer.name, ...head, extensions: [] }, [signer]).toString('utf8'),
    holder: randomUUID(),
    leaseSeconds: Math.max(10, (3 * everyMs) / 1_000),
  })
  const mirror =
    directory === undefined || bucket === undefined
      ? undefined
      : createMirror({ ...common, source: first.read, target: bucketPlace(bucket), name: bucket.name })
  const note = await started(directory ?? bucket?.name, directory === undefined, async () => {
    await primary.start()
    return primary.size() === 0 ? first.read(ORIGIN_FILE) : undefined
  })
  if (mirror !== undefined) await started(bucket?.name, true, mirror.start)
  const begun = note === undefined ? undefined : originNote.parse(JSON.parse(note.toString('utf8')))

  const rounds = [repeat(everyMs, log, async () => void (await primary.tick()))]
  if (mirror !== undefined) {
    const copy = async (closing: boolean) => {
      // Out of reach for long, and then the end: what is left goes with the next start.
      const left = await mirror.tick(primary.writing(), closing ? 1 : undefined)
      if (left > 0 && primary.writing())
        throw new Behind(`${bucket?.name} is ${left} entries behind, and catching up`)
    }
    rounds.push(repeat(BUCKET_EVERY_MS, log, copy))
  }
  return {
    checkpointer: {
      ...primary,
      tick: async () => {
        for (const one of rounds) await one.now()
        return primary.size()
      },
      trouble: () => primary.trouble() ?? mirror?.trouble(),
    },
    // Not the place that compares: what a reader of ours sees must not count as what the writer saw.
    published: bucket !== undefined && directory === undefined ? bucketPlace(bucket) : first,
    origin: signer.name,
    verifierKey: signer.verifierKey,
    ...(begun === undefined ? {} : { begun }),
    failure: () => rounds.flatMap((one) => one.failure() ?? []).join('; ') || undefined,
    close: async () => {
      for (const one of rounds) await one.close()
      bucket?.close()
    },
  }
}

async function started<T>(place: string | undefined, bucket: boolean, start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (error) {
    if (error instanceof ProofError) {
      throw new StartError(
        `What is published in ${place} cannot be gone on from: ${error.message} ${bucket ? 'WRIT_LOG_BUCKET' : 'WRIT_LOG_DIR'} and WRIT_LOG_KEY_FILE must belong together.`,
      )
    }
    if (error instanceof StartError || !bucket) throw error
    // It may hold what this database has forgotten.
    throw new StartError(
      `WRIT_LOG_BUCKET cannot be compared with the database: ${error instanceof Error ? error.message : 'unknown'}.`,
    )
  }
}

/** There is more to do: not an error, and worth telling until it is done. */
class Behind extends Error {
  override readonly name = 'Behind'
}

interface Rounds {
  /** One more round now, after the one under way. Never rejects: what went wrong is `failure`. */
  readonly now: () => Promise<void>
  readonly failure: () => string | undefined
  /** After one more round, for what was recorded since the last. */
  readonly close: () => Promise<void>
}

function repeat(everyMs: number, log: Log, work: (closing: boolean) => Promise<void>): Rounds {
  let failure: string | undefined
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  let closed = false
  let behind = false
  const round = async (): Promise<void> => {
    try {
      await work(closed)
      failure = undefined
      behind = false
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      behind = error instanceof Behind
      if (failure !== why && !behind) log.error({ why }, 'the log could not be published')
      failure = why
    }
  }
  const now = (): Promise<void> => {
    running = running.then(round)
    return running
  }
  const schedule = (): void => {
    timer = setTimeout(
      () => {
        void now().then(() => {
          if (!closed) schedule()
        })
      },
      behind ? 0 : everyMs,
    )
    timer.unref()
  }
  schedule()
  return {
    now,
    failure: () => failure,
    close: () => {
      closed = true
      clearTimeout(timer)
      return now()
    },
  }
}
