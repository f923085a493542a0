import type { Database } from '../db/pool.js'
import type { Failure } from './failure.js'
import type { WantedEntry } from './message.js'

/** What the database says of a webhook. Instants are ISO 8601 in UTC. */
export interface WebhookState {
  readonly name: string
  readonly next_index: number
  /** Entries from there to the head, of whatever kind. */
  readonly behind: number
  readonly attempts: number
  readonly next_attempt_at: string | null
  readonly failing_since: string | null
  readonly last_failure: string | null
  readonly last_success_at: string | null
  readonly disabled_at: string | null
  readonly disabled_why: string | null
  /** Whether this replica would get something to do now. */
  readonly due: boolean
}

export interface Lease {
  readonly fence: number
  readonly nextIndex: number
  readonly attempts: number
}

/** A stretch of the log from an index on. */
export interface Stretch {
  /** Of the log. */
  readonly size: number
  /** Where this stretch ends: every entry before it was there and was looked at. */
  readonly end: number
  /** Those the webhook takes, in order. */
  readonly wanted: readonly WantedEntry[]
}

/** What delivering needs of the database. Everything throws `DatabaseError`. */
export interface WebhookStore {
  readonly begin: (name: string) => Promise<void>
  readonly states: (names: readonly string[], holder: string) => Promise<readonly WebhookState[]>
  readonly claim: (name: string, holder: string, seconds: number) => Promise<Lease | undefined>
  readonly release: (name: string, fence: number) => Promise<void>
  readonly read: (from: number, most: number, kinds: readonly string[], personal: boolean) => Promise<Stretch>
  /** False when the fence is lost. Extends the lease. */
  readonly advance: (
    name: string,
    lease: Lease,
    move: { readonly from: number; readonly to: number; readonly delivered: boolean },
    seconds: number,
  ) => Promise<boolean>
  /** Whether the webhook is disabled now; undefined when the fence is lost. */
  readonly fail: (
    name: string,
    lease: Lease,
    at: { readonly index: number; readonly failure: Failure },
    delaySeconds: number,
    giveUpSeconds: number,
  ) => Promise<boolean | undefined>
  /** Whether it was disabled; undefined when there is no such webhook. */
  readonly enable: (name: string, operator: string) => Promise<boolean | undefined>
}

export function webhookStore(database: Database): WebhookStore {
  return {
    async begin(name) {
      await database.query('SELECT writ.begin_webhook($1)', [name])
    },
    async states(names, holder) {
      const rows = await database.query<{ state: WebhookState }>(STATES, [names, holder], {
        name: 'writ.webhook_states',
      })
      return rows.map(({ state }) => state)
    },
    async claim(name, holder, seconds) {
      const [row] = await database.query<{ fence: string; next_idx: string; attempts: number }>(
        'SELECT * FROM writ.claim_webhook($1, $2, $3)',
        [name, holder, seconds],
      )
      if (row === undefined) return undefined
      return { fence: Number(row.fence), nextIndex: Number(row.next_idx), attempts: row.attempts }
    },
    async release(name, fence) {
      await database.query('SELECT writ.release_webhook($1, $2)', [name, fence])
    },
    async read(from, most, kinds, personal) {
      const begins = kinds.filter((kind) => kind.endsWith('*')).map((kind) => kind.slice(0, -1))
      const rows = await database.query<StretchRow>(STRETCH, [from, most, kinds, begins, personal])
      const size = Number(rows[0]?.size ?? 0)
      const present = rows.filter((row) => row.idx !== null)
      // What lies behind a gap is not delivered as if nothing were missing.
      const gap = present.findIndex((row, i) => Number(row.idx) !== from + i)
      const together = gap === -1 ? present : present.slice(0, gap)
      return { size, end: from + together.length, wanted: together.flatMap(wantedOf) }
    },
    async advance(name, { fence }, { from, to, delivered }, seconds) {
      const [row] = await database.query<{ ok: boolean }>(
        'SELECT writ.advance_webhook($1, $2, $3, $4, $5, $6) AS ok',
        [name, fence, from, to, delivered, seconds],
      )
      return row?.ok === true
    },
    async fail(name, { fence }, { index, failure }, delaySeconds, giveUpSeconds) {
      const [row] = await database.query<{ disabled: boolean | null }>(
        'SELECT writ.fail_webhook($1, $2, $3, $4, $5, $6) AS disabled',
        [name, fence, index, failure, delaySeconds, giveUpSeconds],
      )
      return row?.disabled ?? undefined
    },
    async enable(name, operator) {
      const [row] = await database.query<{ was: boolean | null }>(
        'SELECT writ.enable_webhook($1, $2) AS was',
        [name, operator],
      )
      return row?.was ?? undefined
    },
  }
}

const ISO = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

const STATES = `
  SELECT jsonb_build_object('name', w.name, 'next_index', w.next_idx, 'behind', h.size - w.next_idx,
    'attempts', w.attempts, 'next_attempt_at', CASE WHEN isfinite(w.next_attempt_at) THEN ${ISO('w.next_attempt_at')} END,
    'failing_since', ${ISO('w.failing_since')}, 'last_failure', w.last_failure, 'last_success_at', ${ISO('w.last_success_at')},
    'disabled_at', ${ISO('w.disabled_at')}, 'disabled_why', w.disabled_why,
    'due', w.disabled_at IS NULL AND w.next_idx < h.size AND w.next_attempt_at <= clock_timestamp()
      AND (w.holder = $2 OR w.until <= clock_timestamp())) AS state
  FROM writ.webhook w, writ.log_head h WHERE w.name = ANY ($1::text[]) ORDER BY w.name`

interface StretchRow {
  readonly size: string
  /** Null when nothing is there. */
  readonly idx: string | null
  readonly kind: string
  readonly at: string
  readonly leaf_hash: Buffer
  /** Null when the webhook does not take it. */
  readonly body: string | null
  readonly personal: string | null
}

// One statement, so that size and entries are of one snapshot: an entry that is missing is missing.
const STRETCH = `
  SELECT h.size, e.* FROM writ.log_head h LEFT JOIN LATERAL (
    SELECT idx, kind, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, leaf_hash,
      CASE WHEN takes THEN convert_from(body, 'UTF8') END AS body,
      CASE WHEN takes AND $5 THEN convert_from(personal, 'UTF8') END AS personal
    FROM (SELECT *, kind = ANY ($3::text[]) OR EXISTS (SELECT FROM unnest($4::text[]) p WHERE starts_with(kind, p)) AS takes
          FROM writ.entry WHERE idx >= $1 AND idx < $1::bigint + $2::integer) t
    ORDER BY idx
  ) e ON true ORDER BY e.idx`

function wantedOf({ idx, kind, at, leaf_hash, body, personal }: StretchRow): readonly WantedEntry[] {
  if (body === null) return []
  const entry = { index: Number(idx), kind, at, leafHash: leaf_hash, body }
  return [personal === null ? entry : { ...entry, personal }]
}
