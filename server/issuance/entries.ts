import { type DenialItem, denialKey, type IntentItem } from '../audit/items.js'
import { type Personal, type Seen, seenFrom } from '../audit/personal.js'
import type {
  Agent,
  Allow,
  CredentialRequest,
  Environment,
  Identity,
  PolicySet,
  Refusal,
  RefusalCode,
  Tier,
} from '../types.js'
import type { Caller } from './network.js'
import { actionsOf, type SessionPlan } from './plan.js'

/** One agent asking for one thing, over a verified identity. */
export interface Asking {
  readonly agent: string
  readonly identity: Identity
  readonly request: CredentialRequest
  readonly caller: Caller
  /** For the record: joins an answer, a log line and an entry. */
  readonly requestId: string
}

/** The tag that names a human; the record keeps it with the personal data. */
const HUMAN_TAG = 'writ:human'

/** What the record says before AWS is asked. */
export function intentOf(
  asking: Asking,
  policySet: PolicySet,
  allow: Allow,
  plan: SessionPlan,
  issuanceId: string,
  humans: readonly string[],
): IntentItem {
  const { identity, request, requestId } = asking
  const { policy, tags, sourceIdentity } = plan.assume
  const namesCaller = allow.network?.kind === 'caller'
  return {
    op: 'intent',
    issuance_id: issuanceId,
    agent: asking.agent,
    environment: request.environment,
    tier: allow.environment.tier,
    role_arn: allow.roleArn,
    scopes: request.scopes,
    policy_digest: policySet.digest,
    permissions_sha256: plan.permissionsSha256,
    not_after: plan.notAfter.toISOString(),
    ...(allow.grant === undefined ? {} : { grant_id: allow.grant.id }),
    humans,
    limits: limitsOf(allow.agent, allow.environment),
    payload: {
      request: requestId,
      account: allow.environment.account,
      role_arn: allow.roleArn,
      scopes: request.scopes,
      policy_digest: policySet.digest,
      permissions_sha256: plan.permissionsSha256,
      ...(namesCaller ? {} : { session_policy: policy }),
      tags: Object.fromEntries(Object.entries(tags).filter(([key]) => key !== HUMAN_TAG)),
      source_identity: sourceIdentity,
      not_after: plan.notAfter.toISOString(),
      issuer: identity.issuer,
    },
    personal: { ...personalOf(asking), ...(namesCaller ? { session_policy: policy } : {}) },
    seen: { ...seenFrom(asking.caller.ip), scopes: request.scopes, actions: actionsOf(allow.scopes) },
  }
}

/** What the record says of a refusal. */
export function denialOf(asking: Asking, policySet: PolicySet, refusal: Refusal): DenialItem {
  const { agent, identity, request, requestId } = asking
  const tier = policySet.environments.get(request.environment)?.tier
  const counts = countsAs(refusal.code, tier)
  return {
    op: 'denial',
    kind: 'issuance.denied',
    // Names that nobody knows would fill the table of counts, each with a count of its own.
    paced_in: tier === undefined ? '' : request.environment,
    ...(counts === undefined ? {} : { counts_as: counts }),
    key: denialKey(agent, identity.subject, request.environment, request.scopes, refusal.code),
    fields: {
      agent,
      environment: request.environment,
      ...(tier === undefined ? {} : { tier }),
      code: refusal.code,
    },
    payload: {
      request: requestId,
      scopes: request.scopes,
      policy_digest: policySet.digest,
      issuer: identity.issuer,
      detail: refusal.detail,
    },
    personal: personalOf(asking),
    seen: { ...seenFrom(asking.caller.ip), ...knownScopes(policySet, request.scopes) },
  }
}

/** Attempts at what no agent ever gets, and at going faster than it may. */
function countsAs(code: RefusalCode, tier: Tier | undefined): 'over' | 'red' | undefined {
  if (code === 'over_limit') return 'over'
  return code === 'red_line' || (code === 'delete_not_allowed' && tier === 'production') ? 'red' : undefined
}

/** As the database compares them with its counts. */
function limitsOf(agent: Agent, environment: Environment): Readonly<Record<string, number>> {
  const limits = agent.environments.get(environment.name)?.limits ?? environment.limits
  return {
    issuances_per_minute: limits.issuancesPerMinute,
    live_sessions: limits.liveSessions,
    scopes_per_hour: limits.scopesPerHour,
    denials_per_hour: limits.denialsPerHour,
  }
}

/** What an entry about this agent's asking says of people. */
export function personalOf({ identity, request, caller }: Asking): Personal {
  const human = identity.onBehalfOf
  return {
    subject: identity.subject,
    source_ip: caller.ip,
    reason: request.reason,
    ...(request.ticket === undefined ? {} : { ticket: request.ticket }),
    ...(human === undefined ? {} : { human: human.human, human_how: human.how }),
  }
}

/** Only names that policy knows: an agent that makes up names must not fill the table of scope sets. */
function knownScopes(policySet: PolicySet, names: readonly string[]): Seen {
  const scopes = names.map((name) => policySet.scopes.get(name)).filter((scope) => scope !== undefined)
  return scopes.length < names.length ? {} : { scopes: names, actions: actionsOf(scopes) }
}
