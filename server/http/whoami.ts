import { approvals } from '../decision/decide.js'
import { humansBehind, type Standing } from '../issuance/standing.js'
import type { AgentEnvironment } from '../types.js'
import type { AgentCaller } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { limitsLeft } from './pace-view.js'

/**
 * The identity as verified and, per environment, every scope with whether a human is needed, and how fast the agent may
 * go there.
 */
export async function whoami(caller: AgentCaller, deps: HttpDeps) {
  const { agent, identity, policySet } = caller
  const { onBehalfOf } = identity
  const standings = await standingIn([...agent.environments.values()], caller, deps)
  return {
    identity: {
      issuer: identity.issuer,
      subject: identity.subject,
      audience: identity.audience,
      issued_at: identity.issuedAt.toISOString(),
      expires_at: identity.expiresAt.toISOString(),
      claims: { ...identity.claims },
      ...(onBehalfOf === undefined ? {} : { on_behalf_of: onBehalfOf }),
    },
    agent: agent.name,
    owner: agent.owner,
    status: agent.status,
    policy_digest: policySet.digest,
    environments: [...agent.environments.values()].flatMap((place) => {
      const environment = policySet.environments.get(place.environment)
      if (environment === undefined) return []
      const scopes = place.scopes.flatMap((name) => {
        const scope = policySet.scopes.get(name)
        if (scope === undefined) return []
        const possible = !scope.destroys || environment.tier === 'sandbox' || environment.allowDelete
        return [
          {
            scope: name,
            describe: scope.describe,
            levels: [...scope.levels].sort(),
            needs_grant: approvals(environment, [scope]) > 0,
            possible,
          },
        ]
      })
      const { stop, pace } = standings.get(place.environment) ?? {}
      return [
        {
          environment: environment.name,
          tier: environment.tier,
          account: environment.account,
          regions: [...environment.regions],
          ...(stop === undefined ? {} : { stop }),
          limits: limitsLeft(place.limits, pace),
          scopes,
        },
      ]
    }),
  }
}

async function standingIn(
  places: readonly AgentEnvironment[],
  { agent, identity, policySet }: AgentCaller,
  deps: HttpDeps,
): Promise<ReadonlyMap<string, Standing>> {
  const humans = humansBehind(agent, identity)
  const found = new Map<string, Standing>()
  // One after the other: who lists a hundred environments must not take every connection for it.
  for (const { environment } of places) {
    const account = policySet.environments.get(environment)?.account ?? ''
    found.set(environment, await deps.issue.loadStanding({ agent: agent.name, environment, account, humans }))
  }
  return found
}
