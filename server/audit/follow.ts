import type { Database, Log } from '../db/pool.js'
import { DatabaseError } from '../db/pool-errors.js'
import {
  type After,
  type FollowedEntry,
  type FollowFilter,
  NotThisLog,
  other,
  type Position,
  positionAfter,
  readStretch,
  STRETCH,
  type Stretch,
  takes,
} from './stretch.js'

/** One who follows the log. Holds nothing between two calls: the position is the caller's. */
export interface LogReader {
  /** Throws `NotThisLog`, `DatabaseError`. */
  readonly begin: (after: After | 'head') => Promise<Position>
  /**
   * What comes after a position: at once when there is something, else when there may be, or with nothing after
   * `waitMs` or an abort. A database that is away is waited for. Throws `NotThisLog`.
   */
  readonly next: (
    after: Position,
    filter: FollowFilter,
    waitMs: number,
    signal: AbortSignal,
  ) => Promise<Stretch>
  readonly leave: () => void
}

export interface Follower {
  /** `onLost` is told when the log is no longer what it was a moment ago: a restore, or entries taken out. */
  readonly join: (onLost: () => void) => LogReader
  /** Entries in memory, for all readers together. */
  readonly kept: () => number
}

export interface FollowerDeps {
  readonly database: Database
  readonly log: Log
  /** Milliseconds between looks while somebody follows. */
  readonly everyMs?: number
}

const EVERY_MS = 250
/** What readers who keep up find without asking the database. Who is slower asks it, a page at a time. */
const KEPT = 1024
const KEPT_CHARACTERS = 8_000_000
/** Readers who catch up must not take the connections that issuing needs. */
const PAGES_AT_ONCE = 2
const RETRY_MS = 1_000

const EVERYTHING: FollowFilter = { kinds: [] }

/**
 * Follows the log for any number of readers with one query at a time, and none while there are no readers. The
 * index is the authority: it is given under the head's lock that is held to the commit, so entries become visible
 * in its order and nothing can appear behind a position.
 */
export function createFollower({ database, log, everyMs = EVERY_MS }: FollowerDeps): Follower {
  const readers = new Set<() => void>()
  const waiting = new Set<() => void>()
  const page = atMost(PAGES_AT_ONCE)
  let tail: Tail | undefined
  let running = false
  let away = false

  const look = async (): Promise<void> => {
    if (tail === undefined) {
      tail = createTail(await positionAfter(database, 'head'))
      wake()
    }
    for (;;) {
      const { entries } = await readStretch(database, tail.at(), EVERYTHING)
      tail.push(entries)
      if (entries.length > 0) wake()
      if (entries.length < STRETCH || readers.size === 0) return
    }
  }
  const wake = (): void => {
    for (const go of [...waiting]) go()
  }
  const round = async (): Promise<void> => {
    try {
      if (readers.size > 0) await look()
      away = false
    } catch (error) {
      if (isAway(error)) {
        if (!away) log.warn({ why: error.message }, 'the log cannot be followed at the moment')
        away = true
      } else {
        tail = undefined
        log.error({ why: sayOf(error) }, 'the log is not the one that was followed')
        for (const lost of [...readers]) lost()
      }
    }
    if (readers.size > 0) setTimeout(() => void round(), everyMs).unref()
    else {
      running = false
      tail = undefined
    }
  }

  const somethingNew = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done)
      waiting.add(done)
    })

  async function next(
    after: Position,
    filter: FollowFilter,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Stretch> {
    const nothing = { at: after, entries: [] }
    const kept = tail?.after(after, filter)
    if (kept === 'behind') {
      try {
        return await page(async () => (signal.aborted ? nothing : readStretch(database, after, filter)))
      } catch (error) {
        if (!isAway(error)) throw error
        await somethingNew(Math.min(waitMs, RETRY_MS), signal)
        return nothing
      }
    }
    if (kept !== undefined && kept.at.index > after.index) return kept
    await somethingNew(waitMs, signal)
    return nothing
  }

  return {
    join(onLost) {
      readers.add(onLost)
      if (!running) {
        running = true
        void round()
      }
      return {
        begin: (after) => positionAfter(database, after),
        next,
        leave: () => void readers.delete(onLost),
      }
    },
    kept: () => tail?.kept() ?? 0,
  }
}

type Tail = ReturnType<typeof createTail>

/** The newest entries, and the position before them. */
function createTail(begin: Position) {
  let before = begin
  let entries: FollowedEntry[] = []
  let characters = 0
  const positionOf = (count: number): Position => {
    const entry = entries[count - 1]
    return entry === undefined ? before : { index: entry.index, leaf: entry.leaf }
  }
  const lengthOf = ({ json, personal }: FollowedEntry): number => json.length + personal.length
  return {
    at: () => positionOf(entries.length),
    kept: () => entries.length,
    push(more: readonly FollowedEntry[]): void {
      entries.push(...more)
      for (const entry of more) characters += lengthOf(entry)
      // What an erasure took is in memory still: who is behind it asks the database, where it is gone.
      const erased = entries.findLastIndex(({ kind }) => kind === 'log.redacted')
      const full = (drop: number) =>
        entries.length - drop > KEPT || (characters > KEPT_CHARACTERS && drop < entries.length)
      let drop = 0
      for (; drop < erased || full(drop); drop++) {
        const oldest = entries[drop]
        if (oldest !== undefined) characters -= lengthOf(oldest)
      }
      before = positionOf(drop)
      entries = entries.slice(drop)
    },
    /** Undefined when the position is past the end of what was read so far. */
    after(position: Position, filter: FollowFilter): Stretch | 'behind' | undefined {
      const count = position.index - before.index
      if (count < 0) return 'behind'
      if (count > entries.length) return undefined
      const { leaf } = positionOf(count)
      if (position.leaf !== undefined && leaf !== undefined && leaf !== position.leaf)
        throw other(position.index)
      const end = Math.min(count + STRETCH, entries.length)
      const at = end === count ? position : positionOf(end)
      return { at, entries: entries.slice(count, end).filter((entry) => takes(filter, entry)) }
    },
  }
}

/** In the order they asked. */
function atMost(count: number) {
  const queue: (() => void)[] = []
  let running = 0
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= count) await new Promise<void>((go) => queue.push(go))
    else running += 1
    try {
      return await work()
    } finally {
      const go = queue.shift()
      if (go === undefined) running -= 1
      else go()
    }
  }
}

const isAway = (error: unknown): error is DatabaseError => error instanceof DatabaseError && error.unavailable

/** Of anything unforeseen only the name: a parser's message quotes what it read. */
const sayOf = (error: unknown): string =>
  error instanceof NotThisLog || error instanceof DatabaseError
    ? error.message
    : error instanceof Error
      ? error.name
      : 'unknown'
