import { setTimeout as delay } from 'node:timers/promises'
import type { LogEvent, Page } from '../api.js'
import type { BrokerClient } from '../client.js'
import type { Attempt } from './play.js'

/** Where an attempt is in the record, and what it set off. */
export interface Found {
  readonly entry: {
    readonly index: number
    readonly leaf_hash: string
    readonly kind: string
    /** By the clock of the database. */
    readonly at: string
    /** From the attempt to its entry, milliseconds; null where it was counted on an earlier entry. */
    readonly after_ms: number | null
    /** How often the same was refused again shortly after. */
    readonly repeats: number | null
  } | null
  readonly alarm: { readonly index: number; readonly alarm: string; readonly after_ms: number } | null
  /** Why there is no entry. */
  readonly unrecorded: string | null
}

/** Repeats within it are counted on one entry (docs/operations.md). */
const EARLIER_MS = 15 * 60_000
/** An answer comes within it, and clocks differ by less. */
const SAME_MS = 30_000
/** As long as alarms are waited for. */
const PATIENCE_MS = 5_000
const LOOK_EVERY_MS = 250

/** Looks an attempt's entry up by the id of its HTTP request, else by what was refused. */
export async function entryOf(reader: BrokerClient, attempt: Attempt, agent: string): Promise<Found> {
  const nothing = (unrecorded: string): Found => ({ entry: null, alarm: null, unrecorded })
  const { status, code, request, at } = attempt
  if (status < 400 || code === null) return nothing('It was no refusal.')
  // Nobody unknown writes into the record, nor does what means nothing.
  if ([401, 404, 422].includes(status)) return nothing(`Only in the broker’s log, request ${request}.`)
  const since = new Date(Date.parse(at) - EARLIER_MS).toISOString()
  const { items } = await reader.get<Page<LogEvent>>('/v1/events', { code, since, limit: 100 })
  const own = items.find(({ body }) => body.request === request)
  const issuing = /^\/v1\/(credentials|aws)\b/.test(attempt.path)
  const about = items.filter(
    ({ body }) => body.agent === agent && (body.kind === 'issuance.denied') === issuing,
  )
  const counted = about.find(({ repeats }) => (repeats ?? 0) > 0)
  const found = own ?? nearest(about, at) ?? counted
  if (found === undefined) return nothing('NOT IN THE RECORD.')
  const recorded = String(found.body.at)
  return {
    entry: {
      index: found.index,
      leaf_hash: found.leaf_hash,
      kind: String(found.body.kind),
      at: recorded,
      after_ms:
        found === counted && found !== own ? null : Math.max(0, Date.parse(recorded) - Date.parse(at)),
      repeats: found.repeats,
    },
    alarm: null,
    unrecorded: null,
  }
}

/** Entries of grants do not name the HTTP request: then the one that came with it. */
function nearest(items: readonly LogEvent[], at: string): LogEvent | undefined {
  const away = ({ body }: LogEvent): number => Math.abs(Date.parse(String(body.at)) - Date.parse(at))
  return items
    .filter((one) => one.body.request === undefined && away(one) < SAME_MS)
    .sort((a, b) => away(a) - away(b))[0]
}

interface Raised {
  readonly index: number
  readonly alarm: string
  readonly cause: number
  readonly at: number
}

/** Alarms about the agent since the drill began; waits a little for one on the stop, which comes last. */
export async function alarmsSince(
  reader: BrokerClient,
  agent: string,
  since: Date,
  stopped: boolean,
): Promise<readonly Raised[]> {
  const until = performance.now() + PATIENCE_MS
  for (;;) {
    const query = { kind: 'alarm.raised', agent, since: since.toISOString(), limit: 200 }
    const { items } = await reader.get<Page<LogEvent>>('/v1/events', query)
    const raised = items.map(({ index, body }) => ({
      index,
      alarm: String(body.alarm),
      cause: Number(body.cause),
      at: Date.parse(String(body.at)),
    }))
    if (!stopped || raised.some(({ alarm }) => alarm === 'stop') || performance.now() > until) return raised
    await delay(LOOK_EVERY_MS)
  }
}
