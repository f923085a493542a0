import type { Database } from '../db/pool.js'

export type StopKind = 'agent' | 'human' | 'environment' | 'account' | 'everything'

/** A stop, with how far what it is to kill has come. Instants are ISO 8601 UTC. */
export interface StopView {
  readonly id: string
  readonly kind: StopKind
  /** Null for everything, and for a human who was erased. */
  readonly name: string | null
  readonly engaged_at: string
  /** Null where the broker did it by itself. */
  readonly engaged_by: string | null
  readonly automatic: boolean
  /** Of the entry `stop.engaged`. */
  readonly index: number
  /** Sessions that AWS issued before this are to die; nothing is released before it. */
  readonly cutoff: string
  /** Null once erased. */
  readonly reason: string | null
  /** What it follows from, such as `incident:ID`. */
  readonly cause: string | null
  readonly approvals_needed: number
  readonly signed_by: readonly string[]
  readonly released_at: string | null
  readonly state: 'engaged' | 'released'
  /** Whether anything of it is let out; a released one may be followed by another. */
  readonly issuance: 'blocked' | 'open'
  readonly denies: DenyCounts & { readonly waiting: readonly WaitingRole[] }
  readonly sessions: SessionsState
}

/** A role whose IAM does not have a Deny yet. */
export interface WaitingRole {
  readonly role: string
  /** Why the last attempt failed; null while none has. */
  readonly problem: string | null
}

/** Denies in IAM, one a role and target. What is counted in one is counted in all before it. */
export interface DenyCounts {
  readonly asked: number
  /** IAM had it when it was read back, or nothing of it is alive any more. */
  readonly written: number
  /** Written for so long that IAM has it everywhere. */
  readonly presumed: number
  /** Every session of it ended by itself. */
  readonly over: number
}

/** What is true of every session: `none` where there is no role, so no session. */
export interface SessionsState {
  readonly state: 'none' | 'asked' | 'written' | 'presumed' | 'over'
  /** When the last deny was written; null before, and when all is over. */
  readonly written_at: string | null
  readonly presumed_at: string | null
}

/** IAM is eventually consistent; AWS names no bound. Seen: seconds (docs/containment.md). */
export const PRESUMED_AFTER_SECONDS = 60

export interface StopFilter {
  readonly id?: string | undefined
  readonly state?: StopView['state'] | undefined
}

/** Newest first; `before` is the last item of the page before. */
export interface StopPage {
  readonly limit: number
  readonly before?: { readonly at: string; readonly id: string }
}

interface Row {
  readonly view: Omit<StopView, 'denies' | 'sessions'>
  readonly denies: StopView['denies']
  readonly written_at: string | null
  readonly presumed_at: string | null
}

/** So many at most, unless a page says otherwise. */
const LONGEST_LIST = 500

/** Roles that are named where a Deny is not written: enough to see what is wrong. */
const MOST_WAITING = 20

/** Stops, newest first. */
export async function listStops(
  database: Pick<Database, 'query'>,
  filter: StopFilter,
  page: StopPage = { limit: LONGEST_LIST },
): Promise<readonly StopView[]> {
  const rows = await database.query<Row>(
    `WITH page AS (
       SELECT * FROM writ.stop s
       WHERE ($1::text IS NULL OR id = $1) AND ($2::text IS NULL OR (released_at IS NULL) = ($2 = 'engaged'))
         AND ($3::timestamptz IS NULL OR engaged_at < $3 OR (engaged_at = $3 AND id > $4))
       ORDER BY engaged_at DESC, id LIMIT $5
     )
     SELECT jsonb_build_object('id', s.id, 'kind', s.kind, 'name', coalesce(nullif(s.name, ''), said.beside->>'human'),
         'engaged_at', s.engaged_at, 'engaged_by', s.engaged_by, 'automatic', s.engaged_by IS NULL, 'index', s.engaged_idx,
         'cutoff', s.cutoff, 'reason', said.beside->>'reason', 'cause', said.cause, 'approvals_needed', s.approvals_needed,
         'signed_by', (SELECT coalesce(jsonb_agg(r.operator ORDER BY r.at), '[]') FROM writ.stop_release r WHERE r.stop_id = s.id),
         'released_at', s.released_at, 'state', CASE WHEN s.released_at IS NULL THEN 'engaged' ELSE 'released' END,
         'issuance', CASE WHEN s.released_at IS NULL THEN 'blocked' ELSE 'open' END) AS view,
       jsonb_build_object('asked', asked, 'written', written + gone, 'presumed', presumed + gone, 'over', gone,
         'waiting', waiting) AS denies,
       to_jsonb(k.last) AS written_at, to_jsonb(k.last + make_interval(secs => $6)) AS presumed_at
     FROM page s
     LEFT JOIN LATERAL (SELECT CASE WHEN e.personal IS NOT NULL THEN convert_from(e.personal, 'UTF8')::jsonb END AS beside,
         convert_from(e.body, 'UTF8')::jsonb->>'cause' AS cause
       FROM writ.entry e WHERE e.idx = s.engaged_idx) said ON true
     CROSS JOIN LATERAL (SELECT cardinality(s.kills) AS asked, cardinality(s.kills) - count(*) AS gone,
         count(written_at) AS written, max(written_at) AS last,
         count(*) FILTER (WHERE written_at <= clock_timestamp() - make_interval(secs => $6)) AS presumed
       FROM writ.kill WHERE id = ANY (s.kills) AND ends > clock_timestamp()) k
     CROSS JOIN LATERAL (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') AS waiting FROM (
         SELECT DISTINCT k.role_arn AS role, d.last_error AS problem FROM writ.kill k LEFT JOIN writ.deny_role d USING (role_arn)
         WHERE k.id = ANY (s.kills) AND k.ends > clock_timestamp() AND k.written_at IS NULL ORDER BY 1 LIMIT $7) r) w
     ORDER BY s.engaged_at DESC, s.id`,
    [
      filter.id ?? null,
      filter.state ?? null,
      page.before?.at ?? null,
      page.before?.id ?? null,
      page.limit,
      PRESUMED_AFTER_SECONDS,
      MOST_WAITING,
    ],
  )
  return rows.map(({ view, denies, written_at, presumed_at }) => {
    const state = stateOf(denies)
    const told = state === 'written' || state === 'presumed'
    return {
      ...view,
      denies,
      sessions: {
        state,
        written_at: told ? written_at : null,
        presumed_at: told ? presumed_at : null,
      },
    }
  })
}

/** Undefined when there is no such stop. */
export async function findStop(database: Pick<Database, 'query'>, id: string): Promise<StopView | undefined> {
  const [stop] = await listStops(database, { id }, { limit: 1 })
  return stop
}

/** As far as the slowest deny of all has come: nothing is called written while one is not. */
function stateOf({ asked, written, presumed, over }: DenyCounts): SessionsState['state'] {
  if (asked === 0) return 'none'
  if (over === asked) return 'over'
  if (presumed === asked) return 'presumed'
  return written === asked ? 'written' : 'asked'
}

/**
 * Takes back what waits for a human and is stopped, and throws away what ran out of every window of velocity. Runs
 * regularly: a replica may have ended between a stop and the first of these.
 */
export async function sweepStops(database: Pick<Database, 'query'>): Promise<void> {
  await withdrawStopped(database)
  await database.query('SELECT writ.sweep_pace()')
}

/** How many requests one statement takes back at most. */
const BATCH = 1000

export async function withdrawStopped(database: Pick<Database, 'query'>): Promise<number> {
  let all = 0
  for (;;) {
    const [row] = await database.query<{ n: number }>('SELECT writ.withdraw_stopped() AS n')
    const n = row?.n ?? 0
    all += n
    if (n < BATCH) return all
  }
}
