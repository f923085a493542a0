import type { Identity, IdentityMatch, Matcher } from '../types.js'

/**
 * The text a claim is compared by: a string as it is, a number or boolean as its JSON text. Arrays, objects
 * and null have none and match nothing, and neither does a claim that is missing.
 */
export function claimText(claims: Readonly<Record<string, unknown>>, name: string): string | undefined {
  // Own properties only: a matcher on `constructor` must not see Object's.
  if (!Object.hasOwn(claims, name)) return undefined
  const value = claims[name]
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? JSON.stringify(value) : undefined
}

/** A claim that is a list of nothing but text; undefined for anything else. */
export function claimTexts(
  claims: Readonly<Record<string, unknown>>,
  name: string,
): readonly string[] | undefined {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? value : undefined
}

/** Whether a claim satisfies a matcher. `has` is for lists, all others for what has a text. */
export function claimHolds(
  matcher: Matcher,
  claims: Readonly<Record<string, unknown>>,
  name: string,
): boolean {
  if (matcher.kind === 'has') return claimTexts(claims, name)?.includes(matcher.value) ?? false
  const text = claimText(claims, name)
  return text !== undefined && matcherHolds(matcher, text)
}

/** Literal and case-sensitive; a prefix ends at a delimiter, which the schema has checked. No text is a list. */
export function matcherHolds(matcher: Matcher, text: string): boolean {
  switch (matcher.kind) {
    case 'has':
      return false
    case 'equals':
      return text === matcher.value
    case 'in':
      return matcher.values.includes(text)
    case 'prefix':
      return text.startsWith(matcher.value)
  }
}

/** Whether a verified identity is the one described: the same issuer, and every matcher holds. */
export function identityMatches(match: IdentityMatch, identity: Identity): boolean {
  if (match.issuer !== identity.issuer || match.claims.size === 0) return false
  for (const [name, matcher] of match.claims) {
    if (!claimHolds(matcher, identity.claims, name)) return false
  }
  return true
}

/** The texts that a claim can be, one by one; undefined where they cannot be listed: a prefix, and lists. */
export function exactValues(matcher: Matcher | undefined): readonly string[] | undefined {
  if (matcher?.kind === 'equals') return [matcher.value]
  return matcher?.kind === 'in' ? matcher.values : undefined
}

/** Whether one claim value can satisfy both. */
export function matchersIntersect(a: Matcher, b: Matcher): boolean {
  // A list can have both. What is a list has no text, so beside `has` no other matcher holds.
  if (a.kind === 'has' || b.kind === 'has') return a.kind === b.kind
  const values = exactValues(a) ?? exactValues(b)
  if (values !== undefined) return values.some((text) => matcherHolds(a, text) && matcherHolds(b, text))
  if (a.kind !== 'prefix' || b.kind !== 'prefix') return false
  return a.value.startsWith(b.value) || b.value.startsWith(a.value)
}

/** Whether one token can be both: the same issuer, and no claim on which the two exclude each other. */
export function identitiesOverlap(a: IdentityMatch, b: IdentityMatch): boolean {
  if (a.issuer !== b.issuer) return false
  for (const [name, matcher] of a.claims) {
    const other = b.claims.get(name)
    if (other !== undefined && !matchersIntersect(matcher, other)) return false
  }
  return true
}
