import { decide } from '../decision/decide.js'
import { permissionsOf } from '../issuance/plan.js'
import type { IamData } from '../policy/iam-data.js'
import { serviceOf } from '../policy/iam-data.js'
import { roleDocuments } from '../policy/roles.js'
import type {
  Agent,
  AgentEnvironment,
  Decision,
  Environment,
  Facts,
  PolicySet,
  Refusal,
  RoleDocument,
  Scope,
} from '../types.js'
import { type Never, neverOf, redLines } from './never.js'
import { gather, type Permission, type Reached, type Way } from './permissions.js'
import { rightsOf } from './rights.js'

export interface ReachQuestion {
  readonly policySet: PolicySet
  readonly agent: Agent
  readonly data: IamData
  /** By environment; those shown are the ones that are in it. */
  readonly facts: ReadonlyMap<string, Facts>
  /** Of the agent's token, where it asks itself. */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly now: Date
}

export interface Reach {
  readonly agent: string
  readonly status: Agent['status']
  readonly policyDigest: string
  readonly environments: readonly ReachedEnvironment[]
  /** Held by nobody, in any environment, with or without a grant. */
  readonly redLines: readonly Never[]
}

export interface ReachedEnvironment {
  readonly environment: Environment
  readonly place: AgentEnvironment
  readonly scopes: readonly ReachedScope[]
  readonly permissions: readonly Permission[]
  readonly never: readonly Never[]
  readonly leftOut: {
    /** Permissions beyond what an answer holds. */
    readonly permissions: number
    /** Actions of the same services that no scope of the agent has, none a red line or a delete. */
    readonly others: number
  }
}

export interface ReachedScope {
  readonly scope: Scope
  readonly way: Way
  /** Different humans that it takes. */
  readonly approvals: number
  readonly now: boolean
  /** The live grant that it is there on. */
  readonly grant?: string
  /** Why it is not there now, or never. */
  readonly refusal?: Refusal
}

const REASON = 'what could it do'

/**
 * What an agent can do: at once, with a grant, never; down to actions and resources. Asked of the decision and of the
 * evaluator of IAM policies, never worked out beside them. Pure. Only this agent is looked at, however many there are.
 */
export function reachOf(question: ReachQuestion): Reach {
  const { policySet, agent, facts } = question
  const alone = only(policySet, agent)
  // Whoever the broker is: what a role allows is the same.
  const roles = new Map(roleDocuments(alone, '*').map((role) => [role.arn, role]))
  const environments = [...agent.environments.values()]
    .sort((a, b) => (a.environment < b.environment ? -1 : 1))
    .flatMap((place) => {
      const environment = policySet.environments.get(place.environment)
      const known = facts.get(place.environment)
      if (environment === undefined || known === undefined) return []
      return [inEnvironment(question, alone, roles, environment, place, known)]
    })
  return {
    agent: agent.name,
    status: agent.status,
    policyDigest: policySet.digest,
    environments,
    redLines: redLines(),
  }
}

/** The set as if the agent were alone in it, and not stopped by its document: what policy means for it in principle. */
const only = (policySet: PolicySet, agent: Agent): PolicySet => ({
  ...policySet,
  agents: new Map([[agent.name, { ...agent, status: 'active' }]]),
})

function inEnvironment(
  question: ReachQuestion,
  alone: PolicySet,
  roles: ReadonlyMap<string, RoleDocument>,
  environment: Environment,
  place: AgentEnvironment,
  facts: Facts,
): ReachedEnvironment {
  const { policySet, agent, data, claims, now } = question
  const ask = (set: PolicySet, known: Facts, scopes: readonly string[]): Decision => {
    const request = { environment: environment.name, scopes, reason: REASON }
    return decide(set, agent.name, request, known, now)
  }
  const scopes: ReachedScope[] = []
  const reached: Reached[] = []
  for (const name of [...place.scopes].sort()) {
    const scope = policySet.scopes.get(name)
    if (scope === undefined) continue
    const role = roles.get(place.roles[scope.kind] ?? '')
    const rights =
      role === undefined
        ? undefined
        : rightsOf({
            agent: agent.name,
            environment,
            place,
            scope,
            role,
            data,
            now,
            ...(claims === undefined ? {} : { claims }),
          })
    const unusable =
      rights === undefined || rights.ok ? undefined : { code: rights.code, detail: rights.detail }
    const principle = ask(alone, { grants: [] }, [name])
    const today = onGrants(question, facts, name, ask)
    const one = standing(scope, principle, today, unusable)
    scopes.push(one)
    for (const right of rights?.ok ? rights.rights : []) reached.push({ ...one, right })
  }
  const { permissions, leftOut } = gather(reached)
  const services = new Set(place.scopes.flatMap((name) => servicesOf(policySet.scopes.get(name))))
  const actions = new Set(reached.map(({ right }) => right.action))
  const { never, others } = neverOf(policySet, environment, data, services, actions)
  return {
    environment,
    place,
    scopes,
    permissions,
    never,
    leftOut: { permissions: leftOut, others },
  }
}

const servicesOf = (scope: Scope | undefined): readonly string[] =>
  (scope?.statements ?? []).flatMap(({ actions }) => actions.map(serviceOf))

/** The scope by itself, or in the company of others that somebody granted it with. */
function onGrants(
  { claims, policySet }: ReachQuestion,
  facts: Facts,
  name: string,
  ask: (set: PolicySet, facts: Facts, scopes: readonly string[]) => Decision,
): Decision {
  const granted = facts.grants.filter(({ scopes }) => scopes.includes(name)).map(({ scopes }) => scopes)
  const answers = [[name], ...granted].map((scopes): Decision => {
    const decision = ask(policySet, facts, scopes)
    if (decision.outcome !== 'allow' || decision.grant === undefined) return decision
    // As issuing has it: other permissions than the approver saw are not granted.
    const seen = permissionsOf(decision, { claims: claims ?? {} })
    return 'sha256' in seen && seen.sha256 !== decision.grant.permissionsSha256 ? STALE : decision
  })
  const [itself = STALE] = answers
  return answers.find(({ outcome }) => outcome === 'allow') ?? itself
}

const STALE: Decision = {
  outcome: 'deny',
  refusal: {
    code: 'grant_stale',
    detail: 'The permissions differ from those the approver of the grant saw.',
  },
}

function standing(
  scope: Scope,
  principle: Decision,
  today: Decision,
  unusable: Refusal | undefined,
): ReachedScope {
  if (principle.outcome === 'deny' || unusable !== undefined) {
    const refusal = principle.outcome === 'deny' ? principle.refusal : unusable
    return { scope, way: 'never', approvals: 0, now: false, ...(refusal === undefined ? {} : { refusal }) }
  }
  const way = principle.outcome === 'allow' ? 'alone' : 'grant'
  const approvals = principle.approvalsNeeded
  if (today.outcome !== 'allow') return { scope, way, approvals, now: false, refusal: today.refusal }
  return {
    scope,
    way,
    approvals,
    now: true,
    ...(today.grant === undefined ? {} : { grant: today.grant.id }),
  }
}
