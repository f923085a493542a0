import { WritError } from '../errors.js'
import { type Fetch, fetchKeys, KeyFetchError, type KeySetSource } from './fetch-keys.js'
import { type KeySet, pickKey, type SigningKey } from './keys.js'

const SECOND = 1000
const FRESH = 600 * SECOND
const FRESH_MIN = 60 * SECOND
const FRESH_MAX = 3600 * SECOND
/** From this share of its freshness on, a set is renewed behind the requests that use it. */
const RENEW_AHEAD = 0.8
const STALE_MAX = 24 * 3600 * SECOND
/** An attacker's made-up key ids cost the issuer one fetch in this time. */
const UNKNOWN_KID_INTERVAL = 30 * SECOND
const BACKOFF_FIRST = 1 * SECOND
const BACKOFF_MAX = 60 * SECOND

/** The part of pino's logger that is used here. */
export interface Log {
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
}

export interface KeyCacheOptions {
  readonly fetch: Fetch
  readonly now: () => Date
  readonly log: Log
  /** For discovery and key set together. */
  readonly fetchTimeoutMs: number
}

export interface KeyCacheHealth {
  /** `unused` until the first token; `stale` and `unavailable` while the issuer cannot be reached. */
  readonly state: 'unused' | 'ok' | 'stale' | 'unavailable'
  readonly keys: number
  readonly fetchedAt?: Date
  readonly failure?: string
}

/** The keys of one issuer. */
export interface KeyCache {
  /** @throws WritError token_key_unknown, issuer_unavailable */
  keyFor(alg: string, kid: string | undefined): Promise<SigningKey>
  health(): KeyCacheHealth
  close(): void
}

interface Held {
  readonly keys: KeySet
  readonly fetchedAt: number
  readonly freshFor: number
}

/**
 * Keeps an issuer's keys. A set is renewed ahead of time while requests use it, awaited once it is no longer
 * fresh (so a withdrawn key is not honoured just because nobody asked for a while), and served stale for at
 * most a day only while the issuer fails. Failures back off, and concurrent fetches are one.
 */
export function createKeyCache(source: KeySetSource, options: KeyCacheOptions): KeyCache {
  let held: Held | undefined
  let failure: { readonly count: number; readonly reason: string; readonly retryAt: number } | undefined
  let lastFetch = Number.NEGATIVE_INFINITY
  let running: Promise<void> | undefined
  let abort: (() => void) | undefined
  let closed = false
  const clock = () => options.now().getTime()

  /** Never rejects: the outcome is in `held` and `failure`. */
  function refresh(): Promise<void> {
    running ??= load().finally(() => {
      running = undefined
    })
    return running
  }

  async function load(): Promise<void> {
    const controller = new AbortController()
    abort = () => controller.abort()
    const timer = setTimeout(abort, options.fetchTimeoutMs)
    lastFetch = clock()
    try {
      const { keys, maxAgeSeconds } = await fetchKeys(source, options.fetch, controller.signal)
      const asked = maxAgeSeconds === undefined ? FRESH : maxAgeSeconds * SECOND
      held = { keys, fetchedAt: clock(), freshFor: Math.min(Math.max(asked, FRESH_MIN), FRESH_MAX) }
      failure = undefined
    } catch (error) {
      const count = (failure?.count ?? 0) + 1
      const reason = error instanceof KeyFetchError ? error.message : 'the keys could not be read'
      const wait = Math.min(BACKOFF_FIRST * 2 ** (count - 1), BACKOFF_MAX)
      failure = { count, reason, retryAt: clock() + wait }
      if (!closed)
        options.log.warn({ issuer: source.issuer, reason, failures: count }, 'issuer keys not fetched')
    } finally {
      clearTimeout(timer)
    }
  }

  const mayFetch = () => !closed && (failure === undefined || clock() >= failure.retryAt)
  const usable = () => (held !== undefined && clock() - held.fetchedAt < STALE_MAX ? held : undefined)

  async function current(): Promise<KeySet> {
    const now = usable()
    const age = now === undefined ? Number.POSITIVE_INFINITY : clock() - now.fetchedAt
    const renewAfter = (now?.freshFor ?? 0) * RENEW_AHEAD
    // An outage that was seen just now must not make requests wait for a timeout while there are keys to use.
    const knownDown = failure !== undefined && clock() - lastFetch <= 2 * BACKOFF_MAX
    if (age >= renewAfter && mayFetch()) {
      const renewed = refresh()
      if (now === undefined || (age >= now.freshFor && !knownDown)) await renewed
    }
    const after = usable()
    if (after === undefined) throw unavailable()
    return after.keys
  }

  return {
    async keyFor(alg, kid) {
      const known = pickKey(await current(), alg, kid)
      if (known !== undefined) return known
      if (running !== undefined) await running
      else if (mayFetch() && clock() - lastFetch >= UNKNOWN_KID_INTERVAL) await refresh()
      const fetched = pickKey(usable()?.keys ?? [], alg, kid)
      if (fetched !== undefined) return fetched
      // While the issuer fails nobody can tell a new key from a made-up one.
      if (failure !== undefined) throw unavailable()
      throw new WritError('token_key_unknown', 'The issuer publishes no key that fits this token.')
    },
    health() {
      const now = usable()
      const state = now === undefined ? (failure === undefined ? 'unused' : 'unavailable') : undefined
      return {
        state: state ?? (failure === undefined ? 'ok' : 'stale'),
        keys: now?.keys.length ?? 0,
        ...(now === undefined ? {} : { fetchedAt: new Date(now.fetchedAt) }),
        ...(failure === undefined ? {} : { failure: failure.reason }),
      }
    },
    close() {
      closed = true
      abort?.()
    },
  }
}

const unavailable = () =>
  new WritError('issuer_unavailable', 'The keys of the issuer of this token cannot be fetched at the moment.')
