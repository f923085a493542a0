import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Database } from '../../db/pool.js'
import { StartError } from '../../errors.js'
import { openCheckpoint, signCheckpoint } from '../merkle/checkpoint.js'
import { ProofError } from '../merkle/error.js'
import { type NoteSigner, parseVerifierKey } from '../merkle/keys.js'
import { type Checkpointer, createCheckpointer } from './checkpointer.js'
import { folder, type Published } from './folder.js'
import { logStore } from './store.js'

export const originNote = z.object({
  previous_origin: z.string(),
  /** The last checkpoint of the log given up, as it was signed; empty when there was none. */
  previous_checkpoint: z.string(),
  reason: z.string(),
  at: z.string(),
})
export type OriginNote = z.infer<typeof originNote>

/** Where the note lies in the folder of the new log. */
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

const EVERY_MS = 1_000

/**
 * Publishes the log of a database to a folder, about once a second while there is something new. Throws
 * `StartError` when the two disagree before it has begun.
 */
export async function publishLog(options: {
  readonly database: Database
  readonly signer: NoteSigner
  readonly directory: string
  readonly log: Log
}): Promise<Publishing> {
  const { signer, log } = options
  const published = folder(options.directory)
  const key = parseVerifierKey(signer.verifierKey)
  const checkpointer = createCheckpointer({
    store: logStore(options.database),
    published,
    origin: signer.name,
    sign: (head) =>
      signCheckpoint({ origin: signer.name, ...head, extensions: [] }, [signer]).toString('utf8'),
    open: (note) => openCheckpoint(Buffer.from(note), [key], signer.name),
    holder: randomUUID(),
    onTrouble: (why) => log.error({ origin: signer.name, why }, 'the record is not what was published'),
  })
  try {
    await checkpointer.start()
  } catch (error) {
    if (!(error instanceof ProofError)) throw error
    throw new StartError(
      `What is published in ${options.directory} cannot be gone on from: ${error.message} WRIT_LOG_DIR and WRIT_LOG_KEY_FILE must belong together.`,
    )
  }
  const note = checkpointer.size() === 0 ? await published.read(ORIGIN_FILE) : undefined
  const begun = note === undefined ? undefined : originNote.parse(JSON.parse(note.toString('utf8')))

  let failure: string | undefined
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  let closed = false
  const round = async (): Promise<void> => {
    try {
      await checkpointer.tick()
      failure = undefined
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      if (failure !== why) log.error({ why }, 'the log could not be published')
      failure = why
    }
  }
  const schedule = (): void => {
    timer = setTimeout(() => {
      running = round().then(() => {
        if (!closed) schedule()
      })
    }, EVERY_MS)
    timer.unref()
  }
  schedule()
  return {
    checkpointer,
    published,
    origin: signer.name,
    verifierKey: signer.verifierKey,
    ...(begun === undefined ? {} : { begun }),
    failure: () => failure,
    close: async () => {
      closed = true
      clearTimeout(timer)
      await running
      // What was recorded since the last round.
      await round()
    },
  }
}
