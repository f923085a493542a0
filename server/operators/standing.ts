import type { Identity, Operator, PolicySet } from '../types.js'
import type { KeptIdentity, SessionRow } from './sessions.js'

/**
 * The one operator an identity is: none when it matches several, or is an agent's, whatever some document says.
 */
export function operatorOf(policySet: PolicySet, identity: Identity): Operator | undefined {
  const [operator, ...more] = policySet.operatorsMatching(identity)
  const agents = policySet.agentsMatching(identity)
  return more.length === 0 && agents.length === 0 ? operator : undefined
}

/**
 * Who signs in with this identity, and what of it is kept: the claims that policy looked at to tell, no others.
 * Policy is asked again at every request, and what it did not look at is nobody's business.
 */
export function signsIn(
  policySet: PolicySet,
  identity: Identity,
): { readonly operator: Operator; readonly kept: KeptIdentity } | undefined {
  const { claims, lookedAt } = watched(identity.claims)
  const operator = operatorOf(policySet, { ...identity, claims })
  if (operator === undefined) return undefined
  const names = [...lookedAt].sort()
  const had = names.filter((name) => Object.hasOwn(identity.claims, name))
  return {
    operator,
    kept: {
      issuer: identity.issuer,
      subject: identity.subject,
      claims: Object.fromEntries(had.map((name) => [name, identity.claims[name]])),
      looked_at: names,
    },
  }
}

/**
 * Who a session is under the policy set of now, or undefined when it is nobody any more: the operator's document
 * was removed, or would not let this identity in today.
 */
export function standingOf(
  policySet: PolicySet,
  session: Pick<SessionRow, 'operator' | 'identity' | 'createdAt' | 'expiresAt' | 'authenticatedAt'>,
): Operator | undefined {
  const { identity: kept } = session
  if (kept === null) return policySet.operatorByName(session.operator)
  const { claims, lookedAt } = watched(kept.claims)
  const operator = operatorOf(policySet, {
    issuer: kept.issuer,
    subject: kept.subject,
    audience: '',
    claims,
    issuedAt: session.createdAt,
    expiresAt: session.expiresAt,
    authenticatedAt: session.authenticatedAt,
  })
  if (operator?.name !== session.operator) return undefined
  // A claim that nobody looked at then was not kept: it is not known to be absent, so nothing follows from that.
  const known = new Set(kept.looked_at)
  return [...lookedAt].every((name) => known.has(name)) ? operator : undefined
}

/** The claims, and the names of those that somebody looks for in them. */
function watched(claims: Readonly<Record<string, unknown>>): {
  readonly claims: Readonly<Record<string, unknown>>
  readonly lookedAt: ReadonlySet<string>
} {
  const lookedAt = new Set<string>()
  const note = (name: string | symbol) => {
    if (typeof name === 'string') lookedAt.add(name)
  }
  return {
    lookedAt,
    claims: new Proxy(claims, {
      get: (target, name) => {
        note(name)
        return Reflect.get(target, name)
      },
      has: (target, name) => {
        note(name)
        return Reflect.has(target, name)
      },
      getOwnPropertyDescriptor: (target, name) => {
        note(name)
        return Reflect.getOwnPropertyDescriptor(target, name)
      },
    }),
  }
}
