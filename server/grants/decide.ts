import { type ErrorCode, WritError } from '../errors.js'
import type { Operator, PolicySet } from '../types.js'
import { type GrantDeps, type GrantWish, openGrantRequest } from './request.js'
import { callGrantFunction, listGrantRequests } from './store.js'
import type { DecisionProof } from './types.js'

/** One human's decision on one request, over what they were shown. */
export interface HumanDecision {
  readonly requestId: string
  readonly decision: 'approve' | 'deny'
  readonly comment?: string
  /** The pins of what the human was shown; a request that differs is refused. */
  readonly policyDigest: string
  readonly permissionsSha256: string
  readonly proof: DecisionProof
}

export interface Decided {
  readonly state: string
  readonly grant_id: string | null
  readonly approvals: number
}

/**
 * Records a decision. One deny ends the request; the last approval needed makes the grant.
 *
 * Throws `WritError`: not_found, approver_not_allowed, approver_is_owner, approver_is_beneficiary,
 * grant_stale, already_decided, request_closed.
 */
export async function decideGrantRequest(
  deps: GrantDeps,
  policySet: PolicySet,
  operator: Operator,
  human: HumanDecision,
): Promise<Decided> {
  const [request] = await listGrantRequests(deps.database, { id: human.requestId }, { limit: 1 })
  if (request === undefined) throw new WritError('not_found', 'There is no such grant request.')
  if (!operator.roles.has('approver') || !operator.approves.has(request.environment)) {
    throw new WritError(
      'approver_not_allowed',
      `${operator.name} does not approve for ${request.environment}.`,
    )
  }
  // A grant under a policy that is gone would be refused at its first use; better say so to the human now.
  if (human.decision === 'approve' && request.policy_digest !== policySet.digest) {
    throw new WritError('grant_stale', 'The policy changed since this was asked for.')
  }
  const answer = await callGrantFunction<Decided>(deps.database, 'decide_grant_request', {
    request_id: human.requestId,
    grant_id: deps.newId(),
    decision: human.decision,
    comment: human.comment ?? null,
    operator: operator.name,
    operator_names: [...new Set([operator.name, ...operator.alsoKnownAs])],
    operator_teams: [...operator.teams],
    policy_digest: human.policyDigest,
    permissions_sha256: human.permissionsSha256,
    proof_kind: human.proof.kind,
    proof: human.proof,
  })
  if (answer.status === 'refused') {
    throw new WritError(
      answer.code as ErrorCode,
      SENTENCES[answer.code] ?? 'The request cannot be decided like this.',
    )
  }
  return answer
}

const SENTENCES: Readonly<Record<string, string>> = {
  already_decided: 'You have decided on this request already; one person counts once.',
  request_closed: 'The request is not pending any more.',
  grant_stale: 'The request is not the one you were shown.',
  approver_is_owner: 'The agent belongs to your team.',
  approver_is_beneficiary: 'The agent belongs to you or acts for you.',
}

/** An operator grants what nobody asked for: a request of their own and their approval, by the same rules. */
export async function grantUnasked(
  deps: GrantDeps,
  policySet: PolicySet,
  operator: Operator,
  agent: string,
  wish: GrantWish,
  proof: DecisionProof,
): Promise<Decided & { readonly request_id: string }> {
  if (!operator.roles.has('approver') || !operator.approves.has(wish.request.environment)) {
    throw new WritError(
      'approver_not_allowed',
      `${operator.name} does not approve for ${wish.request.environment}.`,
    )
  }
  const opened = await openGrantRequest(
    deps,
    policySet,
    agent,
    { kind: 'operator', name: operator.name },
    wish,
  )
  const [request] = await listGrantRequests(deps.database, { id: opened.id }, { limit: 1 })
  if (request === undefined) throw new WritError('not_found', 'The request vanished.')
  const decided = await decideGrantRequest(deps, policySet, operator, {
    requestId: opened.id,
    decision: 'approve',
    comment: wish.request.reason,
    policyDigest: request.policy_digest,
    permissionsSha256: request.permissions_sha256,
    proof,
  })
  return { ...decided, request_id: opened.id }
}
