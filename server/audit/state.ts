import type { Database } from '../db/pool.js'

/** How things stand in the database, in numbers alone: no name of an agent, a human or a role is among them. */
export interface State {
  /** Entries of the log. */
  readonly size: number
  /** Of the log named: entries in its newest checkpoint, its age, and how long the first entry waits that is not in it. */
  readonly published: number
  readonly checkpoint_age_seconds: number | null
  readonly unpublished_seconds: number
  /** Entries that alarms have not looked at. */
  readonly alarms_behind: number
  readonly pending_requests: number
  /** Kind of stop → how many are engaged. */
  readonly stops: Readonly<Record<string, number>>
  /** Denies that IAM does not have yet, and how long the oldest has been waited for. */
  readonly denies_waiting: number
  readonly denies_waiting_seconds: number
  /** `current`, `failing` or `disabled` → how many. */
  readonly webhooks: Readonly<Record<string, number>>
  /** Since the index asked for: kind of entry about a grant request → how many. */
  readonly requests: Readonly<Record<string, number>>
  /** Since then: how long each deny was waited for that IAM took. */
  readonly deny_waits_ms: readonly number[]
}

/** One statement, by indexes only. `since`: the size at the last look. Throws `DatabaseError`. */
export async function readState(
  database: Database,
  origin: string | undefined,
  since: number | undefined,
): Promise<State> {
  const [row] = await database.query<{ state: State }>(STATE, [origin ?? null, since ?? null], {
    name: 'writ.state',
  })
  if (row === undefined) throw new Error('no state')
  return row.state
}

const SECONDS = (since: string) =>
  `greatest(extract(epoch FROM clock_timestamp() - ${since})::double precision, 0)`

const STATE = `
  SELECT jsonb_build_object('size', h.size, 'published', coalesce(k.size, 0), 'checkpoint_age_seconds', ${SECONDS('k.at')},
    'unpublished_seconds', coalesce((SELECT ${SECONDS('e.at')} FROM writ.entry e WHERE $1::text IS NOT NULL AND e.idx = coalesce(k.size, 0)), 0),
    'alarms_behind', greatest(h.size - (SELECT next_idx FROM writ.alarm_cursor), 0),
    'pending_requests', (SELECT count(*) FROM writ.grant_request WHERE state = 'pending' AND expires_at > clock_timestamp()),
    'stops', (SELECT coalesce(jsonb_object_agg(kind, n), '{}') FROM (
      SELECT kind, count(*) AS n FROM writ.stop WHERE released_at IS NULL GROUP BY kind) s),
    'denies_waiting', d.n, 'denies_waiting_seconds', coalesce(${SECONDS('d.oldest')}, 0),
    'webhooks', (SELECT coalesce(jsonb_object_agg(state, n), '{}') FROM (
      SELECT CASE WHEN disabled_at IS NOT NULL THEN 'disabled' WHEN attempts > 0 THEN 'failing' ELSE 'current' END AS state,
        count(*) AS n FROM writ.webhook GROUP BY 1) w),
    'requests', (SELECT coalesce(jsonb_object_agg(kind, n), '{}') FROM (
      SELECT kind, count(*) AS n FROM writ.entry WHERE idx >= $2::bigint AND idx < h.size
        AND kind IN ('grant_request.opened', 'grant_request.refused', 'grant_request.denied', 'grant_request.withdrawn',
                     'grant_request.expired', 'grant.created') GROUP BY kind) r),
    'deny_waits_ms', ARRAY(SELECT (convert_from(body, 'UTF8')::jsonb->>'waited_ms')::bigint FROM writ.entry
      WHERE idx >= $2::bigint AND idx < h.size AND kind = 'deny.written' ORDER BY idx LIMIT 1000)) AS state
  FROM writ.log_head h
  LEFT JOIN LATERAL (SELECT size, at FROM writ.checkpoint WHERE origin = $1 ORDER BY size DESC LIMIT 1) k ON true,
  (SELECT count(*) AS n, min(asked_at) AS oldest FROM writ.kill WHERE written_at IS NULL AND ends > clock_timestamp()) d`
