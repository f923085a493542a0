import type { Database } from '../db/pool.js'
import { type PersonalState, readPersonal } from './personal.js'

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

export interface IssuanceView extends PersonalView {
  readonly issuance: string
  readonly entry: number
  readonly at: string
  readonly state: 'intended' | 'issued' | 'failed' | 'abandoned'
  readonly agent: string
  readonly environment: string
  readonly role: string
  readonly sensitivity: string
  readonly scopes: readonly string[]
  readonly grant: string | null
  readonly grant_use: number | null
  readonly policy_digest: string
  readonly access_key_id: string | null
  readonly expires_at: string | null
  readonly not_after: string
  readonly error_code: string | null
}

/** What an issuance says of people; null where it never did, or is erased. */
interface PersonalView {
  readonly personal_data: PersonalState
  readonly human: string | null
  readonly human_how: string | null
  readonly subject: string | null
  readonly source_ip: string | null
  readonly reason: string | null
  readonly ticket: string | null
}

/** A page of issuances, newest first. */
export async function listIssuances(
  database: Database,
  filter: IssuanceFilter,
  page: Page,
): Promise<readonly IssuanceView[]> {
  const where = new Conditions()
  where.equals('i.issuance_id', filter.id)
  where.equals('i.agent', filter.agent)
  where.equals('e.human', filter.human)
  where.equals('i.environment', filter.environment)
  where.equals('i.state', filter.state)
  where.equals('i.grant_id', filter.grant)
  where.equals('i.access_key_id', filter.access_key)
  where.below('i.entry_idx', page.before)
  const rows = await database.query<IssuanceRow>(
    `SELECT jsonb_build_object('issuance', i.issuance_id, 'entry', i.entry_idx, 'at', i.at, 'state', i.state,
       'agent', i.agent, 'environment', i.environment, 'role', i.role_arn, 'sensitivity', i.sensitivity,
       'scopes', i.scopes, 'grant', i.grant_id, 'grant_use', i.grant_use, 'policy_digest', i.policy_digest,
       'access_key_id', i.access_key_id, 'expires_at', i.expires_at, 'not_after', i.not_after,
       'error_code', i.error_code) AS view, convert_from(e.body, 'UTF8') AS body, e.personal, e.salt
     FROM writ.issuance i LEFT JOIN writ.entry e ON e.idx = i.entry_idx
     ${where.sql()} ORDER BY i.entry_idx DESC LIMIT ${where.add(page.limit)}`,
    where.values,
  )
  return rows.map(issuanceView)
}

interface IssuanceRow {
  readonly view: Omit<IssuanceView, keyof PersonalView>
  /** Null once the entry is archived. */
  readonly body: string | null
  readonly personal: Buffer | null
  readonly salt: Buffer | null
}

function issuanceView({ view, body, personal, salt }: IssuanceRow): IssuanceView {
  const { state, data } =
    body === null
      ? ({ state: 'erased', data: null } as const)
      : readPersonal(JSON.parse(body), personal, salt)
  const say = (name: string) => (typeof data?.[name] === 'string' ? data[name] : null)
  return {
    ...view,
    personal_data: state,
    human: say('human'),
    human_how: say('human_how'),
    subject: say('subject'),
    source_ip: say('source_ip'),
    reason: say('reason'),
    ticket: say('ticket'),
  }
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
  readonly body: Readonly<Record<string, unknown>>
  readonly personal_data: PersonalState
  /** What the entry says of people, checked against the body's hash of it. */
  readonly personal: Readonly<Record<string, unknown>> | null
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
  const rows = await database.query<EventRow>(
    `SELECT e.idx, encode(e.leaf_hash, 'hex') AS leaf, convert_from(e.body, 'UTF8') AS body, d.repeats, e.personal, e.salt
     FROM writ.entry e LEFT JOIN writ.denial d ON d.entry_idx = e.idx
     ${where.sql()} ORDER BY e.idx DESC LIMIT ${where.add(page.limit)}`,
    where.values,
  )
  return rows.map((row) => {
    const body = JSON.parse(row.body) as Readonly<Record<string, unknown>>
    const { state, data } = readPersonal(body, row.personal, row.salt)
    return {
      index: Number(row.idx),
      leaf_hash: row.leaf,
      repeats: row.repeats,
      body,
      personal_data: state,
      personal: data,
    }
  })
}

interface EventRow {
  readonly idx: string
  readonly leaf: string
  readonly body: string
  readonly repeats: number | null
  readonly personal: Buffer | null
  readonly salt: Buffer | null
}

/** What one line of an export holds: enough to hash the entry again and find its place. */
export interface ExportedEntry {
  readonly index: number
  /** The exact text that was hashed. */
  readonly body: string
  readonly leaf_hash: string
  /** Exact text and salt (hex) of the personal part; only in exports that ask for it, where it is not erased. */
  readonly personal?: string
  readonly salt?: string
}

const EXPORT_PAGE = 500

/** Entries from `from` up to and without `to`, in order, a page at a time: memory stays the same at any length. */
export async function* exportEntries(
  database: Database,
  from: number,
  to: number,
  personalToo: boolean,
): AsyncGenerator<ExportedEntry> {
  for (let next = from; next < to; ) {
    const rows = await database.query<ExportRow>(
      `SELECT idx, convert_from(body, 'UTF8') AS body, encode(leaf_hash, 'hex') AS leaf,
         CASE WHEN $4 AND salt IS NOT NULL THEN convert_from(personal, 'UTF8') END AS personal,
         CASE WHEN $4 THEN encode(salt, 'hex') END AS salt
       FROM writ.entry WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3`,
      [next, to, EXPORT_PAGE, personalToo],
    )
    for (const { idx, body, leaf, personal, salt } of rows) {
      const beside = personal === null || salt === null ? {} : { personal, salt }
      yield { index: Number(idx), body, leaf_hash: leaf, ...beside }
    }
    // A gap would end it early, and whoever verifies the export says so.
    if (rows.length === 0) return
    next = Number(rows.at(-1)?.idx) + 1
  }
}

interface ExportRow {
  readonly idx: string
  readonly body: string
  readonly leaf: string
  readonly personal: string | null
  readonly salt: string | null
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
