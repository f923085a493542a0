import type { Database } from '../../db/pool.js'
import type { Range } from './drivers.js'
import { inOrder } from './in-order.js'
import { Parameters } from './parameters.js'

/** More than these, and an index for each is no longer the cheap way. */
export const MOST_STREAMS = 64

/** From times to indexes: `since` inclusive, `until` exclusive; and below what every intent has its outcome. */
export async function boundsOf(
  database: Database,
  { since, until }: { readonly since?: string | undefined; readonly until?: string | undefined },
): Promise<{ readonly range: Range; readonly settled: number }> {
  const { add, values } = new Parameters()
  // Entries of a batch share its time, and time never runs backwards along the log.
  const first = (instant: string | undefined) =>
    instant === undefined
      ? 'NULL::bigint'
      : `coalesce((SELECT first_idx FROM writ.log_batch WHERE at >= ${add(instant)}::timestamptz
           ORDER BY at, first_idx LIMIT 1), h.size)`
  const rows = await database.query<Record<'size' | 'since' | 'until' | 'settled', string | null>>(
    `SELECT h.size, m.settled, ${first(since)} AS since, ${first(until)} AS until
     FROM writ.log_head h, writ.maintenance m`,
    values,
  )
  const found = rows[0]
  const lo = Number(found?.since ?? 0)
  const hi = Number(found?.until ?? found?.size ?? 0)
  return { range: { lo: Math.min(lo, hi), hi }, settled: Number(found?.settled ?? 0) }
}

/**
 * Scope sets that name this scope, and hold an action pattern that covers this action. IAM compares actions
 * without case, and `*` and `?` in a document are its wildcards.
 */
export async function scopeSets(
  database: Database,
  { scope, action }: { readonly scope?: string | undefined; readonly action?: string | undefined },
): Promise<readonly number[]> {
  const { add, values } = new Parameters()
  const parts: string[] = []
  if (scope !== undefined) parts.push(`s.scopes @> ARRAY[${add(scope)}::text]`)
  if (action !== undefined) {
    parts.push(`EXISTS (SELECT FROM unnest(s.actions) a
      WHERE lower(${add(action)}) LIKE replace(replace(replace(replace(replace(lower(a),
        '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%'), '?', '_'))`)
  }
  const rows = await database.query<{ id: number }>(
    `SELECT s.id FROM writ.scope_set s WHERE ${parts.join(' AND ')} ORDER BY s.id`,
    values,
  )
  return rows.map(({ id }) => id)
}

/** Each hop looks into every partition: at 10 million entries 64 of them took 10 ms before they gave up. */
const MOST_ADDRESSES = 24

/** Entries of which a block with many addresses shows already that it has. */
const RECENT = 500_000

/** Addresses of a block that the record has seen: hopping from one to the next, and giving up when there are many. */
export async function addressesIn(
  database: Database,
  network: string,
  { hi }: Range,
): Promise<readonly string[] | undefined> {
  const recent = await hop(database, network, Math.max(0, hi - RECENT))
  return recent === undefined || hi <= RECENT ? recent : hop(database, network, 0)
}

async function hop(
  database: Database,
  network: string,
  from: number,
): Promise<readonly string[] | undefined> {
  const rows = await inOrder<{ ip: string }>(
    database,
    `WITH RECURSIVE block AS (
       SELECT network($1::inet)::inet AS first,
         set_masklen(broadcast($1::inet), CASE family($1::inet) WHEN 4 THEN 32 ELSE 128 END) AS last
     ), seen(ip) AS (
       (SELECT (SELECT e.source_ip FROM writ.entry e WHERE e.source_ip >= b.first AND e.source_ip <= b.last
                  AND e.idx >= $3::bigint ORDER BY e.source_ip LIMIT 1) FROM block b)
       UNION ALL
       SELECT (SELECT e.source_ip FROM writ.entry e WHERE e.source_ip > s.ip AND e.source_ip <= b.last
                 AND e.idx >= $3::bigint ORDER BY e.source_ip LIMIT 1)
       FROM seen s, block b WHERE s.ip IS NOT NULL
     )
     SELECT host(ip) AS ip FROM seen WHERE ip IS NOT NULL LIMIT $2`,
    [network, MOST_ADDRESSES + 1, from],
  )
  return rows.length > MOST_ADDRESSES ? undefined : rows.map(({ ip }) => ip)
}

/** The issuance that an access key came from, and the index of its intent. */
export async function issuanceOfKey(
  database: Database,
  accessKey: string,
): Promise<{ readonly id: string; readonly idx: number } | undefined> {
  const rows = await database.query<{ id: string; idx: string }>(
    'SELECT o.issuance_id AS id, o.intent_idx AS idx FROM writ.outcome o WHERE o.access_key_id = $1',
    [accessKey],
  )
  return rows.map(({ id, idx }) => ({ id, idx: Number(idx) }))[0]
}

/** The environment a role is for, fixed when it is first seen. */
export async function environmentOf(database: Database, role: string): Promise<string | undefined> {
  const rows = await database.query<{ environment: string }>(
    'SELECT environment FROM writ.role_catalog WHERE role_arn = $1',
    [role],
  )
  return rows[0]?.environment
}

/** Issuances on a role, if they are few. */
export async function issuancesOn(database: Database, role: string): Promise<readonly string[] | undefined> {
  const rows = await inOrder<{ id: string }>(
    database,
    `SELECT i.issuance_id AS id FROM writ.intent i WHERE i.role_arn = ANY (ARRAY[$1::text])
     ORDER BY i.role_arn, i.entry_idx LIMIT $2`,
    [role, MOST_STREAMS + 1],
  )
  return rows.length > MOST_STREAMS ? undefined : rows.map(({ id }) => id)
}

/** Intents on a grant, which has at most as many uses as its approver allowed. */
export async function intentsOn(database: Database, grant: string): Promise<readonly number[]> {
  const rows = await database.query<{ idx: string }>(
    'SELECT entry_idx AS idx FROM writ.intent WHERE grant_id = $1',
    [grant],
  )
  return rows.map(({ idx }) => Number(idx))
}
