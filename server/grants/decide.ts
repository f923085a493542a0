import { denialKey } from '../audit/items.js'
import { type ErrorCode, WritError } from '../errors.js'
import type { Identity, Operator, PolicySet } from '../types.js'
import { freshTokenProof } from './proof.js'
import { type GrantDeps, type GrantWish, openGrantRequest } from './request.js'
import { callGrantFunction, listGrantRequests } from './store.js'
import type { GrantRequestView } from './types.js'

/** One human's decision on one request, over what they were shown. */
export interface HumanDecision {
  readonly requestId: string
  readonly decision: 'approve' | 'deny'
  readonly comment?: string
  /** The pins of what the human was shown; a request that differs is refused. */
  readonly policyDigest: string
  readonly permissionsSha256: string
}

/** An operator and the verified token they decide with: their proof is in it. */
export interface Deciding {
  readonly operator: Operator
  readonly identity: Identity
}

export interface Decided {
  readonly state: string
  readonly grant_id: string | null
  readonly approvals: number
}

/**
 * Records a decision. One deny ends the request; the last approval needed makes the grant.
 *
 * Throws `WritError`: not_found, proof_stale, approver_not_allowed, approver_is_owner,
 * approver_is_beneficiary, grant_stale, already_decided, request_closed. Each is recorded first: who tried to
 * approve what they may not is what a reviewer looks for.
 */
export async function decideGrantRequest(
  deps: GrantDeps,
  policySet: PolicySet,
  deciding: Deciding,
  human: HumanDecision,
): Promise<Decided> {
  deps.assertTrusted()
  const [request] = await listGrantRequests(deps.database, { id: human.requestId }, { limit: 1 })
  if (request === undefined) throw new WritError('not_found', 'There is no such grant request.')
  try {
    return await decide(deps, policySet, deciding, human, request)
  } catch (error) {
    if (error instanceof WritError) await recordRefusal(deps, deciding, request, human.decision, error)
    throw error
  }
}

async function decide(
  deps: GrantDeps,
  policySet: PolicySet,
  { operator, identity }: Deciding,
  human: HumanDecision,
  request: GrantRequestView,
): Promise<Decided> {
  mayApproveFor(operator, request.environment)
  const proof = freshTokenProof(identity, deps.now())
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
    proof_kind: proof.kind,
    proof,
  })
  if (answer.status === 'ok') return answer
  throw new WritError(
    answer.code as ErrorCode,
    SENTENCES[answer.code] ?? 'The request cannot be decided like this.',
  )
}

const SENTENCES: Readonly<Record<string, string>> = {
  already_decided: 'You have decided on this request already; one person counts once.',
  request_closed: 'The request is not pending any more.',
  grant_stale: 'The request is not the one you were shown.',
  approver_is_owner: 'The agent belongs to your team.',
  approver_is_beneficiary: 'The agent belongs to you or acts for you.',
}

function mayApproveFor(operator: Operator, environment: string): void {
  if (operator.roles.has('approver') && operator.approves.has(environment)) return
  throw new WritError('approver_not_allowed', `${operator.name} does not approve for ${environment}.`)
}

async function recordRefusal(
  deps: GrantDeps,
  { operator, identity }: Deciding,
  request: GrantRequestView,
  decision: string,
  { code, message }: WritError,
): Promise<void> {
  await deps.record({
    op: 'denial',
    kind: 'operator.refused',
    key: denialKey('decision', operator.name, request.id, decision, code),
    fields: {
      agent: request.agent,
      environment: request.environment,
      operator: operator.name,
      request_id: request.id,
      code,
    },
    payload: { decision, detail: message, issuer: identity.issuer },
    personal: { subject: identity.subject },
  })
}

/** An operator grants what nobody asked for: a request of their own and their approval, by the same rules. */
export async function grantUnasked(
  deps: GrantDeps,
  policySet: PolicySet,
  deciding: Deciding,
  agent: string,
  wish: GrantWish,
): Promise<Decided & { readonly request_id: string }> {
  const { operator, identity } = deciding
  // Before anything is opened: a request that its own maker may not approve would only lie about.
  mayApproveFor(operator, wish.request.environment)
  freshTokenProof(identity, deps.now())
  const requester = { kind: 'operator', name: operator.name } as const
  const opened = await openGrantRequest(deps, policySet, agent, requester, wish)
  const [request] = await listGrantRequests(deps.database, { id: opened.id }, { limit: 1 })
  if (request === undefined) throw new WritError('not_found', 'The request vanished.')
  const decided = await decideGrantRequest(deps, policySet, deciding, {
    requestId: opened.id,
    decision: 'approve',
    comment: wish.request.reason,
    policyDigest: request.policy_digest,
    permissionsSha256: request.permissions_sha256,
  })
  return { ...decided, request_id: opened.id }
}
