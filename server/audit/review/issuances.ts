import type { Queryable } from '../../db/pool.js'
import { type PersonalState, readPersonal } from '../personal.js'
import type { IssuanceState } from './filters.js'
import { planned } from './planned.js'
import { SOURCES } from './search.js'

export interface IssuanceView extends PersonalView {
  readonly issuance: string
  /** Index of the intent's entry. */
  readonly entry: number
  readonly at: string
  readonly state: IssuanceState
  readonly agent: string
  readonly environment: string
  /** Null on entries of version 1, and once the entry is archived. */
  readonly tier: string | null
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
export interface PersonalView {
  readonly personal_data: PersonalState
  readonly human: string | null
  readonly human_how: string | null
  readonly subject: string | null
  readonly source_ip: string | null
  readonly reason: string | null
  readonly ticket: string | null
}

const VIEWS = `SELECT jsonb_build_object('issuance', i.issuance_id, 'entry', i.entry_idx, 'at', i.at,
    'state', coalesce(o.state, 'intended'), 'agent', i.agent, 'environment', i.environment, 'tier', e.tier,
    'role', i.role_arn, 'sensitivity', i.sensitivity, 'scopes', i.scopes, 'grant', i.grant_id,
    'grant_use', i.grant_use, 'policy_digest', i.policy_digest, 'access_key_id', o.access_key_id,
    'expires_at', o.expires_at, 'not_after', i.not_after, 'error_code', o.error_code) AS view,
    convert_from(e.body, 'UTF8') AS body, e.personal, e.salt
  FROM unnest($1::bigint[]) WITH ORDINALITY c(idx, n), ${SOURCES.issuances} ORDER BY c.n`

/** The issuances whose intents have these indexes, in their order. */
export async function fetchIssuances(
  database: Queryable,
  indexes: readonly number[],
): Promise<readonly IssuanceView[]> {
  if (indexes.length === 0) return []
  const rows = await database.query<IssuanceRow>(VIEWS, [indexes], planned(VIEWS))
  return rows.map(issuanceView)
}

/** The issuance with this id, if there is one. */
export async function findIssuance(database: Queryable, id: string): Promise<IssuanceView | undefined> {
  const rows = await database.query<{ idx: string }>(
    'SELECT entry_idx AS idx FROM writ.intent WHERE issuance_id = $1',
    [id],
  )
  const [found] = await fetchIssuances(
    database,
    rows.map(({ idx }) => Number(idx)),
  )
  return found
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
      ? ({ state: 'archived', data: null } as const)
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
