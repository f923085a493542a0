import type { EventFilter } from '../server/audit/review/filters.js'
import type { Database } from '../server/db/pool.js'

/** What is looked for is in much of the record, in a few thousand places all over it, or in its oldest tenth only. */
export const HOW_OFTEN = ['common', 'seldom', 'long ago'] as const
export type HowOften = (typeof HOW_OFTEN)[number]

export interface Case {
  readonly list: 'issuances' | 'events'
  readonly by: string
  readonly filters: Readonly<Partial<Record<HowOften, EventFilter>>>
}

/** Everything that the two listings can be narrowed by, with values of the seeded record (seed/chunk.sql). */
export async function historyCases(database: Database): Promise<readonly Case[]> {
  const found = await knownTo(database)
  const three = (field: keyof EventFilter, common?: string, seldom?: string, former?: string) => ({
    by: `\`${field}\``,
    filters: {
      ...(common === undefined ? {} : { common: { [field]: common } }),
      ...(seldom === undefined ? {} : { seldom: { [field]: seldom } }),
      ...(former === undefined ? {} : { 'long ago': { [field]: former } }),
    },
  })
  const both = [
    { by: 'nothing', filters: { common: {} } },
    three('agent', 'agent-00000', 'agent-00300', 'agent-00301'),
    three('human', 'person-0000@example.com', 'seldom.person@example.com', 'former.person@example.com'),
    three('environment', 'development', 'sandbox', 'staging'),
    three('tier', 'development', 'sandbox', 'staging'),
    three('scope', 'team-0:read', 'seldom:tables', 'former:queues'),
    three('action', 's3:GetObject', 'dynamodb:GetItem', 'sqs:ReceiveMessage'),
    three('role', found.roles[0], found.roles[1], found.roles[2]),
    three('state', 'issued', 'failed', 'abandoned'),
    three('grant', found.newestGrant, undefined, found.oldestGrant),
    three('access_key', found.newestKey, undefined, found.oldestKey),
    three('network', '10.20.0.0/16', '10.99.0.0/24', '10.98.0.0/24'),
    { ...three('network', '10.20.0.1', '10.99.0.1', '10.98.0.1'), by: '`network`, one address' },
    {
      by: '`since`, `until`',
      filters: {
        common: { since: found.half },
        'long ago': { until: found.tenth },
      },
    },
    {
      by: '`agent`, `human`',
      filters: {
        common: { agent: 'agent-00000', human: 'person-0000@example.com' },
        seldom: { agent: 'agent-00000', human: 'person-1900@example.com' },
        'long ago': { agent: 'agent-00301', human: 'former.person@example.com' },
      },
    },
    {
      by: '`agent`, `environment`',
      filters: {
        common: { agent: 'agent-00000', environment: 'development' },
        // Common each, and never together.
        seldom: { agent: 'agent-00000', environment: 'sandbox' },
        'long ago': { agent: 'agent-00301', environment: 'staging' },
      },
    },
  ]
  const events = [
    three('kind', 'issuance.delivered', 'log.exported', 'policy.rejected'),
    three('operator', 'operator-01', 'operator-seldom', 'operator-former'),
    three('code', 'denied', 'red_line', 'unknown_scope'),
    three('issuance', found.newestIssuance, undefined, found.oldestIssuance),
    three('request', found.newestRequest, undefined, found.oldestRequest),
  ]
  return [
    ...both.map((one) => ({ list: 'issuances' as const, ...one })),
    ...[...both, ...events].map((one) => ({ list: 'events' as const, ...one })),
  ]
}

interface Known {
  readonly newestGrant: string
  readonly oldestGrant: string
  readonly newestRequest: string
  readonly oldestRequest: string
  readonly newestKey: string
  readonly oldestKey: string
  readonly newestIssuance: string
  readonly oldestIssuance: string
  readonly roles: readonly string[]
  readonly half: string
  readonly tenth: string
}

async function knownTo(database: Database): Promise<Known> {
  const at = (share: number) =>
    `(SELECT at FROM writ.log_batch WHERE first_idx >= ${share} * (SELECT size FROM writ.log_head) ORDER BY first_idx LIMIT 1)`
  const end = (column: string, table: string, by: string, order: string) =>
    `(SELECT ${column} FROM writ.${table} ORDER BY ${by} ${order} LIMIT 1)`
  const role = (agent: string) =>
    `(SELECT role_arn FROM writ.intent WHERE agent = '${agent}' ORDER BY entry_idx LIMIT 1)`
  const rows = await database.query<Known>(
    `SELECT g.first AS "oldestGrant", g.last AS "newestGrant", r.first AS "oldestRequest", r.last AS "newestRequest",
       k.first AS "oldestKey", k.last AS "newestKey", k.oldest AS "oldestIssuance", k.newest AS "newestIssuance",
       ARRAY[${role('agent-00000')}, ${role('agent-00300')}, ${role('agent-00301')}] AS roles,
       to_json(${at(0.5)}) #>> '{}' AS half, to_json(${at(0.1)}) #>> '{}' AS tenth
     FROM (SELECT ${end('grant_id', 'intent', 'entry_idx', 'DESC').replace('ORDER', 'WHERE grant_id IS NOT NULL ORDER')} AS last,
             ${end('grant_id', 'intent', 'entry_idx', 'ASC').replace('ORDER', 'WHERE grant_id IS NOT NULL ORDER')} AS first) g,
       (SELECT ${end('id', 'grant_request', 'created_at', 'DESC')} AS last, ${end('id', 'grant_request', 'created_at', 'ASC')} AS first) r,
       (SELECT ${end('access_key_id', 'outcome', 'entry_idx', 'DESC')} AS last, ${end('access_key_id', 'outcome', 'entry_idx', 'ASC')} AS first,
          ${end('issuance_id', 'outcome', 'entry_idx', 'DESC')} AS newest, ${end('issuance_id', 'outcome', 'entry_idx', 'ASC')} AS oldest) k`,
  )
  const [known] = rows
  if (known === undefined) throw new Error('the record is empty')
  return known
}
