import { setTimeout as delay } from 'node:timers/promises'
import type { Database, Log } from '../db/pool.js'
import { follow } from './follow.js'
import { type AlarmStore, alarmStore, type Raised } from './store.js'

export interface AlarmDeps {
  readonly database: Database
  readonly log: Log
  /** Names this process among the replicas. */
  readonly holder: string
  /** Whether the record is what was published. While it is not, nothing is written to it. */
  readonly trusted: () => boolean
  /** The log that this replica publishes, if it does. */
  readonly origin?: string
  readonly onRaised: (raised: Pick<Raised, 'alarm' | 'delay_ms'>) => void
}

/** What a test puts in place of a part. */
export interface AlarmParts {
  readonly store: AlarmStore
  /** Milliseconds between looks at what nobody told of. */
  readonly everyMs: number
}

export interface Alarms {
  /** Something was recorded: looks at it now. Cheap, never throws. */
  readonly wake: () => void
  /** One look, after the one under way. Throws what it throws. */
  readonly round: () => Promise<'done' | 'busy'>
  readonly close: () => Promise<void>
}

const EVERY_MS = 1_000
/** Under load one look has what many requests recorded; a lone request waits for nothing. */
const APART_MS = 50
const PUBLISHED_EVERY_MS = 10_000

/**
 * Follows the log and raises alarms, at once when woken, else about once a second. One replica at a time does it: whoever
 * has something to look at first. Nothing that issues waits for any of it.
 */
export function startAlarms(deps: AlarmDeps, parts: Partial<AlarmParts> = {}): Alarms {
  const { log, holder, origin } = deps
  const { store = alarmStore(deps.database), everyMs = EVERY_MS } = parts
  let closed = false
  let asked = false
  let running: Promise<void> | undefined
  let failure: string | undefined
  let untrusted = false
  let publishedAt = -PUBLISHED_EVERY_MS

  const onRaised = (raised: Raised): void => {
    const { alarm, agent, index, cause, delay_ms } = raised
    log.warn({ alarm, agent, index, cause, delayMs: delay_ms }, 'alarm')
    deps.onRaised(raised)
  }
  const look = async (): Promise<'done' | 'busy'> => {
    if (!deps.trusted()) {
      // The one alarm that has no entry: what is written on a false record proves nothing.
      if (!untrusted) {
        log.error({ alarm: 'log-untrusted' }, 'alarm')
        deps.onRaised({ alarm: 'log-untrusted', delay_ms: 0 })
      }
      untrusted = true
      return 'done'
    }
    const late = origin !== undefined && performance.now() - publishedAt >= PUBLISHED_EVERY_MS
    if (late) publishedAt = performance.now()
    return follow(store, holder, late ? origin : undefined, onRaised, () => !closed)
  }
  const lookAndTell = async (): Promise<void> => {
    try {
      // Another replica has it for milliseconds, and may have passed by what this one was woken for.
      if ((await look()) === 'busy') asked = true
      failure = undefined
    } catch (error) {
      const why = nameOf(error)
      if (failure !== why) log.error({ why }, 'alarms not looked at')
      failure = why
    }
  }
  const loop = async (): Promise<void> => {
    while (asked && !closed) {
      asked = false
      await lookAndTell()
      await delay(APART_MS, undefined, { ref: false })
    }
    running = undefined
  }
  const wake = (): void => {
    asked = true
    if (!closed) running ??= loop()
  }
  const timer = setInterval(wake, everyMs)
  timer.unref()

  return {
    wake,
    round: async () => {
      await running
      return look()
    },
    async close() {
      closed = true
      clearInterval(timer)
      await running
    },
  }
}

/** A database error's own message names no value; of anything unforeseen only the name is told. */
const nameOf = (error: unknown): string =>
  error instanceof Error ? (error.name === 'DatabaseError' ? error.message : error.name) : 'unknown'
