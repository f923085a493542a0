import type { Identity, IdentityMatch, Operator, OperatorRole } from '../types.js'
import { frozenMap, frozenSet } from './freeze.js'
import { claimTexts } from './match.js'
import { indexIdentities } from './match-index.js'
import { agentName, readable } from './schema-fields.js'

/** A document for people who are not named one by one, compiled. */
export interface OperatorGroup {
  readonly name: string
  readonly identity: IdentityMatch
  readonly nameClaim: string
  readonly roles: readonly OperatorRole[]
  readonly teams: readonly string[] | { readonly claim: string }
  /** Claims with other names of the person, besides `sub` and `email`. */
  readonly aliasClaims: readonly string[]
  readonly approves: readonly string[]
  readonly approvesScopes?: readonly string[]
}

// A subject is compared with its case (OpenID Connect Core section 2). Of every other claim capitals are refused:
// lower-cased, two people could become one; left alone, one person spelled twice could become two.
const SUBJECT = /^[A-Za-z0-9][A-Za-z0-9._@|+=-]{0,127}$/
const NAME = /^[a-z0-9][a-z0-9._@+-]{0,127}$/
const MOST_TEAMS = 500

/** Who an operator's token belongs to: one, several documents that all fit, or nobody. */
export function operatorsMatcher(
  named: readonly Operator[],
  groups: readonly OperatorGroup[],
): (identity: Identity) => readonly Operator[] {
  const byDocument = indexIdentities(named)
  const byGroup = indexIdentities(groups)
  const taken = new Set(named.flatMap((one) => [...one.alsoKnownAs]).map((name) => name.toLowerCase()))
  return (identity) => {
    const found = byDocument(identity)
    // Whoever is named has what that document says: adding them to a group at the issuer must not give them more.
    if (found.length > 0) return found
    const person = personOf(byGroup(identity), identity, taken)
    return person === undefined ? [] : [person]
  }
}

/** The person behind an identity, with what all their groups give. Whoever cannot be told for sure is nobody. */
function personOf(
  groups: readonly OperatorGroup[],
  identity: Identity,
  taken: ReadonlySet<string>,
): Operator | undefined {
  const [first] = groups
  if (first === undefined) return undefined
  const name = nameOf(first.nameClaim, identity)
  const names = otherNames(groups, identity)
  const teams = teamsOf(groups, identity)
  if (name === undefined || names === undefined || teams === undefined) return undefined
  const known = [name, name.slice(first.nameClaim.length + 1), ...names]
  // A second account of somebody who is named would make a quorum of one, and an impostor stand for them.
  if (known.some((one) => taken.has(one.toLowerCase()))) return undefined
  return Object.freeze({
    name,
    identity: Object.freeze({
      issuer: identity.issuer,
      claims: frozenMap([['sub', { kind: 'equals', value: identity.subject }] as const]),
    }),
    roles: frozenSet([...new Set(groups.flatMap((one) => one.roles))].sort()),
    teams: frozenSet(teams),
    alsoKnownAs: frozenSet([...new Set(known)].sort()),
    approves: frozenSet([...new Set(groups.flatMap((one) => one.approves))].sort()),
    approvesScopes: scopesByEnvironment(groups),
  })
}

/** With the claim in front, so that no document's name, and no value of another claim, is ever the same. */
function nameOf(claim: string, identity: Identity): string | undefined {
  if (claim === 'sub') return SUBJECT.test(identity.subject) ? `sub:${identity.subject}` : undefined
  const text = ownClaim(identity, claim)
  if (typeof text !== 'string' || !NAME.test(text)) return undefined
  // An address that nobody verified is whichever its owner typed in.
  if (claim === 'email' && ownClaim(identity, 'email_verified') !== true) return undefined
  return `${claim}:${text}`
}

/** Undefined when one that is asked for is not there: nobody would see that they approve for themselves. */
function otherNames(groups: readonly OperatorGroup[], identity: Identity): readonly string[] | undefined {
  const names = [identity.subject]
  const wanted = new Set(groups.flatMap((one) => one.aliasClaims))
  for (const claim of new Set(['email', ...wanted])) {
    const value = ownClaim(identity, claim)
    if (value === undefined && !wanted.has(claim)) continue
    const text = readable(512).safeParse(value)
    if (!text.success) return undefined
    names.push(text.data)
  }
  return names
}

/** Undefined when a claim says something that is no name of a team: an owner's team could hide behind it. */
function teamsOf(groups: readonly OperatorGroup[], identity: Identity): readonly string[] | undefined {
  const teams = new Set<string>()
  for (const { teams: from } of groups) {
    if (!('claim' in from)) {
      for (const team of from) teams.add(team)
      continue
    }
    const value = ownClaim(identity, from.claim)
    const texts = typeof value === 'string' ? [value] : claimTexts(identity.claims, from.claim)
    if (texts === undefined || texts.length > MOST_TEAMS) return undefined
    for (const text of texts) {
      const team = text.toLowerCase()
      if (!agentName.safeParse(team).success) return undefined
      teams.add(team)
    }
  }
  return [...teams].sort()
}

/**
 * Environment → scopes, for each environment apart: who approves orders in production and everything in staging
 * does not approve everything in production.
 */
function scopesByEnvironment(groups: readonly OperatorGroup[]): ReadonlyMap<string, ReadonlySet<string>> {
  const every = new Set<string>()
  const some = new Map<string, Set<string>>()
  for (const { approves, approvesScopes } of groups) {
    for (const environment of approves) {
      if (approvesScopes === undefined) every.add(environment)
      else {
        const scopes = some.get(environment) ?? new Set()
        some.set(environment, scopes)
        for (const scope of approvesScopes) scopes.add(scope)
      }
    }
  }
  return frozenMap(
    [...some]
      .filter(([name]) => !every.has(name))
      .map(([name, scopes]) => [name, frozenSet(scopes)] as const),
  )
}

const ownClaim = ({ claims }: Identity, name: string): unknown =>
  Object.hasOwn(claims, name) ? claims[name] : undefined
