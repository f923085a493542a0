import type { PolicySet } from '../types.js'

/**
 * Every name under which a human may appear: of the operators' documents that have this one, all. A person who is known
 * by a group has a name with the claim in front (`email:ann@example.com`); agents' tokens have it without.
 */
export function namesOf(policySet: Pick<PolicySet, 'operators'>, name: string): readonly string[] {
  const names = new Set([name])
  const claimed = /^[A-Za-z_][\w.-]*:(.+)$/.exec(name)?.[1]
  if (claimed !== undefined) names.add(claimed)
  const wanted = lowerCase(names)
  for (const { name: own, alsoKnownAs } of policySet.operators.values()) {
    const all = [own, ...alsoKnownAs]
    if (all.some((one) => wanted.has(one.toLowerCase()))) for (const one of all) names.add(one)
  }
  return [...names].sort()
}

/** Names of humans are compared without regard to case. */
export const lowerCase = (names: Iterable<string>): ReadonlySet<string> =>
  new Set([...names].map((name) => name.toLowerCase()))
