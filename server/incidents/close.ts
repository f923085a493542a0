import { WritError } from '../errors.js'
import { askToSign, type SignChallenge } from '../operators/asking.js'
import { checkSigned, type SubmittedProof } from '../operators/signatures.js'
import type { Caller } from '../operators/store.js'
import type { RevocationDeps } from '../revocation/deps.js'
import type { Operator } from '../types.js'
import { CLOSERS } from './boundary.js'
import { callIncidentFunction, refusedIncident } from './store.js'

/**
 * Writes down, for somebody to sign, that an incident is over, after reading this evidence. Throws `WritError`
 * operator_role, not_found, incident_closed, signed_something_else for evidence that was not collected for it,
 * already_decided, key_unknown.
 */
export async function closeChallenge(
  deps: RevocationDeps,
  operator: Operator,
  incident: string,
  evidence: string,
): Promise<SignChallenge> {
  mayClose(operator)
  const [row] = await deps.database.query<{
    agent: string
    leaf: string
    closed: boolean
    collected: boolean
    signed: boolean
  }>(
    `SELECT i.agent, encode(i.leaf, 'hex') AS leaf, i.closed_at IS NOT NULL AS closed,
       EXISTS (SELECT FROM writ.incident_step s WHERE s.incident = i.id AND s.evidence = $2) AS collected,
       EXISTS (SELECT FROM writ.incident_close c WHERE c.incident = i.id AND c.evidence = $2 AND c.operator = $3) AS signed
     FROM writ.incident i WHERE i.id = $1`,
    [incident, evidence, operator.name],
  )
  if (row === undefined) throw refusedIncident('not_found')
  if (row.closed) throw refusedIncident('incident_closed')
  if (!row.collected) throw refusedIncident('signed_something_else')
  if (row.signed) throw refusedIncident('already_decided')
  return askToSign(deps.operators, operator.name, 'close', {
    type: 'writ.close.v1',
    operator: operator.name,
    incident,
    agent: row.agent,
    incident_leaf: row.leaf,
    evidence,
  })
}

/**
 * One person's signature that an incident is over; with a second person's over the same evidence, it is closed. Throws
 * `WritError` operator_role, not_found, incident_closed, already_decided, key_unknown, challenge_over, signature_invalid,
 * signed_something_else.
 */
export async function closeIncident(
  deps: RevocationDeps,
  { operator, said }: Pick<Caller, 'operator' | 'said'>,
  incident: string,
  signed: { readonly challenge: string; readonly proof: SubmittedProof },
): Promise<{ readonly closed: boolean; readonly signed: number; readonly needed: number }> {
  mayClose(operator)
  const { proof, signCount } = await checkSigned(deps.operators, operator.name, 'close', signed)
  const answer = await callIncidentFunction<{ closed: boolean; signed: number; needed: number }>(
    deps.database,
    'close_incident',
    {
      incident,
      operator: operator.name,
      operator_names: [...new Set([operator.name, ...operator.alsoKnownAs])],
      challenge: signed.challenge,
      proof,
      sign_count: signCount,
      ...said,
    },
  )
  return { closed: answer.closed, signed: answer.signed, needed: answer.needed }
}

function mayClose(operator: Operator): void {
  if (CLOSERS.some((role) => operator.roles.has(role))) return
  throw new WritError('operator_role', `Closing an incident needs the role ${CLOSERS.join(' or ')}.`)
}
