import { createHash } from 'node:crypto'
import { denialKey, type RecordItem } from '../audit/items.js'
import type { PasskeyProof } from '../audit/proofs/document.js'
import type { Database } from '../db/pool.js'
import { decide } from '../decision/decide.js'
import { type ErrorCode, WritError } from '../errors.js'
import { actionsOf, permissionsOf } from '../issuance/plan.js'
import { humansBehind, loadStanding } from '../issuance/standing.js'
import type {
  Agent,
  CredentialRequest,
  Facts,
  Identity,
  NeedsGrant,
  OnBehalfOf,
  PolicySet,
} from '../types.js'
import type { SigningKey } from './challenge.js'
import { coolingDown } from './cool-down.js'
import { callGrantFunction } from './store.js'

export interface GrantDeps {
  readonly database: Database
  readonly record: RecordItem
  /** Throws `WritError` log_untrusted once the record is not what was published. Revoking goes on. */
  readonly assertTrusted: () => void
  readonly newId: () => string
  readonly now: () => Date
  /** Of the console, such as `https://writ.example.com`. */
  readonly origin: () => string
  readonly keys: SigningKeys
}

/** The keys of operators, and how a passkey's answer is checked. */
export interface SigningKeys {
  /** Those that an operator holds now. */
  readonly of: (operator: string) => Promise<readonly SigningKey[]>
  /** Throws `WritError` signature_invalid. `challenge` is what was to be signed. */
  readonly verifyPasskey: (
    key: SigningKey,
    proof: PasskeyProof,
    challenge: Uint8Array,
  ) => Promise<{ readonly signCount: number }>
}

/** What is wished for beyond the credential request itself. */
export interface GrantWish {
  readonly request: CredentialRequest
  readonly uses: number
  /** Life of the grant from its approval, or from `notBefore`. */
  readonly validSeconds: number
  readonly notBefore?: Date
}

/** Who asks: the agent itself, or an operator who grants unasked. */
export type Requester =
  | { readonly kind: 'agent'; readonly identity: Identity }
  | { readonly kind: 'operator'; readonly name: string }

/** A request nobody looked at within the hour is not granted by somebody cleaning up the queue. */
const PENDING_SECONDS = 3600

/**
 * Opens a grant request, or answers the pending one with the same content.
 *
 * Only what a human could allow is taken: what policy denies anyway is refused here as it would be later.
 * Throws `WritError` with the decision's own code, grant_not_needed, grant_requests_pending, or grant_cooling_down.
 */
export async function openGrantRequest(
  deps: GrantDeps,
  policySet: PolicySet,
  agentName: string,
  requester: Requester,
  wish: GrantWish,
): Promise<{ readonly id: string; readonly created: boolean }> {
  deps.assertTrusted()
  const { request } = wish
  // Decided without grants: the question is whether a human could allow it, not whether one has already.
  const stop = await stopOn(deps, policySet, agentName, request.environment, requester)
  const decision = decide(policySet, agentName, request, { grants: [], ...stop }, deps.now())
  const refused = async (error: WritError): Promise<WritError> => {
    await deps.record({
      op: 'denial',
      kind: 'grant_request.refused',
      key: denialKey('grant', agentName, request.environment, request.scopes, error.code),
      fields: { agent: agentName, environment: request.environment, code: error.code },
      payload: { scopes: request.scopes, detail: error.message, policy_digest: policySet.digest },
    })
    return error
  }
  if (decision.outcome === 'allow') {
    throw new WritError('grant_not_needed', 'Policy allows this without a human.')
  }
  if (decision.outcome === 'deny') {
    throw await refused(new WritError(decision.refusal.code, decision.refusal.detail))
  }

  const claims = requester.kind === 'agent' ? requester.identity.claims : {}
  const rendered = permissionsOf(decision, { claims })
  if ('refusal' in rendered) throw new WritError(rendered.refusal.code, rendered.refusal.detail)
  const onBehalfOf = requester.kind === 'agent' ? requester.identity.onBehalfOf : undefined
  const content = {
    agent: agentName,
    environment: request.environment,
    scopes: request.scopes,
    policy_digest: policySet.digest,
    permissions_sha256: rendered.sha256,
    max_uses: wish.uses,
    valid_seconds: wish.validSeconds,
    not_before: wish.notBefore?.toISOString() ?? null,
    max_session_seconds: Math.min(
      request.ttlSeconds ?? decision.maxSessionSeconds,
      decision.maxSessionSeconds,
    ),
    reason: request.reason,
    ticket: request.ticket ?? null,
    human: onBehalfOf?.human ?? null,
    human_how: onBehalfOf?.how ?? null,
    requested_by: requester.kind === 'agent' ? `agent:${agentName}` : `operator:${requester.name}`,
  }
  const answer = await callGrantFunction<{ id: string; created: boolean }>(
    deps.database,
    'open_grant_request',
    {
      ...content,
      id: deps.newId(),
      tier: decision.environment.tier,
      account: decision.environment.account,
      actions: actionsOf(decision.scopes),
      role_arn: decision.roleArn,
      permissions: rendered.statements,
      approvals_needed: decision.approvalsNeeded,
      pending_seconds: PENDING_SECONDS,
      // Both hold agents only: an operator who grants unasked answers for it.
      limit_pending: requester.kind === 'agent',
      cool_down_seconds: decision.environment.coolDownSeconds,
      destroys: decision.scopes.some((scope) => scope.destroys),
      ...barred(decision, onBehalfOf),
      content_sha256: createHash('sha256').update(JSON.stringify(content)).digest('hex'),
    },
  )
  if (answer.status === 'refused') {
    const { until, seconds } = answer
    if (until !== undefined && seconds !== undefined) {
      throw await refused(coolingDown(agentName, request.environment, { until, seconds }))
    }
    if (answer.code === 'agent_stopped') {
      throw await refused(new WritError('agent_stopped', `Agent ${agentName} is stopped here.`))
    }
    throw new WritError(
      answer.code as ErrorCode,
      `Agent ${agentName} has three requests waiting for a human.`,
    )
  }
  return answer
}

/** The stop that holds for the agent there, as it does for credentials. */
async function stopOn(
  { database }: GrantDeps,
  policySet: PolicySet,
  agent: string,
  environment: string,
  requester: Requester,
): Promise<Pick<Facts, 'stop'>> {
  const account = policySet.environments.get(environment)?.account
  const identity = requester.kind === 'agent' ? requester.identity : {}
  const humans = humansBehind(policySet.agents.get(agent), identity)
  const asker = { agent, environment, humans, ...(account === undefined ? {} : { account }) }
  const { stop } = await loadStanding(database, asker)
  return stop === undefined ? {} : { stop }
}

/** Whose approval does not count: the owner's in production, and that of whoever the agent acts for. */
function barred(decision: NeedsGrant, onBehalfOf: OnBehalfOf | undefined) {
  const { agent, environment } = decision
  const humans = onBehalfOf === undefined ? [] : [onBehalfOf.human]
  const owner = environment.tier === 'production' ? ownerOf(agent) : {}
  return {
    barred_humans: owner.human === undefined ? humans : [...humans, owner.human],
    barred_teams: owner.team === undefined ? [] : [owner.team],
  }
}

function ownerOf(agent: Agent): { readonly human?: string; readonly team?: string } {
  return agent.owner.kind === 'team' ? { team: agent.owner.name } : { human: agent.owner.name }
}
