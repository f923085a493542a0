import type { PolicySet } from '../../types.js'
import { iamActions, isDataAction } from './actions.js'
import type { KnownIssuance } from './issuances.js'
import type { Usage } from './usage.js'

/** Whether a pattern of actions as a scope has it matches an action; case does not count. */
export type ActionMatches = (pattern: string, action: string) => boolean

/** What an agent could do without in an environment, judged by the logs read. */
export interface Suggestion {
  readonly agent: string
  readonly environment: string
  /** Issued within the period of the logs. */
  readonly issuances: number
  /** Scopes of its document that it never asked for. */
  readonly scopes_never_requested: readonly string[]
  /** Scopes it asked for, and called nothing of. */
  readonly scopes_never_used: readonly string[]
  /** By scope that was used: its actions, as the document has them, that were never called. */
  readonly actions_never_used: Readonly<Record<string, readonly string[]>>
  /** By scope: wildcards, and all that was called through them. */
  readonly wildcards: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
  /** Actions of which the logs could show nothing: their calls are data events, and there are none of the service. */
  readonly not_visible: readonly string[]
  /** Called and not refused, and in none of the scopes: a permission of another name, or a resource policy. */
  readonly outside_scopes: readonly string[]
}

export interface NarrowInput {
  readonly policySet: Pick<PolicySet, 'agents' | 'scopes'>
  readonly issuances: readonly KnownIssuance[]
  readonly usage: ReadonlyMap<string, Usage>
  readonly dataServices: ReadonlySet<string>
  readonly matches: ActionMatches
}

/** A suggestion for every agent and environment of the policy set that was issued anything in the period. */
export function narrow(input: NarrowInput): readonly Suggestion[] {
  const { policySet, issuances } = input
  const suggestions: Suggestion[] = []
  for (const agent of [...policySet.agents.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    for (const { environment, scopes } of agent.environments.values()) {
      const own = issuances.filter(
        (one) => one.state === 'issued' && one.agent === agent.name && one.environment === environment,
      )
      if (own.length > 0) suggestions.push(suggest(input, agent.name, environment, scopes, own))
    }
  }
  return suggestions
}

function suggest(
  { policySet, usage, dataServices, matches }: NarrowInput,
  agent: string,
  environment: string,
  scopes: readonly string[],
  own: readonly KnownIssuance[],
): Suggestion {
  const invisible = (pattern: string) =>
    isDataAction(pattern) && !dataServices.has(pattern.split(':')[0]?.toLowerCase() ?? '')
  const allowed = own.map((issuance) => ({ issuance, actions: allowedActions(usage.get(issuance.id)) }))
  const neverUsed: string[] = []
  const unusedActions: Record<string, readonly string[]> = {}
  const wildcards: Record<string, Readonly<Record<string, readonly string[]>>> = {}
  const notVisible = new Set<string>()
  const covered = new Set<string>()
  const requested = new Set(own.flatMap((one) => one.scopes))
  for (const name of requested) {
    const patterns = [...new Set(policySet.scopes.get(name)?.statements.flatMap((one) => one.actions) ?? [])]
    const called = new Set(
      allowed.flatMap(({ issuance, actions }) => (issuance.scopes.includes(name) ? [...actions] : [])),
    )
    const through = new Map(
      patterns.map((pattern) => [pattern, [...called].filter((action) => matches(pattern, action)).sort()]),
    )
    for (const actions of through.values()) for (const action of actions) covered.add(action)
    const unused = patterns.filter((pattern) => through.get(pattern)?.length === 0)
    const seen = unused.filter((pattern) => !invisible(pattern))
    for (const pattern of unused) if (invisible(pattern)) notVisible.add(pattern)
    if (seen.length > 0 && seen.length === patterns.length) neverUsed.push(name)
    else if (seen.length > 0) unusedActions[name] = seen
    const wide = [...through].filter(([pattern, actions]) => /[*?]/.test(pattern) && actions.length > 0)
    if (wide.length > 0) wildcards[name] = Object.fromEntries(wide)
  }
  return {
    agent,
    environment,
    issuances: own.length,
    scopes_never_requested: scopes.filter((name) => !requested.has(name)).sort(),
    scopes_never_used: neverUsed.sort(),
    actions_never_used: unusedActions,
    wildcards,
    not_visible: [...notVisible].sort(),
    outside_scopes: [...new Set(allowed.flatMap(({ actions }) => [...actions]))]
      .filter((action) => !covered.has(action) && !NEEDS_NOTHING.has(action))
      .sort(),
  }
}

/** No policy is asked for it (STS API Reference). */
const NEEDS_NOTHING: ReadonlySet<string> = new Set(['sts:GetCallerIdentity'])

/** The IAM actions of calls that were not all refused. */
function allowedActions(usage: Usage | undefined): ReadonlySet<string> {
  return new Set(
    [...(usage?.actions.values() ?? [])].flatMap(({ source, name, calls, denied }) =>
      calls > denied ? iamActions(source, name) : [],
    ),
  )
}
