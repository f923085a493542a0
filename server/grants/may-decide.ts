import { mayApprove } from '../decision/may-approve.js'
import { WritError } from '../errors.js'
import type { Operator, PolicySet } from '../types.js'
import { mayBreakGlass } from './break-glass.js'

/** Throws `WritError` approver_not_allowed or break_glass_not_allowed: what policy says of who decides where. */
export function mayDecide(
  policySet: PolicySet,
  operator: Operator,
  about: { readonly environment: string; readonly scopes: readonly string[] },
  breakGlass: boolean,
): void {
  if (breakGlass) {
    const environment = policySet.environments.get(about.environment)
    if (environment !== undefined && mayBreakGlass(environment, operator)) return
    throw new WritError(
      'break_glass_not_allowed',
      `${operator.name} is not among those who may break glass in ${about.environment}.`,
    )
  }
  if (mayApprove(operator, about.environment, about.scopes)) return
  throw new WritError(
    'approver_not_allowed',
    `${operator.name} does not approve ${about.scopes.join(', ')} for ${about.environment}.`,
  )
}

/**
 * Throws `WritError` approver_is_owner. The database says so too when somebody decides; here before a request is
 * opened that its own maker could not approve.
 */
export function mayGrantTo(
  policySet: PolicySet,
  operator: Operator,
  agent: string,
  environment: string,
): void {
  if (policySet.environments.get(environment)?.tier !== 'production') return
  const owner = policySet.agents.get(agent)?.owner
  const owns =
    owner?.kind === 'team' ? operator.teams.has(owner.name) : operator.alsoKnownAs.has(owner?.name ?? '')
  if (owns) throw new WritError('approver_is_owner', `The agent ${agent} belongs to you or your team.`)
}
