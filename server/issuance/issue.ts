import type { RecordItem, Verdict } from '../audit/items.js'
import { seenFrom } from '../audit/personal.js'
import { decide } from '../decision/decide.js'
import { overLimit } from '../decision/pace.js'
import { WritError } from '../errors.js'
import type { Allow, Decision, GrantFact, NeedsGrant, PolicySet, Refusal } from '../types.js'
import type { AssumedSession, AssumeRole } from '../types-aws.js'
import { type Asking, denialOf, intentOf, personalOf } from './entries.js'
import { type LiveSession, type LiveSessions, sessionKey } from './live-sessions.js'
import { type PlanSettings, planSession, type SessionPlan } from './plan.js'
import { type Asker, humansBehind, type Standing } from './standing.js'

export interface IssueDeps {
  /** Grants for an agent in an environment, newest first; from the primary, never a replica. */
  readonly loadGrants: (agent: string, environment: string) => Promise<readonly GrantFact[]>
  /** Stops and pace; from the primary too. */
  readonly loadStanding: (asker: Asker) => Promise<Standing>
  /** Told of attempts that may stop an agent by themselves, after they are recorded. */
  readonly onAttempt: (attempt: Attempt) => void
  readonly record: RecordItem
  readonly assumeRole: AssumeRole
  readonly live: LiveSessions
  readonly newId: () => string
  readonly now: () => Date
  readonly settings: PlanSettings
}

/** A refusal that counts towards an automatic stop, and how many there were within the hour. */
export interface Attempt {
  readonly agent: string
  readonly environment: string
  readonly kind: 'over' | 'red'
  readonly attempts: number
  /** Index of the entry of the refusal. */
  readonly entry: number
}

export interface Issued {
  readonly outcome: 'issued' | 'delivered'
  readonly issuanceId: string
  /** Index of the entry that says so. */
  readonly entry: number
  readonly session: AssumedSession
  /** When the credentials stop working: never later than STS or the session policy says. */
  readonly expiresAt: Date
  readonly allow: Allow
  readonly plan: SessionPlan
}

export interface Refused {
  readonly outcome: 'refused'
  readonly refusal: Refusal
  /** Set where a human could allow it. */
  readonly needsGrant?: NeedsGrant
}

/**
 * The whole way of a request. A refusal is a value; `WritError` is thrown when the record or AWS fails.
 *
 * What is durable at each point: before A nothing; after A the intent (and the grant's use); between A and
 * B possibly a session at AWS that nobody holds; after B the outcome. Credentials leave only after B.
 */
export async function issueCredentials(
  deps: IssueDeps,
  policySet: PolicySet,
  asking: Asking,
): Promise<Issued | Refused> {
  const { agent, identity, request, caller } = asking
  const key = sessionKey(agent, identity, request, caller.ip)
  const humans = humansBehind(policySet.agents.get(agent), identity)
  const account = policySet.environments.get(request.environment)?.account
  const asker = {
    agent,
    environment: request.environment,
    humans,
    ...(account === undefined ? {} : { account }),
  }
  const [grants, standing] = await Promise.all([
    deps.loadGrants(agent, request.environment),
    deps.loadStanding(asker),
  ])
  // After reading: a grant that came while waiting must not look as if it began in the future.
  const now = deps.now()
  const held = deps.live.find(key, now)
  const facts = { grants, ...standing, ...(held === undefined ? {} : { liveSession: held }) }

  const decision = decide(policySet, agent, request, facts, now)
  if (decision.outcome !== 'allow') return refuse(deps, asking, policySet, decision)

  const issuanceId = deps.newId()
  const plan = planSession(decision, identity, caller, issuanceId, deps.settings)
  if ('refusal' in plan) return refuse(deps, asking, policySet, { outcome: 'deny', refusal: plan.refusal })
  if (decision.grant !== undefined && decision.grant.permissionsSha256 !== plan.permissionsSha256) {
    return refuse(deps, asking, policySet, staleGrant(decision))
  }
  if (held !== undefined) {
    if (sameSession(held, decision, plan)) {
      const delivered = await deliver(deps, asking, humans, held, decision, plan)
      if (delivered !== undefined) return delivered
    }
    // The grant was revoked or the policy moved on: the held session is not handed out again.
    deps.live.forget(key)
  }

  // A: the intention, and the use of the grant, before AWS hears of it.
  const intent = await deps.record(intentOf(asking, policySet, decision, plan, issuanceId, humans))
  if (intent.status === 'refused') {
    // Of a burst only the first few were decided on counts that had no room: the rest are attempts too.
    const { attempts, index: entry } = intent
    if (attempts !== undefined && entry !== undefined) {
      deps.onAttempt({ agent, environment: request.environment, kind: 'over', attempts, entry })
    }
    return overtaken(intent, decision)
  }

  const human = identity.onBehalfOf?.human
  const seen = { humans, ...(human === undefined ? {} : { seen: { human } }) }
  let session: AssumedSession
  try {
    session = await deps.assumeRole(plan.assume)
  } catch (error) {
    // If this cannot be recorded either, the sweep closes the intent: the answer is an error both ways.
    const code = error instanceof WritError ? error.code : 'internal'
    await deps.record({ op: 'outcome', issuance_id: issuanceId, state: 'failed', error_code: code, ...seen })
    throw error
  }

  // B: the outcome, before the credentials leave.
  const expiresAt = earlier(session.credentials.expiresAt, plan.notAfter)
  const outcome = await deps.record({
    op: 'outcome',
    issuance_id: issuanceId,
    state: 'issued',
    access_key_id: session.credentials.accessKeyId,
    expires_at: expiresAt.toISOString(),
    assumed_role_arn: session.assumedRoleArn,
    assumed_role_id: session.assumedRoleId,
    ...(session.packedPolicyPercent === undefined
      ? {}
      : { packed_policy_percent: session.packedPolicyPercent }),
    ...seen,
  })
  // Revoked meanwhile, or swept while AWS was slow: the session exists, is recorded, and reaches nobody.
  if (outcome.status === 'refused') return overtaken(outcome, decision)

  const grantId = decision.grant?.id
  deps.live.keep(key, {
    issuanceId,
    ...(grantId === undefined ? {} : { grantId }),
    roleArn: decision.roleArn,
    permissionsSha256: plan.permissionsSha256,
    mintedAt: now,
    notAfter: expiresAt,
    assumed: session,
  })
  return { outcome: 'issued', issuanceId, entry: outcome.index, session, expiresAt, allow: decision, plan }
}

/** Hands a live session out again; undefined when the database says it is over. */
async function deliver(
  deps: IssueDeps,
  asking: Asking,
  humans: readonly string[],
  held: LiveSession,
  allow: Allow,
  plan: SessionPlan,
): Promise<Issued | undefined> {
  const { issuanceId, assumed: session, notAfter: expiresAt } = held
  const verdict = await deps.record({
    op: 'delivery',
    issuance_id: issuanceId,
    agent: asking.agent,
    humans,
    payload: { request: asking.requestId },
    personal: personalOf(asking),
    seen: seenFrom(asking.caller.ip),
  })
  if (verdict.status === 'refused') return undefined
  return { outcome: 'delivered', issuanceId, entry: verdict.index, session, expiresAt, allow, plan }
}

/** Whether what is held is no more, and no longer, than what would be minted now. */
function sameSession(held: LiveSession, allow: Allow, plan: SessionPlan): boolean {
  return (
    held.roleArn === allow.roleArn &&
    held.grantId === allow.grant?.id &&
    held.permissionsSha256 === plan.permissionsSha256 &&
    held.notAfter <= plan.notAfter
  )
}

async function refuse(
  deps: IssueDeps,
  asking: Asking,
  policySet: PolicySet,
  decision: Exclude<Decision, Allow>,
): Promise<Refused> {
  const denial = denialOf(asking, policySet, decision.refusal)
  const verdict = await deps.record(denial)
  if (denial.counts_as !== undefined && verdict.status === 'ok' && verdict.attempts !== undefined) {
    const { agent, request } = asking
    const { attempts, index: entry } = verdict
    deps.onAttempt({ agent, environment: request.environment, kind: denial.counts_as, attempts, entry })
  }
  return {
    outcome: 'refused',
    refusal: decision.refusal,
    ...(decision.outcome === 'needs-grant' ? { needsGrant: decision } : {}),
  }
}

/** The database refused what we had allowed: something changed between reading it and locking it. It recorded that. */
function overtaken({ code, limit }: Extract<Verdict, { status: 'refused' }>, allow: Allow): Refused {
  if (code === 'outcome_conflict' || code === 'session_over') {
    throw new WritError('aws_unavailable', 'AWS answered after the issuance had been given up.')
  }
  if (code === 'agent_stopped') {
    const detail = `${allow.agent.name} was stopped while the request was under way.`
    return { outcome: 'refused', refusal: { code, detail } }
  }
  if (code === 'over_limit') return { outcome: 'refused', refusal: overLimit(limit) }
  const refusal = { code, detail: 'The grant ended while the request was under way.' }
  return { outcome: 'refused', refusal, needsGrant: needsGrant(allow, refusal) }
}

function staleGrant(allow: Allow): NeedsGrant {
  return needsGrant(allow, {
    code: 'grant_stale',
    detail: 'The permissions differ from those the approver of the grant saw.',
  })
}

function needsGrant(allow: Allow, refusal: Refusal): NeedsGrant {
  const { agent, environment, scopes, roleArn, approvalsNeeded, durationSeconds } = allow
  return {
    outcome: 'needs-grant',
    refusal,
    agent,
    environment,
    scopes,
    roleArn,
    approvalsNeeded,
    maxSessionSeconds: durationSeconds,
  }
}

function earlier(a: Date, b: Date): Date {
  return a < b ? a : b
}
