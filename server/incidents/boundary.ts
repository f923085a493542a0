import { approvals } from '../decision/decide.js'
import { mayApprove } from '../decision/may-approve.js'
import type { Agent, Operator, OperatorRole, PolicySet } from '../types.js'

export const STAGES = ['stop', 'assess', 'contain', 'recover'] as const
export type Stage = (typeof STAGES)[number]

/** Who may do what at a stage. Names are those of operators with a document of their own; groups may have more. */
export interface Boundary {
  readonly stage: Stage
  /** Any one of them records a step of this stage. */
  readonly roles: readonly OperatorRole[]
  readonly names: readonly string[]
  /** What the stage takes, as a sentence. */
  readonly takes: string
  /** Whom it takes besides, outside Writ. */
  readonly outside: string | null
}

/** Who may grant the agent something again, in one environment where that takes a human. */
export interface GrantsAgain {
  readonly environment: string
  /** How many different people, for the scope that takes most. */
  readonly approvals: number
  readonly names: readonly string[]
}

export const CLOSERS: readonly OperatorRole[] = ['approver', 'security']

/** Which role may do the steps of a stage. Stopping is for whoever sees it first; going back takes deliberation. */
export const STAGE_ROLES: Readonly<Record<Stage, readonly OperatorRole[]>> = {
  stop: ['operator', 'approver', 'security'],
  assess: ['security'],
  contain: ['operator'],
  recover: CLOSERS,
}

const TAKES: Readonly<Record<Stage, string>> = {
  stop: 'One person with one proof.',
  assess: 'One person, who reads the evidence and holds it against CloudTrail.',
  contain: 'One person here, who revokes grants and what is left of sessions.',
  recover:
    'Two different people, each with a signature of their own, release the stop; where the broker stopped by itself, one. Nobody can alone.',
}

/** Pure: from the policy in force. */
export const boundaries = (policySet: PolicySet): readonly Boundary[] =>
  STAGES.map((stage) => ({
    stage,
    roles: STAGE_ROLES[stage],
    names: namesWith(policySet, STAGE_ROLES[stage]),
    takes: TAKES[stage],
    outside:
      stage === 'contain'
        ? 'Whoever administers the AWS account: what the sessions did there is theirs to undo.'
        : null,
  }))

export const closers = (policySet: PolicySet): readonly string[] => namesWith(policySet, CLOSERS)

/**
 * Who could grant the agent something again, where that takes a human. Who acts for somebody is known only with the
 * request: whoever it is for cannot approve it either.
 */
export function grantsAgain(policySet: PolicySet, agent: Agent | undefined): readonly GrantsAgain[] {
  return [...(agent?.environments.values() ?? [])].flatMap(({ environment: name, scopes }) => {
    const environment = policySet.environments.get(name)
    if (agent === undefined || environment === undefined) return []
    const asking = scopes.flatMap((scope) => {
      const known = policySet.scopes.get(scope)
      const needed = known === undefined ? 0 : approvals(environment, [known])
      return needed === 0 ? [] : [{ scope, needed }]
    })
    if (asking.length === 0) return []
    const names = [...policySet.operators.values()]
      .filter((one) => environment.tier !== 'production' || !owns(one, agent))
      .filter((one) => asking.some(({ scope }) => mayApprove(one, name, [scope])))
      .map((one) => one.name)
      .sort()
    return [{ environment: name, approvals: Math.max(...asking.map(({ needed }) => needed)), names }]
  })
}

/** As the database will refuse it. */
const owns = ({ teams, alsoKnownAs }: Operator, { owner }: Agent): boolean =>
  owner.kind === 'team'
    ? teams.has(owner.name)
    : [...alsoKnownAs].some((name) => name.toLowerCase() === owner.name.toLowerCase())

const namesWith = (policySet: PolicySet, roles: readonly OperatorRole[]): readonly string[] =>
  [...policySet.operators.values()]
    .filter((one) => roles.some((role) => one.roles.has(role)))
    .map(({ name }) => name)
    .sort()
