import type { KeyKind } from '../audit/proofs/document.js'
import { WritError } from '../errors.js'
import type { Operator } from '../types.js'
import { askToSign, type SignChallenge } from './asking.js'
import type { OperatorDeps } from './deps.js'
import { checkSigned, type SubmittedProof } from './signatures.js'
import { type Caller, callKeyFunction, refuse } from './store.js'

/** A key that waits for somebody other than its holder. Instants are ISO 8601 UTC. */
export interface Proposal {
  readonly id: string
  readonly operator: string
  readonly key_id: string
  readonly kind: KeyKind
  readonly public_key: string
  readonly label: string
  readonly aaguid: string | null
  readonly created_at: string
  readonly expires_at: string
  /** Whether the caller may vouch for it. */
  readonly may_vouch: boolean
}

const mayVouch = ({ roles }: Operator): boolean => roles.has('approver') || roles.has('admin')

/** Keys that wait, oldest first: one's own, and for those who could vouch, everybody's. At most 200. */
export async function listProposals(
  { database }: Pick<OperatorDeps, 'database'>,
  caller: Operator,
): Promise<readonly Proposal[]> {
  const everybodys = mayVouch(caller) || caller.roles.has('security')
  const rows = await database.query<{ view: Omit<Proposal, 'may_vouch'> }>(
    `SELECT ${VIEW} AS view FROM writ.proposed_key p
     WHERE closed_at IS NULL AND clock_timestamp() < expires_at AND ($1::text IS NULL OR operator = $1)
     ORDER BY created_at, id LIMIT 200`,
    [everybodys ? null : caller.name],
  )
  return rows.map(({ view }) => ({
    ...view,
    may_vouch: mayVouch(caller) && view.operator !== caller.name,
  }))
}

const VIEW = `jsonb_build_object('id', id, 'operator', operator, 'key_id', key->>'id', 'kind', key->>'kind',
  'public_key', key->>'public_key', 'label', key->>'label', 'aaguid', key->>'aaguid',
  'created_at', created_at, 'expires_at', expires_at)`

/**
 * Writes down, for somebody to sign, that a key is its operator's. Throws `WritError` not_found, operator_role,
 * voucher_is_owner, key_unknown.
 */
export async function vouchChallenge(
  deps: OperatorDeps,
  voucher: Operator,
  id: string,
): Promise<SignChallenge> {
  const proposal = await proposalToVouchFor(deps, voucher, id)
  return askToSign(deps, voucher.name, 'vouch', {
    type: 'writ.vouch.v1',
    voucher: voucher.name,
    operator: proposal.operator,
    proposal: proposal.id,
    key_id: proposal.key_id,
    key_kind: proposal.kind,
    public_key: proposal.public_key,
    label: proposal.label,
  })
}

/**
 * Somebody else's signature makes a proposed key its operator's. Throws `WritError` not_found, operator_role,
 * voucher_is_owner, key_unknown, challenge_over, signature_invalid, signed_something_else, key_taken.
 */
export async function vouchForKey(
  deps: OperatorDeps,
  voucher: Caller,
  id: string,
  signed: { readonly challenge: string; readonly proof: SubmittedProof },
): Promise<{ readonly operator: string; readonly key_id: string }> {
  const { name } = voucher.operator
  const proposal = await proposalToVouchFor(deps, voucher.operator, id)
  const { proof, signCount } = await checkSigned(deps, name, 'vouch', signed)
  const answer = await callKeyFunction(deps.database, 'vouch_for_key', {
    proposal: id,
    operator: name,
    challenge: signed.challenge,
    proof,
    sign_count: signCount,
    ...voucher.said,
  })
  if (answer.status === 'refused') throw refuse(answer.code)
  return { operator: proposal.operator, key_id: proposal.key_id }
}

/** Takes a proposal back, or turns it down. Throws `WritError` not_found. */
export async function withdrawProposal(deps: OperatorDeps, caller: Operator, id: string): Promise<void> {
  const seen = await listProposals(deps, caller)
  const proposal = seen.find((one) => one.id === id)
  if (proposal === undefined || (proposal.operator !== caller.name && !proposal.may_vouch))
    throw refuse('not_found')
  await deps.database.query('SELECT writ.withdraw_proposed_key($1)', [id])
}

async function proposalToVouchFor(
  { database }: OperatorDeps,
  voucher: Operator,
  id: string,
): Promise<Omit<Proposal, 'may_vouch'>> {
  if (!mayVouch(voucher)) throw new WritError('operator_role', 'Vouching needs the role approver or admin.')
  const [row] = await database.query<{ view: Omit<Proposal, 'may_vouch'> }>(
    `SELECT ${VIEW} AS view FROM writ.proposed_key p
     WHERE id = $1 AND closed_at IS NULL AND clock_timestamp() < expires_at`,
    [id],
  )
  if (row === undefined) throw refuse('not_found')
  if (row.view.operator === voucher.name) throw refuse('voucher_is_owner')
  return row.view
}
