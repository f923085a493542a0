import fc from 'fast-check'
import t from 'tap'
import {
  claimHolds,
  claimText,
  identitiesOverlap,
  identityMatches,
  matcherHolds,
  matchersIntersect,
} from '../../server/policy/match.js'
import { indexIdentities } from '../../server/policy/match-index.js'
import { overlaps } from '../../server/policy/overlap.js'
import type { Matcher } from '../../server/types.js'
import { ISSUER, identity } from './support.js'

const described = (claims: Readonly<Record<string, Matcher>>, issuer = ISSUER) => ({
  issuer,
  claims: new Map(Object.entries(claims)),
})
const equals = (value: string): Matcher => ({ kind: 'equals', value })

t.test('the text of a claim', (t) => {
  t.equal(claimText({ a: 'x' }, 'a'), 'x')
  t.equal(claimText({ a: 4711 }, 'a'), '4711')
  t.equal(claimText({ a: true }, 'a'), 'true')
  for (const a of [null, ['x'], { x: 1 }, undefined]) t.equal(claimText({ a }, 'a'), undefined)
  t.equal(claimText({}, 'a'), undefined)
  t.equal(claimText(Object.create({ a: 'x' }), 'a'), undefined, 'own properties only')
  t.equal(claimText({}, 'constructor'), undefined)
  t.equal(claimText({}, '__proto__'), undefined)
  t.end()
})

t.test('matchers are literal', (t) => {
  t.ok(matcherHolds(equals('main'), 'main'))
  t.notOk(matcherHolds(equals('main'), 'Main'))
  t.notOk(matcherHolds(equals('m.*'), 'main'), 'no regular expression')
  t.ok(matcherHolds({ kind: 'in', values: ['a', 'b'] }, 'b'))
  t.notOk(matcherHolds({ kind: 'in', values: ['a', 'b'] }, 'ab'))
  const prefix: Matcher = { kind: 'prefix', value: 'repo:acme/' }
  t.ok(matcherHolds(prefix, 'repo:acme/web'))
  t.notOk(matcherHolds(prefix, 'repo:acme-evil/web'))
  t.notOk(matcherHolds(prefix, 'x repo:acme/web'))
  t.end()
})

t.test('a list has what it has', (t) => {
  const has: Matcher = { kind: 'has', value: 'a' }
  const holds = (value: unknown) => claimHolds(has, { groups: value }, 'groups')
  t.ok(holds(['a']))
  t.ok(holds(['b', 'a']))
  for (const value of [
    [],
    ['b'],
    ['A'],
    ['ab'],
    [['a']],
    ['a', 1],
    ['a', null],
    'a',
    { a: 'a' },
    null,
    undefined,
  ])
    t.notOk(holds(value), JSON.stringify(value))
  t.notOk(claimHolds(has, Object.create({ groups: ['a'] }), 'groups'), 'own properties only')
  t.notOk(claimHolds(equals('a'), { groups: ['a'] }, 'groups'), 'a list is no text')
  t.notOk(matcherHolds(has, 'a'), 'a text is no list')
  t.end()
})

t.test('an identity matches when issuer and every matcher do', (t) => {
  const match = described({ repository_id: equals('4711'), ref: { kind: 'prefix', value: 'refs/heads/' } })
  t.ok(identityMatches(match, identity({ repository_id: '4711', ref: 'refs/heads/main' })))
  t.ok(identityMatches(match, identity({ repository_id: 4711, ref: 'refs/heads/main' })))
  t.notOk(identityMatches(match, identity({ repository_id: '4711' })), 'a missing claim never matches')
  t.notOk(identityMatches(match, identity({ repository_id: ['4711'], ref: 'refs/heads/main' })))
  t.notOk(identityMatches(match, identity({ repository_id: '4711', ref: 'refs/tags/v1' })))
  t.notOk(identityMatches(match, identity({ repository_id: '4711', ref: 'refs/heads/main' }, `${ISSUER}/`)))
  t.notOk(identityMatches(described({}), identity({})), 'no matcher is no match')
  t.end()
})

// Few values and claims, so that the cases that matter come up all the time.
const value = fc.constantFrom('a', 'b', 'a:b', 'a:c', 'a:b:c', '1', 'true')
const matcher: fc.Arbitrary<Matcher> = fc.oneof(
  value.map(equals),
  fc.uniqueArray(value, { minLength: 2, maxLength: 3 }).map((values): Matcher => ({ kind: 'in', values })),
  fc.constantFrom('a:', 'a:b:').map((text): Matcher => ({ kind: 'prefix', value: text })),
  fc.constantFrom('a', 'b', 'a:b').map((text): Matcher => ({ kind: 'has', value: text })),
)
const match = fc
  .record({
    issuer: fc.constantFrom('https://one.example', 'https://two.example'),
    claims: fc.dictionary(fc.constantFrom('sub', 'ref', 'env'), matcher, { minKeys: 1, maxKeys: 3 }),
  })
  .map(({ issuer, claims }) => described(claims, issuer))
const token = fc.record({
  issuer: fc.constantFrom('https://one.example', 'https://two.example'),
  claims: fc.dictionary(
    fc.constantFrom('sub', 'ref', 'env'),
    fc.oneof(
      value,
      fc.array(value, { maxLength: 3 }),
      fc.constantFrom<unknown>(1, true, null, ['a'], ['a', 1], { a: 1 }),
    ),
  ),
})

t.test('the index finds exactly what looking at each one finds', (t) => {
  fc.assert(
    fc.property(fc.array(match, { maxLength: 20 }), token, (matches, { issuer, claims }) => {
      const all = matches.map((one, n) => ({ name: `agent-${n}`, identity: one }))
      const who = identity(claims, issuer)
      const found = indexIdentities(all)(who)
        .map((one) => one.name)
        .sort()
      const expected = all
        .filter((one) => identityMatches(one.identity, who))
        .map((one) => one.name)
        .sort()
      return JSON.stringify(found) === JSON.stringify(expected)
    }),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('two that a token can match both of overlap, and the other way round', (t) => {
  fc.assert(
    fc.property(match, match, token, (a, b, { issuer, claims }) => {
      const who = identity(claims, issuer)
      return !(identityMatches(a, who) && identityMatches(b, who)) || identitiesOverlap(a, b)
    }),
    { numRuns: 5000 },
  )
  // Where they say overlap, build the token that proves it.
  fc.assert(
    fc.property(match, match, (a, b) => {
      if (!identitiesOverlap(a, b)) return true
      const claims: Record<string, unknown> = {}
      for (const name of new Set([...a.claims.keys(), ...b.claims.keys()])) {
        const wanted = [a.claims.get(name), b.claims.get(name)].filter((one) => one !== undefined)
        if (wanted.some((one) => one.kind === 'has')) {
          claims[name] = wanted.flatMap((one) => (one.kind === 'has' ? [one.value] : []))
          continue
        }
        const texts = wanted.flatMap((one) => (one.kind === 'in' ? one.values : [one.value, `${one.value}x`]))
        claims[name] = texts.find((text) => wanted.every((one) => matcherHolds(one, text)))
      }
      const who = identity(claims, a.issuer)
      return identityMatches(a, who) && identityMatches(b, who)
    }),
    { numRuns: 5000 },
  )
  t.end()
})

t.test('matchers that intersect', (t) => {
  fc.assert(fc.property(matcher, matcher, (a, b) => matchersIntersect(a, b) === matchersIntersect(b, a)))
  t.notOk(matchersIntersect(equals('a'), equals('b')))
  t.ok(matchersIntersect({ kind: 'prefix', value: 'a:' }, { kind: 'prefix', value: 'a:b:' }))
  t.notOk(matchersIntersect({ kind: 'prefix', value: 'a:' }, { kind: 'prefix', value: 'b:' }))
  t.ok(matchersIntersect({ kind: 'has', value: 'a' }, { kind: 'has', value: 'b' }), 'one list can have both')
  t.notOk(matchersIntersect({ kind: 'has', value: 'a' }, equals('a')), 'no claim is a list and a text')
  t.end()
})

t.test('the fast search for overlaps finds whoever comparing all with all finds', (t) => {
  fc.assert(
    fc.property(fc.array(match, { maxLength: 40 }), (matches) => {
      const all = matches.map((one, n) => ({ name: `agent-${String(n).padStart(2, '0')}`, identity: one }))
      const expected = all.filter((b, n) =>
        all.slice(0, n).some((a) => identitiesOverlap(a.identity, b.identity)),
      )
      const found = overlaps(all)
      for (const [later, first] of found) if (!identitiesOverlap(later.identity, first.identity)) return false
      return (
        JSON.stringify([...found.keys()].map((one) => one.name).sort()) ===
        JSON.stringify(expected.map((one) => one.name))
      )
    }),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('overlaps among those without the dividing claim, and with those that have it', (t) => {
  const one = (name: string, claims: Readonly<Record<string, Matcher>>) => ({
    name,
    identity: described(claims),
  })
  const many = Array.from({ length: 20 }, (_, n) =>
    one(`a${n + 10}`, { sub: equals(`s${n}`), env: equals('x') }),
  )
  const apart = one('b1', { ref: { kind: 'prefix', value: 'refs/' }, env: equals('y') })
  const same = one('b2', { ref: { kind: 'prefix', value: 'refs/heads/' }, env: equals('y') })
  const across = one('c1', { ref: equals('main'), env: equals('x') })
  const found = overlaps([...many, apart, same, across])
  t.same([...found].map(([later, first]) => `${first.name} ${later.name}`).sort(), ['a10 c1', 'b1 b2'])
  t.end()
})
