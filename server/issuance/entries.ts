import type { DenialItem, IntentItem } from '../audit/items.js'
import type { Allow, CredentialRequest, Identity, PolicySet, Refusal } from '../types.js'
import type { Caller } from './network.js'
import { type SessionPlan, verifiedHuman } from './plan.js'

/** One agent asking for one thing, over a verified identity. */
export interface Asking {
  readonly agent: string
  readonly identity: Identity
  readonly request: CredentialRequest
  readonly caller: Caller
  /** For the record: joins an answer, a log line and an entry. */
  readonly requestId: string
}

/** What the record says before AWS is asked. */
export function intentOf(
  asking: Asking,
  policySet: PolicySet,
  allow: Allow,
  plan: SessionPlan,
  issuanceId: string,
): IntentItem {
  const { identity, request, caller, requestId } = asking
  const human = identity.onBehalfOf
  return {
    op: 'intent',
    issuance_id: issuanceId,
    agent: asking.agent,
    environment: request.environment,
    role_arn: allow.roleArn,
    scopes: request.scopes,
    policy_digest: policySet.digest,
    permissions_sha256: plan.permissionsSha256,
    not_after: plan.notAfter.toISOString(),
    ...(human === undefined ? {} : { human: human.human, human_how: human.how }),
    issuer: identity.issuer,
    subject: identity.subject,
    source_ip: caller.ip,
    reason: request.reason,
    ...(request.ticket === undefined ? {} : { ticket: request.ticket }),
    ...(allow.grant === undefined ? {} : { grant_id: allow.grant.id }),
    payload: {
      request: requestId,
      tier: allow.environment.tier,
      account: allow.environment.account,
      role_arn: allow.roleArn,
      scopes: request.scopes,
      policy_digest: policySet.digest,
      permissions_sha256: plan.permissionsSha256,
      session_policy: plan.assume.policy,
      tags: plan.assume.tags,
      source_identity: plan.assume.sourceIdentity,
      not_after: plan.notAfter.toISOString(),
      issuer: identity.issuer,
      subject: identity.subject,
      source_ip: caller.ip,
      reason: request.reason,
      ...(request.ticket === undefined ? {} : { ticket: request.ticket }),
      ...(human === undefined ? {} : { human_how: human.how }),
      ...(verifiedHuman(identity) === undefined ? { human_unverified: human !== undefined } : {}),
    },
  }
}

/** What the record says of a refusal. */
export function denialOf(asking: Asking, policySet: PolicySet, refusal: Refusal): DenialItem {
  const { agent, identity, request, caller, requestId } = asking
  return {
    op: 'denial',
    kind: 'issuance.denied',
    key: JSON.stringify([agent, identity.subject, request.environment, request.scopes, refusal.code]),
    fields: {
      agent,
      environment: request.environment,
      code: refusal.code,
      ...(identity.onBehalfOf === undefined ? {} : { human: identity.onBehalfOf.human }),
    },
    payload: {
      request: requestId,
      scopes: request.scopes,
      policy_digest: policySet.digest,
      issuer: identity.issuer,
      subject: identity.subject,
      source_ip: caller.ip,
      reason: request.reason,
      detail: refusal.detail,
    },
  }
}
