import type { AgentView } from '../../../web/pages/agent.js'
import { LEVELS, type Level, type Place, type Way } from '../../../web/pages/agents.js'
import { decide } from '../../decision/decide.js'
import type { AccessLevel, Agent, Matcher, PolicySet } from '../../types.js'

const LEVEL_OF: Readonly<Record<AccessLevel, Level>> = {
  read: 'read',
  list: 'read',
  tagging: 'tagging',
  write: 'write',
  delete: 'delete',
  'permissions-management': 'permissions',
}

/** What it takes an agent to get one scope: asked of the decision itself, as if no human had granted anything. */
function wayTo(policySet: PolicySet, agent: Agent, environment: string, scope: string, now: Date): Way {
  const request = { environment, scopes: [scope], reason: 'the console asks' }
  const decision = decide(policySet, agent.name, request, { grants: [] }, now)
  if (decision.outcome === 'allow') return { kind: 'alone' }
  return decision.outcome === 'needs-grant'
    ? { kind: 'grant', approvals: decision.approvalsNeeded }
    : { kind: 'never' }
}

/** The matrix of an agent: its environments, and what each level of access takes there. */
export function placesOf(policySet: PolicySet, agent: Agent, now: Date): readonly Place[] {
  return [...agent.environments.values()].map(({ environment, scopes }) => {
    const ways = scopes.map((name) => ({
      levels: [...(policySet.scopes.get(name)?.levels ?? [])].map((level) => LEVEL_OF[level]),
      way: wayTo(policySet, agent, environment, name, now),
    }))
    const at = (level: Level): Way =>
      together(ways.filter(({ levels }) => levels.includes(level)).map(({ way }) => way))
    return {
      environment,
      tier: policySet.environments.get(environment)?.tier ?? 'unknown',
      levels: Object.fromEntries(LEVELS.map((level) => [level, at(level)])) as Record<Level, Way>,
    }
  })
}

/** The least that one of these takes. */
function together(ways: readonly Way[]): Way {
  const grants = ways.flatMap((way) => ('approvals' in way ? [way.approvals] : []))
  const alone = ways.some(({ kind }) => kind === 'alone')
  const approvals = Math.min(...grants)
  if (grants.length === 0) return { kind: alone ? 'alone' : 'never' }
  return { kind: alone ? 'some' : 'grant', approvals }
}

export function scopesOf(policySet: PolicySet, agent: Agent, now: Date): AgentView['scopes'] {
  return [...agent.environments.values()].map(({ environment, scopes }) => ({
    environment,
    scopes: scopes.map((name) => {
      const scope = policySet.scopes.get(name)
      return {
        name,
        describe: scope?.describe ?? '',
        levels: [...(scope?.levels ?? [])].sort(),
        way: wayTo(policySet, agent, environment, name, now),
      }
    }),
  }))
}

/** What a token has to claim to be this agent, one claim a line. */
export const claimsOf = (agent: Agent): readonly string[] =>
  [...agent.identity.claims].map(([claim, matcher]) => `${claim} ${said(matcher)}`)

function said(matcher: Matcher): string {
  switch (matcher.kind) {
    case 'equals':
      return `= ${matcher.value}`
    case 'in':
      return `is one of ${matcher.values.join(', ')}`
    case 'prefix':
      return `begins with ${matcher.value}`
    case 'has':
      return `has ${matcher.value}`
  }
}
