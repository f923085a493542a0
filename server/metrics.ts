import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { ALARMS } from './audit/bodies/alarms.js'
import type { RecordItem } from './audit/items.js'
import type { AppendBatch } from './audit/recorder.js'
import type { State } from './audit/state.js'
import { WritError } from './errors.js'
import type { AssumeRole } from './types-aws.js'

/** Where gauges are read at a scrape. */
export interface MetricSources {
  /** How things stand in the database; `since` is the log's size at the last look. */
  readonly state: (since: number | undefined) => Promise<State>
  readonly pool: () => { readonly total: number; readonly idle: number; readonly waiting: number }
  /** Items that wait for the record. */
  readonly queue: () => number
  /** Of the log that this replica publishes: whether it is what was published. */
  readonly trusted?: () => boolean
}

export interface AnsweredRequest {
  readonly method: string
  /** The pattern, never the path. */
  readonly route: string
  readonly status: number
  readonly seconds: number
}

/** What is counted here is this process's own, from its start. No label names an agent, a human or a role. */
export interface Metrics {
  /** The same, with what it took and refused counted. */
  readonly record: (record: RecordItem) => RecordItem
  /** The same, timed; `then` is called after each batch. */
  readonly append: (append: AppendBatch, then?: () => void) => AppendBatch
  readonly assumeRole: (assumeRole: AssumeRole) => AssumeRole
  readonly request: (answered: AnsweredRequest) => void
  /** 1 when a stream opens, -1 when it ends. */
  readonly stream: (change: 1 | -1) => void
  readonly alarm: (raised: { readonly alarm: string; readonly delay_ms: number }) => void
  readonly watch: (sources: MetricSources) => void
  /** In Prometheus' text format 0.0.4. */
  readonly scrape: () => Promise<{ readonly type: string; readonly text: string }>
}

/** A scraper that asks more often gets these again: it cannot load the database. */
const STATE_FOR_MS = 5_000
const TIERS = ['sandbox', 'development', 'staging', 'production'] as const
const STOP_KINDS = ['agent', 'human', 'environment', 'account', 'everything'] as const
const REQUESTS: Readonly<Record<string, string>> = {
  'grant_request.opened': 'opened',
  'grant_request.refused': 'refused',
  'grant_request.denied': 'denied',
  'grant_request.withdrawn': 'withdrawn',
  'grant_request.expired': 'expired',
  'grant.created': 'granted',
}

const FAST = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]
const HTTP = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30]
const REACTION = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300]

/** How many issuances may be under way with their tier remembered. */
const MOST_UNDER_WAY = 10_000

let ofProcess: Registry | undefined

/** Of the process, whichever broker in it asks: collecting begins once, and never ends. */
function processMetrics(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry()
    collectDefaultMetrics({ register: ofProcess })
  }
  return ofProcess
}

export function createMetrics(): Metrics {
  const own = new Registry()
  const registers = [own]
  const all = processMetrics()
  const counter = (name: string, help: string, ...labelNames: string[]) =>
    new Counter({ name: `writ_${name}`, help, labelNames, registers })
  const gauge = (name: string, help: string, ...labelNames: string[]) =>
    new Gauge({ name: `writ_${name}`, help, labelNames, registers })
  const histogram = (name: string, help: string, buckets: number[], ...labelNames: string[]) =>
    new Histogram({ name: `writ_${name}`, help, labelNames, buckets, registers })

  const issuances = counter('issuances_total', 'Sessions asked of AWS, by what came of it', 'outcome', 'tier')
  const deliveries = counter('deliveries_total', 'Sessions handed out again')
  const denials = counter('denials_total', 'Refusals recorded, by kind of entry and code', 'kind', 'code')
  const failures = counter('record_failures_total', 'What could not be recorded, by code', 'code')
  const append = histogram('record_append_seconds', 'Time to record a batch', FAST)
  const queue = gauge('record_queue_items', 'What waits to be recorded')
  const assumeRole = histogram('assume_role_seconds', 'Time of AssumeRole with its retries', FAST, 'outcome')
  const requests = histogram(
    'http_request_duration_seconds',
    'Time to answer; streams are left out',
    HTTP,
    'method',
    'route',
    'status',
  )
  const streams = gauge('streams_open', 'Event streams open at this replica')
  const alarms = counter('alarms_raised_total', 'Alarms that this replica raised', 'alarm')
  const delays = histogram('alarm_delay_seconds', 'Time from the cause of an alarm to its entry', REACTION)
  const denyDelay = histogram(
    'deny_written_seconds',
    'Time from when a deny was asked for to when IAM had it, at all replicas',
    REACTION,
  )
  const pool = gauge('database_connections', 'Connections of the pool', 'state')
  const databaseUp = gauge('database_up', 'Whether the database answered for this scrape')
  const trusted = gauge('log_trusted', 'Whether the record is what was published')
  const entries = gauge('log_entries', 'Entries of the log')
  const published = gauge('log_published_entries', 'Entries in the newest checkpoint')
  const checkpointAge = gauge('checkpoint_age_seconds', 'Age of the newest checkpoint')
  const unpublished = gauge('log_unpublished_seconds', 'How long the first entry waits that is not published')
  const behind = gauge('alarms_behind_entries', 'Entries that alarms have not looked at')
  const pending = gauge('grant_requests_pending', 'Grant requests that wait for a human')
  const asked = counter('grant_requests_total', 'What became of grant requests, at all replicas', 'event')
  const stops = gauge('stops_engaged', 'Stops engaged', 'kind')
  const denies = gauge('denies_waiting', 'Denies that IAM does not have yet')
  const deniesSince = gauge('denies_waiting_seconds', 'How long the oldest of them is waited for')
  const webhooks = gauge('webhooks', 'Webhooks, by how they do', 'state')
  const ofDatabase = [entries, behind, pending, stops, denies, deniesSince, webhooks]
  const ofLog = [published, checkpointAge, unpublished]

  // Without a sample until something is known: a replica that does not publish says nothing of the log.
  for (const one of [trusted, ...ofLog]) one.remove()
  // A counter that begins with its first event is a rise that nobody sees.
  for (const outcome of ['issued', 'failed', 'withheld']) {
    for (const tier of TIERS) issuances.inc({ outcome, tier }, 0)
  }
  for (const alarm of [...ALARMS, 'log-untrusted']) alarms.inc({ alarm }, 0)
  for (const code of ['record_unavailable', 'record_busy', 'log_untrusted']) failures.inc({ code }, 0)
  for (const event of Object.values(REQUESTS)) asked.inc({ event }, 0)

  const tiers = new Map<string, string>()
  let sources: MetricSources | undefined
  let seen: { readonly at: number; readonly size: number } | undefined
  let looking: Promise<void> | undefined

  const told = (state: State): void => {
    entries.set(state.size)
    behind.set(state.alarms_behind)
    pending.set(state.pending_requests)
    denies.set(state.denies_waiting)
    deniesSince.set(state.denies_waiting_seconds)
    for (const kind of STOP_KINDS) stops.set({ kind }, state.stops[kind] ?? 0)
    for (const one of ['current', 'failing', 'disabled'])
      webhooks.set({ state: one }, state.webhooks[one] ?? 0)
    for (const [kind, event] of Object.entries(REQUESTS)) asked.inc({ event }, state.requests[kind] ?? 0)
    for (const ms of state.deny_waits_ms) denyDelay.observe(ms / 1000)
    if (sources?.trusted === undefined) return
    published.set(state.published)
    unpublished.set(state.unpublished_seconds)
    if (state.checkpoint_age_seconds !== null) checkpointAge.set(state.checkpoint_age_seconds)
  }
  const look = async ({ state }: MetricSources): Promise<void> => {
    try {
      const now = await state(seen?.size)
      seen = { at: performance.now(), size: now.size }
      told(now)
      databaseUp.set(1)
    } catch {
      // What was so a while ago must not look as if it still were.
      for (const one of [...ofDatabase, ...ofLog]) {
        one.reset()
        one.remove()
      }
      databaseUp.set(0)
    }
  }

  return {
    record: (record) => async (item) => {
      try {
        const verdict = await record(item)
        const refused = verdict.status === 'refused'
        if (item.op === 'intent') {
          if (refused) denials.inc({ kind: 'issuance.denied', code: verdict.code })
          else if (tiers.size < MOST_UNDER_WAY) tiers.set(item.issuance_id, item.tier)
        } else if (item.op === 'outcome') {
          const tier = tiers.get(item.issuance_id) ?? 'unknown'
          tiers.delete(item.issuance_id)
          // Minted, recorded, and handed to nobody: stopped or revoked meanwhile.
          issuances.inc({ outcome: refused ? 'withheld' : item.state, tier })
        } else if (item.op === 'delivery' && !refused) deliveries.inc()
        else if (item.op === 'denial') denials.inc({ kind: item.kind, code: item.fields.code ?? 'none' })
        return verdict
      } catch (error) {
        if (item.op === 'outcome') tiers.delete(item.issuance_id)
        failures.inc({ code: error instanceof WritError ? error.code : 'internal' })
        throw error
      }
    },
    append: (appendBatch, then) => async (items) => {
      const done = append.startTimer()
      try {
        return await appendBatch(items)
      } finally {
        done()
        then?.()
      }
    },
    assumeRole: (assume) => async (input) => {
      const done = assumeRole.startTimer()
      try {
        const session = await assume(input)
        done({ outcome: 'ok' })
        return session
      } catch (error) {
        done({ outcome: error instanceof WritError ? error.code : 'internal' })
        throw error
      }
    },
    request: ({ method, route, status, seconds }) =>
      requests.observe({ method, route, status: String(status) }, seconds),
    stream: (change) => streams.inc(change),
    alarm: ({ alarm, delay_ms }) => {
      alarms.inc({ alarm })
      if (alarm !== 'log-untrusted') delays.observe(delay_ms / 1000)
    },
    watch: (given) => {
      sources = given
    },
    async scrape() {
      if (sources !== undefined) {
        const { pool: read, queue: depth, trusted: isTrusted } = sources
        const { total, idle, waiting } = read()
        pool.set({ state: 'used' }, total - idle)
        pool.set({ state: 'idle' }, idle)
        pool.set({ state: 'awaited' }, waiting)
        queue.set(depth())
        if (isTrusted !== undefined) trusted.set(isTrusted() ? 1 : 0)
        if (seen === undefined || performance.now() - seen.at >= STATE_FOR_MS) {
          looking ??= look(sources).finally(() => {
            looking = undefined
          })
          await looking
        }
      }
      const text = [await own.metrics(), await all.metrics()].join('\n')
      // What has no sample yet is `Nan` to prom-client, which a strict parser of the format refuses.
      return { type: own.contentType, text: text.replace(/ Nan$/gm, ' NaN') }
    },
  }
}
