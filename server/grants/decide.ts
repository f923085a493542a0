import { denialKey } from '../audit/items.js'
import { type ErrorCode, WritError } from '../errors.js'
import type { Identity, Operator, PolicySet } from '../types.js'
import { mayDecide, mayGrantTo } from './may-decide.js'
import { freshTokenProof } from './proof.js'
import { type GrantDeps, type GrantWish, openGrantRequest } from './request.js'
import { type SignedAnswer, signedDecision } from './signed.js'
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

/** An operator, and the verified token they come with; at the console a session stands in its place. */
export interface Deciding {
  readonly operator: Operator
  readonly identity?: Identity
}

export interface Decided {
  readonly state: string
  readonly grant_id: string | null
  readonly approvals: number
}

/**
 * Records a decision that a fresh token proves; where production is at stake a signature is demanded instead. One
 * deny ends the request; the last approval needed makes the grant.
 *
 * Throws `WritError`: not_found, proof_stale, signature_required, approver_not_allowed, approver_is_owner,
 * approver_is_beneficiary, grant_stale, already_decided, request_closed. Each is recorded first: who tried to
 * approve what they may not is what a reviewer looks for.
 */
export async function decideGrantRequest(
  deps: GrantDeps,
  policySet: PolicySet,
  deciding: Deciding & { readonly identity: Identity },
  human: HumanDecision,
): Promise<Decided> {
  return onRequest(deps, deciding, human.requestId, async (request) => {
    mayDecide(policySet, deciding.operator, request, false)
    const proof = freshTokenProof(deciding.identity, deps.now())
    if (human.decision === 'approve') stillSo(request, policySet)
    return record(deps, deciding.operator, request, {
      decision: human.decision,
      comment: human.comment ?? null,
      policy_digest: human.policyDigest,
      permissions_sha256: human.permissionsSha256,
      proof_kind: proof.kind,
      proof,
    })
  })
}

/**
 * The same, signed with a key of the operator's own over everything they were shown (`decisionChallenge`).
 *
 * Throws besides: challenge_over, key_unknown, signature_invalid, signed_something_else, break_glass_not_allowed,
 * break_glass_unreviewed.
 */
export async function decideSigned(
  deps: GrantDeps,
  policySet: PolicySet,
  deciding: Deciding,
  answer: SignedAnswer,
): Promise<Decided> {
  return onRequest(deps, deciding, answer.requestId, async (request) => {
    const { document, proof, personal, signCount } = await signedDecision(deps, deciding.operator, answer)
    mayDecide(policySet, deciding.operator, request, document.break_glass)
    if (document.decision === 'approve') stillSo(request, policySet)
    return record(deps, deciding.operator, request, {
      decision: document.decision,
      comment: personal?.comment ?? null,
      comment_salt: personal?.comment_salt ?? null,
      policy_digest: document.policy_digest,
      permissions_sha256: document.permissions_sha256,
      break_glass: document.break_glass,
      proof_kind: proof.kind,
      proof,
      challenge: answer.challenge,
      sign_count: signCount,
    })
  })
}

/** A grant under a policy that is gone would be refused at its first use; better say so to the human now. */
function stillSo(request: GrantRequestView, policySet: PolicySet): void {
  if (request.policy_digest === policySet.digest) return
  throw new WritError('grant_stale', 'The policy changed since this was asked for.')
}

async function record(
  deps: GrantDeps,
  operator: Operator,
  request: GrantRequestView,
  decision: Readonly<Record<string, unknown>>,
): Promise<Decided> {
  const answer = await callGrantFunction<Decided>(deps.database, 'decide_grant_request', {
    request_id: request.id,
    grant_id: deps.newId(),
    operator: operator.name,
    operator_names: [...new Set([operator.name, ...operator.alsoKnownAs])],
    operator_teams: [...operator.teams],
    ...decision,
  })
  if (answer.status === 'ok') return answer
  throw new WritError(
    answer.code as ErrorCode,
    SENTENCES[answer.code] ?? 'The request cannot be decided like this.',
  )
}

const SENTENCES: Readonly<Record<string, string>> = {
  agent_stopped: 'What this is for is stopped; nothing is granted until it is released.',
  already_decided: 'You have decided on this request already; one person counts once.',
  request_closed: 'The request is not pending any more.',
  grant_stale: 'The request is not the one you were shown.',
  approver_is_owner: 'The agent belongs to your team.',
  approver_is_beneficiary: 'The agent belongs to you or acts for you.',
  signature_required: 'A production write takes a signature with a key of your own; a token is not enough.',
  signed_something_else: 'What was signed is not this decision on this request.',
  challenge_over: 'What you signed was used already, or is older than five minutes.',
  key_unknown: 'The key that signed is not one of yours.',
  signature_invalid: 'The count of this key did not rise: there may be a copy of it.',
  break_glass_unreviewed: 'An earlier break-glass in this environment waits for its review.',
}

/** Runs a decision on a request; a refusal is recorded before it is answered. */
async function onRequest(
  deps: GrantDeps,
  deciding: Deciding,
  requestId: string,
  decide: (request: GrantRequestView) => Promise<Decided>,
): Promise<Decided> {
  deps.assertTrusted()
  const [request] = await listGrantRequests(deps.database, { id: requestId }, { limit: 1 })
  if (request === undefined) throw new WritError('not_found', 'There is no such grant request.')
  try {
    return await decide(request)
  } catch (error) {
    if (error instanceof WritError) await recordRefusal(deps, deciding, request, error)
    throw error
  }
}

async function recordRefusal(
  deps: GrantDeps,
  { operator, identity }: Deciding,
  request: GrantRequestView,
  { code, message }: WritError,
): Promise<void> {
  await deps.record({
    op: 'denial',
    kind: 'operator.refused',
    key: denialKey('decision', operator.name, request.id, code),
    fields: {
      agent: request.agent,
      environment: request.environment,
      operator: operator.name,
      request_id: request.id,
      code,
    },
    payload: { detail: message, ...(identity === undefined ? {} : { issuer: identity.issuer }) },
    ...(identity === undefined ? {} : { personal: { subject: identity.subject } }),
  })
}

/**
 * An operator grants what nobody asked for: a request of their own, and their approval by the same rules. Where a
 * signature is needed the request waits for it, from them like from anybody.
 */
export async function grantUnasked(
  deps: GrantDeps,
  policySet: PolicySet,
  deciding: Deciding & { readonly identity: Identity },
  agent: string,
  wish: GrantWish,
): Promise<Decided & { readonly request_id: string }> {
  const request = await openUnasked(deps, policySet, deciding, agent, wish)
  if (request.signature_required) {
    return { state: request.state, grant_id: null, approvals: 0, request_id: request.id }
  }
  const decided = await decideGrantRequest(deps, policySet, deciding, {
    requestId: request.id,
    decision: 'approve',
    comment: wish.request.reason,
    policyDigest: request.policy_digest,
    permissionsSha256: request.permissions_sha256,
  })
  return { ...decided, request_id: request.id }
}

/** The request alone, by an operator who may decide on it. */
export async function openUnasked(
  deps: GrantDeps,
  policySet: PolicySet,
  { operator, identity }: Deciding,
  agent: string,
  wish: GrantWish,
): Promise<GrantRequestView> {
  // Before anything is opened: a request that its own maker may not approve would only lie about.
  mayDecide(policySet, operator, wish.request, false)
  mayGrantTo(policySet, operator, agent, wish.request.environment)
  if (identity !== undefined) freshTokenProof(identity, deps.now())
  const requester = { kind: 'operator', name: operator.name } as const
  const opened = await openGrantRequest(deps, policySet, agent, requester, wish)
  const [request] = await listGrantRequests(deps.database, { id: opened.id }, { limit: 1 })
  if (request === undefined) throw new WritError('not_found', 'The request vanished.')
  return request
}
