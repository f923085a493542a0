import type { IdentityMatch } from '../types.js'
import { exactValues, identitiesOverlap } from './match.js'

interface Identified {
  readonly name: string
  readonly identity: IdentityMatch
}

/**
 * Pairs that one token could match both of, at most one pair for each later one. Comparing all with all would
 * take 50 million comparisons for 10,000 agents; those that list different values of one claim exclude each
 * other already, so only what shares a value is compared.
 */
export function overlaps<T extends Identified>(all: readonly T[]): ReadonlyMap<T, T> {
  const found = new Map<T, T>()
  for (const group of byIssuer(all).values()) search(group, new Set(), found)
  return found
}

function byIssuer<T extends Identified>(all: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) {
    const group = groups.get(one.identity.issuer)
    if (group === undefined) groups.set(one.identity.issuer, [one])
    else group.push(one)
  }
  return groups
}

function search<T extends Identified>(
  group: readonly T[],
  used: ReadonlySet<string>,
  found: Map<T, T>,
): void {
  const claim = group.length > 8 ? dividingClaim(group, used) : undefined
  if (claim === undefined) {
    group.forEach((a, n) => {
      for (const b of group.slice(n + 1)) compare(a, b, found)
    })
    return
  }
  const buckets = new Map<string, T[]>()
  const undivided: T[] = []
  for (const one of group) {
    const values = exactValues(one.identity.claims.get(claim))
    if (values === undefined) undivided.push(one)
    for (const value of values ?? []) {
      const bucket = buckets.get(value)
      if (bucket === undefined) buckets.set(value, [one])
      else bucket.push(one)
    }
  }
  const next = new Set([...used, claim])
  for (const bucket of buckets.values()) if (bucket.length > 1) search(bucket, next, found)
  search(undivided, next, found)
  const compared = new Set(undivided)
  for (const a of undivided) for (const b of group) if (!compared.has(b)) compare(a, b, found)
}

function compare<T extends Identified>(a: T, b: T, found: Map<T, T>): void {
  if (a === b) return
  const [first, later] = a.name < b.name ? [a, b] : [b, a]
  if (!found.has(later) && identitiesOverlap(a.identity, b.identity)) found.set(later, first)
}

/** The claim that leaves the fewest pairs to compare, if any leaves fewer than all. */
function dividingClaim(group: readonly Identified[], used: ReadonlySet<string>): string | undefined {
  const counts = new Map<string, Map<string, number>>()
  const holders = new Map<string, number>()
  for (const { identity } of group) {
    for (const [claim, matcher] of identity.claims) {
      const values = exactValues(matcher)
      if (values === undefined || used.has(claim)) continue
      const byValue = counts.get(claim) ?? new Map<string, number>()
      counts.set(claim, byValue)
      holders.set(claim, (holders.get(claim) ?? 0) + 1)
      for (const value of values) byValue.set(value, (byValue.get(value) ?? 0) + 1)
    }
  }
  let best: string | undefined
  let least = group.length * group.length
  for (const [claim, byValue] of counts) {
    const without = group.length - (holders.get(claim) ?? 0)
    const pairs = [...byValue.values()].reduce((sum, n) => sum + n * n, 2 * without * group.length)
    if (pairs < least) {
      least = pairs
      best = claim
    }
  }
  return best
}
