import type { Identity, IdentityMatch } from '../types.js'
import { claimText, exactValues, identityMatches } from './match.js'

interface Identified {
  readonly identity: IdentityMatch
}

interface IssuerIndex<T> {
  /** claim → value → who lists that value. */
  readonly byClaim: Map<string, Map<string, T[]>>
  /** Those with prefixes and lists only: looked at one by one. */
  readonly scan: T[]
}

/**
 * Finds all whose matchers hold without looking at each: by issuer, then by the rarest value that each one's
 * own matchers list. Everything found this way is still checked in full, so the index can only save time.
 */
export function indexIdentities<T extends Identified>(
  all: readonly T[],
): (identity: Identity) => readonly T[] {
  const issuers = new Map<string, IssuerIndex<T>>()
  const frequency = countValues(all)
  for (const one of all) {
    const { issuer } = one.identity
    const index: IssuerIndex<T> = issuers.get(issuer) ?? { byClaim: new Map(), scan: [] }
    issuers.set(issuer, index)
    const claim = rarestClaim(one.identity, frequency)
    if (claim === undefined) {
      index.scan.push(one)
      continue
    }
    const byValue = index.byClaim.get(claim) ?? new Map<string, T[]>()
    index.byClaim.set(claim, byValue)
    for (const value of exactValues(one.identity.claims.get(claim)) ?? []) {
      const bucket = byValue.get(value)
      if (bucket === undefined) byValue.set(value, [one])
      else bucket.push(one)
    }
  }
  return (identity) => {
    const index = issuers.get(identity.issuer)
    if (index === undefined) return []
    const found = index.scan.filter((one) => identityMatches(one.identity, identity))
    for (const [claim, byValue] of index.byClaim) {
      const text = claimText(identity.claims, claim)
      if (text === undefined) continue
      for (const one of byValue.get(text) ?? []) if (identityMatches(one.identity, identity)) found.push(one)
    }
    return found
  }
}

const frequencyKey = (issuer: string, claim: string, value: string): string =>
  JSON.stringify([issuer, claim, value])

function countValues(all: readonly Identified[]): ReadonlyMap<string, number> {
  const frequency = new Map<string, number>()
  for (const { identity } of all) {
    for (const [claim, matcher] of identity.claims) {
      for (const value of exactValues(matcher) ?? []) {
        const key = frequencyKey(identity.issuer, claim, value)
        frequency.set(key, (frequency.get(key) ?? 0) + 1)
      }
    }
  }
  return frequency
}

function rarestClaim(match: IdentityMatch, frequency: ReadonlyMap<string, number>): string | undefined {
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const [claim, matcher] of match.claims) {
    const values = exactValues(matcher)
    if (values === undefined) continue
    const worst = Math.max(
      ...values.map((value) => frequency.get(frequencyKey(match.issuer, claim, value)) ?? 0),
    )
    if (worst < least) {
      least = worst
      best = claim
    }
  }
  return best
}
