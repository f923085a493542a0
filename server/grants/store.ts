import type { Database } from '../db/pool.js'
import { DatabaseError } from '../db/pool-errors.js'
import type { GrantFact } from '../types.js'
import type { GrantRequestView, GrantView } from './types.js'

export interface GrantFilter {
  readonly id?: string | undefined
  readonly agent?: string | undefined
  readonly state?: string | undefined
}

/** Newest first; `before` is the last item of the page before. */
export interface GrantPage {
  readonly limit: number
  readonly before?: { readonly at: string; readonly id: string }
}

/** A grant as its row has it; whether its approvals hold is another question (`proven.ts`). */
export type StoredGrant = Omit<GrantFact, 'approvals'>

/** What the database's grant functions answer. */
export type StoreAnswer<T> =
  | ({ readonly status: 'ok' } & T)
  | {
      readonly status: 'refused'
      readonly code: string
      /** With grant_cooling_down: when it is over, and the seconds until then. */
      readonly until?: string
      readonly seconds?: number
    }

interface GrantRow {
  id: string
  agent: string
  environment: string
  scopes: string[]
  policy_digest: string
  permissions_sha256: string
  uses: number
  max_uses: number
  not_before: Date
  expires_at: Date
  revoked_at: Date | null
  max_session_seconds: number
}

/** Grants that a decision may use or must explain, newest first. */
export async function loadGrants(
  database: Database,
  agent: string,
  environment: string,
): Promise<readonly StoredGrant[]> {
  const rows = await database.query<GrantRow>(
    `SELECT id, agent, environment, scopes, policy_digest, permissions_sha256, uses, max_uses, not_before, expires_at,
            revoked_at, max_session_seconds
     FROM writ.grants
     WHERE agent = $1 AND environment = $2 AND expires_at > clock_timestamp() - interval '1 hour'
     ORDER BY created_at DESC LIMIT 100`,
    [agent, environment],
    { name: 'writ.load_grants' },
  )
  return rows.map((row) => ({
    id: row.id,
    agent: row.agent,
    environment: row.environment,
    scopes: row.scopes,
    policyDigest: row.policy_digest,
    permissionsSha256: row.permissions_sha256,
    uses: row.uses,
    maxUses: row.max_uses,
    notBefore: row.not_before,
    expiresAt: row.expires_at,
    ...(row.revoked_at === null ? {} : { revokedAt: row.revoked_at }),
    maxSessionSeconds: row.max_session_seconds,
  }))
}

/** Calls one of the functions of migrations/013-signed-decisions.sql that take one JSON argument. */
export async function callGrantFunction<T>(
  database: Database,
  name: 'open_grant_request' | 'decide_grant_request',
  argument: Readonly<Record<string, unknown>>,
): Promise<StoreAnswer<T>> {
  try {
    const rows = await database.query<{ answer: StoreAnswer<T> }>(
      `SELECT writ.${name}($1::jsonb) AS answer`,
      [JSON.stringify(argument)],
    )
    return answerOf(rows)
  } catch (error) {
    // Stopped between our look and the head's lock: the database lets no such row in (migrations/014-stops.sql).
    if (error instanceof DatabaseError && error.sqlState === 'WR012') {
      return { status: 'refused', code: 'agent_stopped' }
    }
    throw error
  }
}

export async function withdrawGrantRequest(
  database: Database,
  id: string,
  by: string,
  operator: string | null,
): Promise<StoreAnswer<unknown>> {
  const rows = await database.query<{ answer: StoreAnswer<unknown> }>(
    'SELECT writ.withdraw_grant_request($1, $2, $3) AS answer',
    [id, by, operator],
  )
  return answerOf(rows)
}

export async function revokeGrant(
  database: Database,
  id: string,
  operator: string,
  reason: string,
): Promise<StoreAnswer<{ already: boolean }>> {
  const rows = await database.query<{ answer: StoreAnswer<{ already: boolean }> }>(
    'SELECT writ.revoke_grant($1, $2, $3) AS answer',
    [id, operator, reason],
  )
  return answerOf(rows)
}

/** The one answer of a grant function. */
export function answerOf<T>(rows: readonly { answer: StoreAnswer<T> }[]): StoreAnswer<T> {
  const answer = rows[0]?.answer
  if (answer === undefined) throw new Error('a grant function answered nothing')
  return answer
}

/** A page of requests, newest first. A pending request past its end reads as expired before the sweep says so. */
export async function listGrantRequests(
  database: Database,
  filter: GrantFilter,
  page: GrantPage,
): Promise<readonly GrantRequestView[]> {
  const rows = await database.query<{ view: GrantRequestView }>(
    `WITH seen AS (
       SELECT *, CASE WHEN state = 'pending' AND expires_at <= clock_timestamp() THEN 'expired' ELSE state END AS state_now
       FROM writ.grant_request
       WHERE ($1::text IS NULL OR id = $1) AND ($2::text IS NULL OR agent = $2)
         AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4))
     )
     SELECT jsonb_build_object('id', s.id, 'state', s.state_now, 'created_at', s.created_at, 'expires_at', s.expires_at,
       'closed_at', s.closed_at, 'agent', s.agent, 'environment', s.environment, 'account', s.account, 'role_arn', s.role_arn, 'scopes', s.scopes,
       'reason', s.reason, 'ticket', s.ticket, 'on_behalf_of', CASE WHEN s.human IS NOT NULL THEN
         jsonb_build_object('human', s.human, 'how', s.human_how) END, 'requested_by', s.requested_by,
       'policy_digest', s.policy_digest, 'permissions', s.permissions, 'permissions_sha256', s.permissions_sha256,
       'max_uses', s.max_uses, 'valid_seconds', s.valid_seconds, 'not_before', s.not_before,
       'max_session_seconds', s.max_session_seconds, 'approvals_needed', s.approvals_needed,
       'destroys', s.destroys, 'signature_required', EXISTS (SELECT FROM writ.role_catalog c
         WHERE c.role_arn = s.role_arn AND c.sensitivity = 'production-write'),
       'break_glass', EXISTS (SELECT FROM writ.grant_decision d WHERE d.request_id = s.id AND d.break_glass),
       'decisions', coalesce((SELECT jsonb_agg(jsonb_build_object('operator', d.operator, 'decision', d.decision, 'at', d.at,
         'comment', d.comment, 'proof_kind', d.proof_kind, 'key_id', d.proof->>'key_id', 'break_glass', d.break_glass)
         ORDER BY d.at) FROM writ.grant_decision d
         WHERE d.request_id = s.id), '[]'),
       'grant_id', (SELECT g.id FROM writ.grants g WHERE g.request_id = s.id)) AS view
     FROM seen s WHERE ($5::text IS NULL OR s.state_now = $5)
     ORDER BY s.created_at DESC, s.id DESC LIMIT $6`,
    [
      filter.id ?? null,
      filter.agent ?? null,
      page.before?.at ?? null,
      page.before?.id ?? null,
      filter.state ?? null,
      page.limit,
    ],
  )
  return rows.map((row) => row.view)
}

/** A page of grants, newest first. */
export async function listGrants(
  database: Database,
  filter: GrantFilter,
  page: GrantPage,
): Promise<readonly GrantView[]> {
  const rows = await database.query<{ view: GrantView }>(
    `WITH seen AS (
       SELECT *, CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= clock_timestamp() THEN 'expired'
         WHEN not_before > clock_timestamp() THEN 'not-yet-valid' WHEN uses >= max_uses THEN 'used-up'
         ELSE 'live' END AS state
       FROM writ.grants
       WHERE ($1::text IS NULL OR id = $1) AND ($2::text IS NULL OR agent = $2)
         AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4))
     )
     SELECT to_jsonb(s) - 'role_arn' || jsonb_build_object('break_glass', b.grant_id IS NOT NULL,
       'reviewed_at', b.reviewed_at) AS view
     FROM seen s LEFT JOIN writ.break_glass b ON b.grant_id = s.id WHERE ($5::text IS NULL OR s.state = $5)
     ORDER BY s.created_at DESC, s.id DESC LIMIT $6`,
    [
      filter.id ?? null,
      filter.agent ?? null,
      page.before?.at ?? null,
      page.before?.id ?? null,
      filter.state ?? null,
      page.limit,
    ],
  )
  return rows.map((row) => row.view)
}

/** The log's entry of a request being opened. */
export interface OpenedEntry {
  /** Leaf hash, 64 hex digits. */
  readonly leaf: string
  /** What lies beside it and the salt (32 hex digits); null where there is nothing, or it was erased. */
  readonly personal: { readonly text: string; readonly salt: string } | null
  /** SHA-256(0x03 ‖ salt ‖ text), 64 hex digits, as the body has it; null where it has none. */
  readonly commitment: string | null
  /** Of the environment, then. */
  readonly tier: string | null
}

/** What a decision on the request points at. Undefined when there is no such request, or its entry was archived. */
export async function openedEntry(database: Database, requestId: string): Promise<OpenedEntry | undefined> {
  const [row] = await database.query<{ opened: OpenedEntry }>(
    `SELECT jsonb_build_object('leaf', encode(leaf_hash, 'hex'),
       'personal', CASE WHEN salt IS NOT NULL THEN
         jsonb_build_object('text', convert_from(personal, 'UTF8'), 'salt', encode(salt, 'hex')) END,
       'commitment', convert_from(body, 'UTF8')::jsonb->>'personal', 'tier', tier) AS opened
     FROM writ.entry WHERE request_id = $1 AND kind = 'grant_request.opened' ORDER BY idx LIMIT 1`,
    [requestId],
  )
  return row?.opened
}
