import type { KeyKind } from '../audit/proofs/document.js'
import { WritError } from '../errors.js'
import type { Operator } from '../types.js'
import type { OperatorDeps } from './deps.js'
import { assertFresh, type Caller, callKeyFunction, mayManageKeysOf, refuse } from './store.js'

/** A key that an operator holds now. */
export interface OperatorKey {
  /** Credential id in base64url, or `SHA256:…`. */
  readonly id: string
  readonly operator: string
  readonly kind: KeyKind
  /** COSE in base64url, or `sk-ssh-… BASE64`. */
  readonly public_key: string
  readonly label: string
  readonly transports: readonly string[]
  /** Signatures so far, as the authenticator said; 0 where it does not count. */
  readonly sign_count: number
}

/** A key, removed ones too, as a list shows it. Instants are ISO 8601 UTC. */
export interface KeyView {
  readonly id: string
  readonly operator: string
  readonly kind: KeyKind
  readonly public_key: string
  readonly label: string
  /** Model of the authenticator; zeros where it does not say. */
  readonly aaguid: string | null
  readonly transports: readonly string[]
  /** Whether it is synced elsewhere; null where that is unknown. */
  readonly backed_up: boolean | null
  readonly added_at: string
  /** Null when it was enrolled with a one-time code. */
  readonly vouched_by: string | null
  readonly last_used_at: string | null
  readonly removed_at: string | null
  readonly removed_by: string | null
}

const COLUMNS = 'id, operator, kind, public_key, label, transports, sign_count::float8 AS sign_count'

/** The keys an operator holds now, oldest first. */
export async function keysOf(
  { database }: Pick<OperatorDeps, 'database'>,
  operator: string,
): Promise<readonly OperatorKey[]> {
  return database.query<OperatorKey>(
    `SELECT ${COLUMNS} FROM writ.operator_key WHERE operator = $1 AND removed_at IS NULL ORDER BY added_at, id`,
    [operator],
  )
}

/** A key that somebody holds now. */
export async function keyById(
  { database }: Pick<OperatorDeps, 'database'>,
  id: string,
): Promise<OperatorKey | undefined> {
  const [key] = await database.query<OperatorKey>(
    `SELECT ${COLUMNS} FROM writ.operator_key WHERE id = $1 AND removed_at IS NULL`,
    [id],
  )
  return key
}

/**
 * Keys of an operator, removed ones too, newest first: one's own, or for an administrator or security anybody's.
 * Throws `WritError` operator_role.
 */
export async function listKeys(
  { database }: Pick<OperatorDeps, 'database'>,
  caller: Operator,
  of: string = caller.name,
): Promise<readonly KeyView[]> {
  if (of !== caller.name && !caller.roles.has('security')) mayManageKeysOf(caller, of)
  const rows = await database.query<{ view: KeyView }>(
    `SELECT to_jsonb(k) - 'sign_count' AS view FROM writ.operator_key k WHERE operator = $1
     ORDER BY added_at DESC, id LIMIT 500`,
    [of],
  )
  return rows.map((row) => row.view)
}

/**
 * Takes a key away for ever: by whom it is of, or an administrator. The last one too, since a lost key must be able to
 * go; its holder needs a new code, or somebody's voucher, for the next. Whoever signed in with a passkey of theirs is
 * signed out, but for the session that asks.
 *
 * Throws `WritError`: not_found, operator_role, proof_stale.
 */
export async function removeKey(
  deps: OperatorDeps,
  caller: Caller,
  id: string,
): Promise<{ readonly of: string; readonly left: number }> {
  const [key] = await deps.database.query<{ operator: string }>(
    'SELECT operator FROM writ.operator_key WHERE id = $1',
    [id],
  )
  // Whether somebody else has that key is only for those who may see it.
  if (key === undefined || (key.operator !== caller.operator.name && !caller.operator.roles.has('admin'))) {
    throw new WritError('not_found', 'You have no such key.')
  }
  assertFresh(caller, deps.now())
  const answer = await callKeyFunction(deps.database, 'remove_key', {
    key_id: id,
    operator: caller.operator.name,
    ...(caller.session === undefined ? {} : { session: caller.session }),
    ...caller.said,
  })
  if (answer.status === 'refused') throw refuse(answer.code)
  return { of: key.operator, left: (await keysOf(deps, key.operator)).length }
}
