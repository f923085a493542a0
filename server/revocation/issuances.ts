import type { Database } from '../db/pool.js'
import { WritError } from '../errors.js'
import { tagValue } from '../issuance/plan.js'
import type { RevocationDeps } from './deps.js'

/** What becomes of a session that is to die, or is not. Instants are ISO 8601 UTC. */
export interface RevocationView {
  readonly issuance_id: string
  readonly agent: string
  readonly environment: string
  readonly role: string
  /**
   * `none`: nothing is to kill it. `asked`: handed out no more, and alive. `written`: IAM has the Deny, read back.
   * `presumed`: for so long that it holds everywhere. `over`: ended by itself.
   */
  readonly state: 'none' | 'asked' | 'written' | 'presumed' | 'over'
  /** By what it dies: by itself, with all of its agent's, its human's, or its role's. */
  readonly by: 'issuance' | 'agent' | 'human' | 'role' | null
  readonly revoked_at: string | null
  readonly revoked_by: string | null
  readonly asked_at: string | null
  readonly written_at: string | null
  /** When the Deny is presumed to hold everywhere. */
  readonly presumed_at: string | null
  readonly ends_at: string
  /** Other sessions of the role that began before die too: single ones had no room. */
  readonly widened: boolean
  /** Why IAM does not have it yet; null while nothing went wrong. */
  readonly problem: string | null
}

/** Undefined when there is no such issuance. */
export async function findRevocation(
  database: Pick<Database, 'query'>,
  issuanceId: string,
): Promise<RevocationView | undefined> {
  const [intent] = await database.query<{ human: string }>(HUMAN, [issuanceId])
  const tag = intent === undefined ? null : tagValue(intent.human)
  const [row] = await database.query<{ view: RevocationView | null }>(
    'SELECT writ.issuance_end($1, $2) AS view',
    [issuanceId, tag],
  )
  return row?.view ?? undefined
}

/** Whom the session's tag names: nobody whom the agent alone named. */
const HUMAN = `
  SELECT e.human FROM writ.intent i JOIN writ.entry e ON e.idx = i.entry_idx
  WHERE i.issuance_id = $1 AND e.human IS NOT NULL
    AND convert_from(e.personal, 'UTF8')::jsonb->>'human_how' IS DISTINCT FROM 'self-claimed'`

export interface Revoking {
  readonly issuanceId: string
  readonly operator: string
  readonly reason: string
}

/**
 * From the answer on the session is handed to nobody, and its Deny is being written. Again changes nothing. Throws
 * `WritError` not_found, `DatabaseError`.
 */
export async function revokeIssuance(
  { database, kick }: Pick<RevocationDeps, 'database' | 'kick'>,
  { issuanceId, operator, reason }: Revoking,
): Promise<RevocationView> {
  const argument = { issuance_id: issuanceId, operator, reason }
  const [row] = await database.query<{ answer: { readonly status: 'ok' | 'refused' } }>(
    'SELECT writ.revoke_issuance($1::jsonb) AS answer',
    [JSON.stringify(argument)],
  )
  kick()
  const view = row?.answer.status === 'ok' ? await findRevocation(database, issuanceId) : undefined
  if (view === undefined) throw new WritError('not_found', 'There is no such issuance.')
  return view
}
