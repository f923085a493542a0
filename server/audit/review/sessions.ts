import type { Database } from '../../db/pool.js'
import { allIntents, intentsWith } from './drivers.js'
import { boundsOf } from './facts.js'
import { fetchIssuances, type IssuanceView } from './issuances.js'
import { walk } from './search.js'

/** How many of something an agent has; at least so many where counting ended early. */
export interface CountOf {
  readonly agent: string
  readonly count: number
}

/** No session lasts longer: AWS's own limit of a role session. */
const LONGEST_SECONDS = 43_200
/** Issuances and refusals looked at, newest first, before counting ends. */
const MOST_LOOKED_AT = 5_000

/** How many sessions each agent holds at `now`. Not `whole` where more was issued of late than is looked at. */
export async function liveCounts(
  database: Database,
  now: Date,
): Promise<{ readonly counts: readonly CountOf[]; readonly whole: boolean }> {
  const { range } = await boundsOf(database, { since: ago(now, LONGEST_SECONDS) })
  const rows = await database.query<{ agent: string | null; live: string; looked: string }>(
    `SELECT i.agent, count(*) FILTER (WHERE i.not_after > $3 AND
         (SELECT o.expires_at > $3 FROM writ.outcome o WHERE o.issuance_id = i.issuance_id)) AS live, count(*) AS looked
     FROM (SELECT t.agent, t.issuance_id, t.not_after FROM writ.intent t WHERE t.entry_idx >= $1
           ORDER BY t.entry_idx DESC LIMIT $2) i GROUP BY i.agent`,
    [range.lo, MOST_LOOKED_AT, now],
  )
  return countsOf(rows.map(({ agent, live, looked }) => ({ agent, count: live, looked })))
}

/** How often each agent was refused since then; repeats of one refusal count as one. */
export async function denialCounts(
  database: Database,
  since: Date,
): Promise<{ readonly counts: readonly CountOf[]; readonly whole: boolean }> {
  const { range } = await boundsOf(database, { since: since.toISOString() })
  const rows = await database.query<{ agent: string | null; looked: string }>(
    `SELECT d.agent, count(*) AS looked
     FROM (SELECT e.agent FROM writ.entry e WHERE e.kind = ANY (ARRAY['issuance.denied']) AND e.idx >= $1
           ORDER BY e.kind DESC, e.idx DESC LIMIT $2) d GROUP BY d.agent`,
    [range.lo, MOST_LOOKED_AT],
  )
  return countsOf(rows.map(({ agent, looked }) => ({ agent, count: looked, looked })))
}

function countsOf(rows: readonly { agent: string | null; count: string; looked: string }[]) {
  const looked = rows.reduce((sum, row) => sum + Number(row.looked), 0)
  return {
    counts: rows.flatMap(({ agent, count }) => (agent === null ? [] : [{ agent, count: Number(count) }])),
    whole: looked < MOST_LOOKED_AT,
  }
}

/** The sessions that an agent holds at `now`, newest first. */
export async function liveSessions(
  database: Database,
  agent: string,
  now: Date,
  most: number,
): Promise<readonly IssuanceView[]> {
  const { range } = await boundsOf(database, { since: ago(now, LONGEST_SECONDS) })
  const live = `(SELECT o.expires_at FROM writ.outcome o WHERE o.issuance_id = i.issuance_id)`
  const search = {
    of: 'issuances' as const,
    range,
    conditions: [
      (add: (value: unknown) => string) => `i.agent = ${add(agent)}`,
      (add: (value: unknown) => string) => `${live} > ${add(now)}`,
    ],
    drivers: [intentsWith('agent', agent), allIntents],
    exact: false,
    nothing: false,
  }
  const found: number[] = []
  let looked = 0
  for await (const step of walk(database, search, 'desc', 200, { most: 1_000, wanted: most })) {
    found.push(...step.found)
    looked += step.looked
    if (found.length >= most || looked >= MOST_LOOKED_AT) break
  }
  return fetchIssuances(database, found.slice(0, most))
}

/** Requests that wait for a human, the oldest first. */
export async function pendingRequests(
  database: Database,
  agent?: string,
): Promise<readonly PendingRequest[]> {
  const rows = await database.query<{ view: PendingRequest }>(
    `SELECT jsonb_build_object('id', r.id, 'agent', r.agent, 'environment', r.environment, 'scopes', r.scopes,
       'expires_at', r.expires_at) AS view
     FROM writ.grant_request r WHERE r.state = 'pending' AND r.expires_at > clock_timestamp()
       AND ($1::text IS NULL OR r.agent = $1) ORDER BY r.created_at LIMIT 500`,
    [agent ?? null],
  )
  return rows.map(({ view }) => view)
}

export interface PendingRequest {
  readonly id: string
  readonly agent: string
  readonly environment: string
  readonly scopes: readonly string[]
  readonly expires_at: string
}

const ago = (now: Date, seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString()
