import type {
  Agent,
  AgentEnvironment,
  CredentialRequest,
  Decision,
  Deny,
  Environment,
  Facts,
  GrantFact,
  PolicySet,
  RefusalCode,
  RoleKind,
  Scope,
} from '../types.js'
import { limitReached, overLimit } from './pace.js'

/** Below this a session is over before its first call has left: STS and the SDK's own fetch take seconds. */
export const SHORTEST_SESSION_SECONDS = 60

/** What a request without a ttl gets: long enough that SDKs rarely refetch, short enough to lose. */
const USUAL_SESSION_SECONDS = 3600

/**
 * The decision on one request. Pure and total: the same arguments give the same answer, nothing throws.
 *
 * `agentName` is the one agent that the caller's verified identity matched in this very `policySet`.
 * Order of documents never matters; whatever is not allowed below is denied.
 */
export function decide(
  policySet: PolicySet,
  agentName: string,
  request: CredentialRequest,
  facts: Facts,
  now: Date,
): Decision {
  const agent = policySet.agents.get(agentName)
  if (agent === undefined || agent.status === 'stopped') {
    return deny('agent_stopped', `Agent ${agentName} is stopped.`)
  }
  if (facts.stop !== undefined) {
    return deny('agent_stopped', `Agent ${agentName} is stopped here (stop ${facts.stop}).`)
  }
  // Wherever it is asked for: a place that the agent may not enter, or nobody knows, must not hide it.
  for (const name of request.scopes) {
    const redLine = policySet.scopes.has(name) ? undefined : policySet.redLineAt(name)
    if (redLine !== undefined) {
      return deny('red_line', `No agent may ever have ${redLine}, with or without a grant.`)
    }
  }
  const environment = policySet.environments.get(request.environment)
  const place = agent.environments.get(request.environment)
  // A session that is out already costs nothing to hand out again.
  const pace = facts.liveSession === undefined ? facts.pace : undefined
  // Before what is asked for is looked at: who only ever asks for what it may not have goes too fast as well.
  if (pace !== undefined && pace.denied >= denialsAllowed(agent, place)) {
    return { outcome: 'deny', refusal: overLimit('denials_per_hour') }
  }
  if (environment === undefined || place === undefined) {
    return deny(
      'environment_unknown',
      `Agent ${agent.name} may not enter the environment ${request.environment}.`,
    )
  }

  const scopes: Scope[] = []
  for (const name of request.scopes) {
    const scope = policySet.scopes.get(name)
    if (scope === undefined || !place.scopes.includes(name)) {
      return deny(
        'scope_unknown',
        `Agent ${agent.name} may not have the scope ${name} in ${environment.name}.`,
      )
    }
    scopes.push(scope)
  }
  if (scopes.length === 0) return deny('scope_unknown', 'No scope was asked for.')

  const destroyer = scopes.find((scope) => scope.destroys)
  if (destroyer !== undefined && !deletesPossible(environment)) {
    return deny(
      'delete_not_allowed',
      `The scope ${destroyer.name} deletes, and ${environment.name} (${environment.tier}) allows that to nobody.`,
    )
  }

  const roleKind: RoleKind = scopes.some((scope) => scope.kind === 'write') ? 'write' : 'read'
  const roleArn = place.roles[roleKind]
  if (roleArn === undefined) {
    return deny('role_missing', `Agent ${agent.name} has no ${roleKind} role in ${environment.name}.`)
  }

  const limit = pace === undefined ? undefined : limitReached(pace, place.limits, request.scopes)
  if (limit !== undefined) return { outcome: 'deny', refusal: overLimit(limit) }

  const longest = Math.min(place.maxSessionSeconds[roleKind], environment.maxSessionSeconds[roleKind])
  const wanted = Math.max(
    SHORTEST_SESSION_SECONDS,
    Math.min(request.ttlSeconds ?? USUAL_SESSION_SECONDS, longest),
  )
  const approvalsNeeded = approvals(environment, scopes)
  const found = { agent, environment, scopes, roleArn, approvalsNeeded }
  if (approvalsNeeded === 0) {
    return { outcome: 'allow', ...found, ...session(roleKind, wanted, now), ...binding(place) }
  }

  const grant = pickGrant(policySet, agent.name, request, facts, now, (grant) =>
    proven(grant, environment, approvalsNeeded),
  )
  if (grant.live === undefined) {
    const refusal = {
      code: grant.code,
      detail: refusalOf(grant.code, agent.name, environment.name, request.scopes),
    }
    return { outcome: 'needs-grant', refusal, ...found, maxSessionSeconds: longest }
  }
  const left = Math.floor((grant.live.expiresAt.getTime() - now.getTime()) / 1000)
  const seconds = Math.min(wanted, grant.live.maxSessionSeconds, left)
  return {
    outcome: 'allow',
    ...found,
    ...session(roleKind, seconds, now),
    ...binding(place),
    grant: grant.live,
  }
}

/** Where the agent has no place, the fewest of those that it has. */
function denialsAllowed(agent: Agent, place: AgentEnvironment | undefined): number {
  const places = place === undefined ? [...agent.environments.values()] : [place]
  return Math.min(...places.map(({ limits }) => limits.denialsPerHour))
}

/**
 * How many different humans must approve these scopes here; 0 when none. The largest of what the environment and each
 * scope demand, so that asking for more never needs fewer.
 */
export function approvals(environment: Environment, scopes: readonly Scope[]): number {
  if (environment.tier !== 'production' && environment.tier !== 'staging') return 0
  const numbers = (some: readonly Scope[]): readonly number[] => some.map((scope) => scope.approvals ?? 0)
  const needed = Math.max(
    approvalsByTier(environment, scopes),
    ...numbers(scopes.filter((scope) => scope.kind === 'write')),
  )
  // Once somebody has to be asked, every scope's number counts; none makes a need of a read alone.
  return needed === 0 ? 0 : Math.max(needed, ...numbers(scopes))
}

function approvalsByTier(environment: Environment, scopes: readonly Scope[]): number {
  const writes = scopes.some((scope) => scope.kind === 'write')
  const destroys = scopes.some((scope) => scope.destroys)
  const promotes = scopes.some((scope) => scope.promotion)
  switch (environment.tier) {
    case 'production':
      // The floors stand here as well as in the compiler: no document can talk its way below them.
      // A delete is a write too: adding one to a request must not lower the number.
      if (destroys) return Math.max(2, environment.approvals.delete, environment.approvals.write)
      return writes ? Math.max(1, environment.approvals.write) : 0
    case 'staging':
      return promotes ? Math.max(1, environment.approvals.write) : 0
    case 'development':
    case 'sandbox':
      return 0
  }
}

/** Sandboxes allow deleting; production only where its document opted in; nowhere else. */
function deletesPossible(environment: Environment): boolean {
  return environment.tier === 'sandbox' || (environment.tier === 'production' && environment.allowDelete)
}

function session(roleKind: RoleKind, durationSeconds: number, now: Date) {
  // IAM compares whole seconds: rounding down keeps the end inside the grant and the tier.
  const end = Math.floor(now.getTime() / 1000) + durationSeconds
  return { roleKind, durationSeconds, notAfter: new Date(end * 1000) }
}

function binding(place: AgentEnvironment) {
  return place.network === undefined ? {} : { network: place.network }
}

function deny(code: RefusalCode, detail: string): Deny {
  return { outcome: 'deny', refusal: { code, detail } }
}

type GrantChoice = { readonly live: GrantFact } | { readonly live: undefined; readonly code: RefusalCode }

/** The grant of the session already held, else the live one that ends last, else why the newest fitting one is not live. */
function pickGrant(
  policySet: PolicySet,
  agent: string,
  request: CredentialRequest,
  facts: Facts,
  now: Date,
  enough: (grant: GrantFact) => boolean,
): GrantChoice {
  const wanted = [...request.scopes].sort().join(' ')
  let live: GrantFact | undefined
  let code: RefusalCode = 'grant_required'
  for (const grant of facts.grants) {
    if (grant.agent !== agent || grant.environment !== request.environment) continue
    if ([...grant.scopes].sort().join(' ') !== wanted) continue
    const problem =
      grantProblem(grant, policySet, facts, now) ?? (enough(grant) ? undefined : 'grant_unproven')
    if (problem === undefined) {
      if (facts.liveSession?.grantId === grant.id) return { live: grant }
      if (live === undefined || grant.expiresAt > live.expiresAt) live = grant
    } else if (code === 'grant_required') code = problem
  }
  return live === undefined ? { live, code } : { live }
}

/**
 * Whether as many humans stand behind a grant as these scopes need: by their signatures, not by what the database says
 * of it. Whoever has the broker's login can have it say anything, and sign nothing.
 */
function proven(
  { approvals: { signed, byToken, breakGlass } }: GrantFact,
  { tier }: Environment,
  needed: number,
) {
  if (tier === 'production') return breakGlass ? signed >= 1 : signed >= needed
  return signed + byToken >= needed
}

function grantProblem(
  grant: GrantFact,
  policySet: PolicySet,
  facts: Facts,
  now: Date,
): RefusalCode | undefined {
  if (grant.revokedAt !== undefined) return 'grant_revoked'
  if (now < grant.notBefore) return 'grant_not_yet_valid'
  if (grant.expiresAt.getTime() - now.getTime() < 1000) return 'grant_expired'
  if (grant.policyDigest !== policySet.digest) return 'grant_stale'
  // Handing the same live session out again is not another use.
  const used = grant.uses >= grant.maxUses && facts.liveSession?.grantId !== grant.id
  return used ? 'grant_used_up' : undefined
}

function refusalOf(code: RefusalCode, agent: string, environment: string, scopes: readonly string[]): string {
  const what = `${agent} and ${scopes.join(', ')} in ${environment}`
  switch (code) {
    case 'grant_revoked':
      return `The grant for ${what} was revoked.`
    case 'grant_not_yet_valid':
      return `The grant for ${what} does not begin yet.`
    case 'grant_expired':
      return `The grant for ${what} has expired.`
    case 'grant_stale':
      return `The grant for ${what} was approved under another policy.`
    case 'grant_unproven':
      return `The approvals of the grant for ${what} do not hold.`
    case 'grant_used_up':
      return `The grant for ${what} is used up.`
    default:
      return `${what} needs a grant by a human.`
  }
}
