import type { Queryable } from '../db/pool.js'
import { DatabaseError } from '../db/pool-errors.js'

/** Whose data goes, and what the log says of it. One of `human`, `subject` and `indexes` at least. */
export interface Redaction {
  readonly by: string
  readonly why: string
  /** As the record spells the name. */
  readonly human?: string
  /** `sub` of tokens. */
  readonly subject?: string
  /** Runs of entries, first and last. */
  readonly indexes?: readonly (readonly [number, number])[]
}

interface Found {
  /** Entries that have something to erase. */
  readonly entries: number
  /** Closed grant requests whose words go. */
  readonly requests: readonly string[]
  /** Entries of version 1 about the same: their data is in the body, where it stays. */
  readonly version_1: number
  /** Sessions that may still be handed out, which records the name anew. */
  readonly alive: number
}

export interface RedactionPreview extends Found {
  /** Grant requests that wait for a human, who must be able to read them: with any, nothing is erased. */
  readonly pending: readonly string[]
  /** Up to 100 entries of others whose words name the human. */
  readonly mentioned: readonly number[]
}

export interface Redacted extends Found {
  /** First and last of the entries that tell of it; absent when there was nothing to erase. */
  readonly log?: readonly [number, number]
  /** Rewritten or vacuumed. */
  readonly tables: readonly string[]
  /** Row versions that a transaction or a replica still holds on to: to be vacuumed again once it has ended. */
  readonly held: number
}

/** Codes: by_and_why, nobody_named, names_the_person, requests_pending. */
export class RedactionRefused extends Error {
  override readonly name = 'RedactionRefused'
  readonly code: string
  readonly requests: readonly string[]

  constructor(code: string, requests: readonly string[] = []) {
    super(`redaction refused: ${code}`)
    this.code = code
    this.requests = requests
  }
}

type Answer<T> =
  | ({ readonly status: 'ok' } & T)
  | { readonly status: 'refused'; readonly code: string; readonly requests?: readonly string[] }

/** What `redact` would erase. Changes nothing. Throws `RedactionRefused`. */
export async function previewRedaction(owner: Queryable, redaction: Redaction): Promise<RedactionPreview> {
  return call<RedactionPreview>(owner, { ...redaction, dry_run: true })
}

/**
 * Erases, says so in the log, and takes the old row versions out of tables and indexes, all on one connection.
 * `rewrite` makes the tables anew: without it bytes can stay in the free space of a page until something else is
 * written there, with it nobody can read or append meanwhile. Throws `RedactionRefused`; the erasure itself is one
 * transaction.
 */
export async function redact(
  owner: Queryable,
  redaction: Redaction,
  { rewrite = false }: { readonly rewrite?: boolean } = {},
): Promise<Redacted> {
  const done = await untilNobodyInterferes(() =>
    call<Redacted & { readonly pending: unknown }>(owner, redaction),
  )
  const { pending: _none, tables: entries = [], ...told } = done
  if (told.log === undefined) return { ...told, tables: [], held: 0 }
  // A comment that nobody signed in time.
  await owner.query(
    'UPDATE writ.challenge SET personal = NULL WHERE personal IS NOT NULL AND expires_at <= clock_timestamp()',
  )
  // A session tells its counts at most once a second: told after VACUUM, rows that are gone would count as held.
  await owner.query('SELECT pg_stat_force_next_flush()')
  const tables = [...entries, ...BESIDE]
  for (const table of tables) {
    // INDEX_CLEANUP: with few dead rows PostgreSQL would leave the names in the indexes. ANALYZE: names are
    // among the most common values that the planner remembers.
    await owner.query(`VACUUM (${rewrite ? 'FULL' : 'INDEX_CLEANUP ON'}, ANALYZE) ${table}`)
  }
  await owner.query('ANALYZE writ.entry')
  return { ...told, tables, held: await heldIn(owner, entries) }
}

/** Tables besides those of entries that have, or had, something of people in them. */
const BESIDE = [
  'writ.grant_request',
  'writ.grant_decision',
  'writ.grants',
  'writ.denial',
  'writ.challenge',
  'writ.console_session',
]

async function call<T>(owner: Queryable, argument: object): Promise<T> {
  const rows = await owner.query<{ answer: Answer<T> }>('SELECT writ.redact($1::jsonb) AS answer', [
    JSON.stringify(argument),
  ])
  const answer = rows[0]?.answer
  if (answer === undefined) throw new Error('the database answered nothing')
  if (answer.status === 'refused') throw new RedactionRefused(answer.code, answer.requests)
  const { status: _ok, ...told } = answer
  return told as T
}

/** WR011: a grant request of that human was opened in between, or a partition detached: look again. */
async function untilNobodyInterferes<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof DatabaseError) || error.sqlState !== 'WR011' || attempt >= 5) throw error
    }
  }
}

async function heldIn(owner: Queryable, tables: readonly string[]): Promise<number> {
  const rows = await owner.query<{ held: string }>(
    `SELECT coalesce(sum(pg_stat_get_dead_tuples(name::regclass)), 0) AS held FROM unnest($1::text[]) name`,
    [tables],
  )
  return Number(rows[0]?.held ?? 0)
}
