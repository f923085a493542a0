import type { Database } from '../db/pool.js'

/** Index before which the page begins, newest first. */
export interface Page {
  readonly limit: number
  readonly before?: number
}

export interface IssuanceFilter {
  readonly id?: string | undefined
  readonly agent?: string | undefined
  readonly human?: string | undefined
  readonly environment?: string | undefined
  readonly state?: string | undefined
  readonly grant?: string | undefined
  readonly access_key?: string | undefined
}

export interface IssuanceView {
  readonly issuance: string
  readonly entry: number
  readonly at: string
  readonly state: 'intended' | 'issued' | 'failed' | 'abandoned'
  readonly agent: string
  readonly environment: string
  readonly role: string
  readonly sensitivity: string
  readonly scopes: readonly string[]
  readonly human: string | null
  readonly human_how: string | null
  readonly subject: string
  readonly source_ip: string | null
  readonly reason: string
  readonly ticket: string | null
  readonly grant: string | null
  readonly grant_use: number | null
  readonly policy_digest: string
  readonly access_key_id: string | null
  readonly expires_at: string | null
  readonly error_code: string | null
}

/** A page of issuances, newest first. */
export async function listIssuances(
  database: Database,
  filter: IssuanceFilter,
  page: Page,
): Promise<readonly IssuanceView[]> {
  const where = new Conditions()
  where.equals('issuance_id', filter.id)
  where.equals('agent', filter.agent)
  where.equals('human', filter.human)
  where.equals('environment', filter.environment)
  where.equals('state', filter.state)
  where.equals('grant_id', filter.grant)
  where.equals('access_key_id', filter.access_key)
  where.below('entry_idx', page.before)
  const rows = await database.query<{ view: IssuanceView }>(
    `SELECT jsonb_build_object('issuance', issuance_id, 'entry', entry_idx, 'at', at, 'state', state, 'agent', agent,
       'environment', environment, 'role', role_arn, 'sensitivity', sensitivity, 'scopes', scopes, 'human', human,
       'human_how', human_how, 'subject', subject, 'source_ip', source_ip, 'reason', reason, 'ticket', ticket,
       'grant', grant_id, 'grant_use', grant_use, 'policy_digest', policy_digest, 'access_key_id', access_key_id,
       'expires_at', expires_at, 'error_code', error_code) AS view
     FROM writ.issuance ${where.sql()} ORDER BY entry_idx DESC LIMIT ${where.add(page.limit)}`,
    where.values,
  )
  return rows.map((row) => row.view)
}

export interface EventFilter {
  readonly kind?: string | undefined
  readonly agent?: string | undefined
  readonly environment?: string | undefined
  readonly human?: string | undefined
  readonly operator?: string | undefined
  readonly issuance?: string | undefined
  readonly request?: string | undefined
  readonly grant?: string | undefined
  readonly code?: string | undefined
}

export interface EventView {
  readonly index: number
  readonly leaf_hash: string
  /** How often the same was refused again shortly after; on denials. */
  readonly repeats: number | null
  readonly body: unknown
}

/** A page of log entries, newest first. */
export async function listEvents(
  database: Database,
  filter: EventFilter,
  page: Page,
): Promise<readonly EventView[]> {
  const where = new Conditions()
  where.equals('e.kind', filter.kind)
  where.equals('e.agent', filter.agent)
  where.equals('e.environment', filter.environment)
  where.equals('e.human', filter.human)
  where.equals('e.operator', filter.operator)
  where.equals('e.issuance_id', filter.issuance)
  where.equals('e.request_id', filter.request)
  where.equals('e.grant_id', filter.grant)
  where.equals('e.code', filter.code)
  where.below('e.idx', page.before)
  const rows = await database.query<{ idx: string; leaf: string; body: string; repeats: number | null }>(
    `SELECT e.idx, encode(e.leaf_hash, 'hex') AS leaf, convert_from(e.body, 'UTF8') AS body, d.repeats
     FROM writ.entry e LEFT JOIN writ.denial d ON d.entry_idx = e.idx
     ${where.sql()} ORDER BY e.idx DESC LIMIT ${where.add(page.limit)}`,
    where.values,
  )
  return rows.map((row) => ({
    index: Number(row.idx),
    leaf_hash: row.leaf,
    repeats: row.repeats,
    body: JSON.parse(row.body),
  }))
}

/** What one line of an export holds: enough to hash the entry again and find its place. */
export interface ExportedEntry {
  readonly index: number
  /** The exact text that was hashed. */
  readonly body: string
  readonly leaf_hash: string
}

const EXPORT_PAGE = 500

/** Entries from `from` up to and without `to`, in order, a page at a time: memory stays the same at any length. */
export async function* exportEntries(
  database: Database,
  from: number,
  to: number,
): AsyncGenerator<ExportedEntry> {
  for (let next = from; next < to; ) {
    const rows = await database.query<{ idx: string; body: string; leaf: string }>(
      `SELECT idx, convert_from(body, 'UTF8') AS body, encode(leaf_hash, 'hex') AS leaf
       FROM writ.entry WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3`,
      [next, to, EXPORT_PAGE],
    )
    for (const { idx, body, leaf } of rows) yield { index: Number(idx), body, leaf_hash: leaf }
    // A gap would end it early, and whoever verifies the export says so.
    if (rows.length === 0) return
    next = Number(rows.at(-1)?.idx) + 1
  }
}

/** How many entries there are. */
export async function logSize(database: Database): Promise<number> {
  const rows = await database.query<{ size: string }>('SELECT size FROM writ.log_head')
  return Number(rows[0]?.size ?? 0)
}

/** AND-ed comparisons of columns named here with values that only ever travel as parameters. */
class Conditions {
  readonly values: unknown[] = []
  readonly #parts: string[] = []

  add(value: unknown): string {
    this.values.push(value)
    return `$${this.values.length}`
  }

  equals(column: string, value: string | undefined): void {
    if (value !== undefined) this.#parts.push(`${column} = ${this.add(value)}`)
  }

  below(column: string, value: number | undefined): void {
    if (value !== undefined) this.#parts.push(`${column} < ${this.add(value)}`)
  }

  sql(): string {
    return this.#parts.length === 0 ? '' : `WHERE ${this.#parts.join(' AND ')}`
  }
}
