import { approvals } from '../decision/decide.js'
import type { AgentCaller } from './authenticate.js'

/** The identity as verified and, per environment, every scope with whether a human is needed. */
export function whoami({ agent, identity, policySet }: AgentCaller) {
  const { onBehalfOf } = identity
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
      return [
        {
          environment: environment.name,
          tier: environment.tier,
          account: environment.account,
          regions: [...environment.regions],
          scopes,
        },
      ]
    }),
  }
}
