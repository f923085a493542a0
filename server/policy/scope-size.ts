import type { Agent, Environment, Scope } from '../types.js'
import type { Parsed } from './parse.js'
import { renderStatements } from './render.js'
import type { Report } from './report.js'

/** STS takes 2,048 characters; expiry, regions and network of a session need about 600 of them. */
export const SCOPE_POLICY_LIMIT = 2048 - 600

/** A claim is a name or an id; a UUID has 36 characters. */
const TYPICAL_CLAIM = 'x'.repeat(36)

/**
 * Every scope alone must fit into a session policy, in each environment where an agent has it and for the
 * agent with the longest name. Found now, not when somebody waits for credentials.
 */
export function checkSizes(
  documents: readonly Parsed<'scope'>[],
  scopes: ReadonlyMap<string, Scope>,
  environments: ReadonlyMap<string, Environment>,
  agents: readonly Agent[],
  report: Report,
): void {
  const longest = new Map<string, Map<string, string>>()
  for (const agent of agents) {
    for (const place of agent.environments.values()) {
      for (const name of place.scopes) {
        const places = longest.get(name) ?? new Map<string, string>()
        longest.set(name, places)
        const known = places.get(place.environment) ?? ''
        if (agent.name.length >= known.length) places.set(place.environment, agent.name)
      }
    }
  }
  for (const document of documents) {
    const scope = scopes.get(document.name)
    if (scope === undefined) continue
    for (const [name, agent] of longest.get(document.name) ?? unusedIn(environments)) {
      const environment = environments.get(name)
      if (environment === undefined) continue
      const size = sizeOf(scope, environment, agent)
      if (size <= SCOPE_POLICY_LIMIT) continue
      report(
        document,
        ['scope'],
        'scope_too_large',
        `In ${name} this scope needs ${size} characters of session policy; ${SCOPE_POLICY_LIMIT} are left for it. Split it, or name fewer resources.`,
      )
      break
    }
  }
}

/** A scope that no agent has yet is measured everywhere. */
const unusedIn = (environments: ReadonlyMap<string, Environment>): ReadonlyMap<string, string> =>
  new Map([...environments.keys()].map((name) => [name, 'an-agent']))

function sizeOf(scope: Scope, environment: Environment, agent: string): number {
  const rendered = renderStatements([scope], {
    environment: environment.name,
    account: environment.account,
    regions: environment.regions,
    agent,
    claim: () => TYPICAL_CLAIM,
  })
  const statements = rendered.ok ? rendered.statements : []
  return JSON.stringify({ Version: '2012-10-17', Statement: statements }).length
}
