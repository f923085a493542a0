import t from 'tap'
import { signsIn, standingOf } from '../../server/operators/standing.js'
import type { Agent, Identity, Operator } from '../../server/types.js'
import { policySet } from '../support/policy.js'

const bob: Operator = {
  name: 'bob',
  identity: { issuer: 'https://login.example.com', claims: new Map() },
  roles: new Set(['approver']),
  teams: new Set(),
  alsoKnownAs: new Set(['bob']),
  approves: new Set(),
}
const identity: Identity = {
  issuer: 'https://login.example.com',
  subject: 'bob',
  audience: 'console',
  claims: Object.freeze({ sub: 'bob', email: 'bob@example.com', groups: ['ci'] }),
  issuedAt: new Date(),
  expiresAt: new Date(),
}
const session = (kept: ReturnType<typeof signsIn>) => ({
  operator: 'bob',
  identity: kept?.kept ?? null,
  createdAt: new Date(),
  expiresAt: new Date(),
  authenticatedAt: new Date(),
})
const bySub = {
  ...policySet(),
  agentsMatching: () => [],
  operatorsMatching: ({ claims }: Identity) => (claims.sub === 'bob' ? [bob] : []),
}

t.test('what policy looks at is kept, and nothing else', async (t) => {
  const signedIn = signsIn(bySub, identity)
  t.equal(signedIn?.operator, bob)
  t.strictSame(signedIn?.kept, {
    issuer: 'https://login.example.com',
    subject: 'bob',
    claims: { sub: 'bob' },
    looked_at: ['sub'],
  })
  t.equal(standingOf(bySub, session(signedIn)), bob)
  t.equal(standingOf({ ...bySub, operatorsMatching: () => [] }, session(signedIn)), undefined)
  t.equal(standingOf({ ...bySub, operatorsMatching: () => [bob, bob] }, session(signedIn)), undefined)
})

t.test('a claim that was not kept is not taken for one that was not there', async (t) => {
  const signedIn = signsIn(bySub, identity)
  const agents = [...policySet().agents.values()] as [Agent]
  const { groups } = identity.claims as { readonly groups: readonly string[] }
  // An agent document that came later, and that this very token would match.
  const later = {
    ...bySub,
    agentsMatching: ({ claims }: Identity) => (claims.groups === groups ? agents : []),
  }
  t.equal(signsIn(later, identity), undefined)
  t.equal(standingOf(later, session(signedIn)), undefined)
  // Looked for and missing is known, too.
  const { claims: _, ...rest } = identity
  const without = signsIn(later, { ...rest, claims: { sub: 'bob' } })
  t.strictSame(without?.kept.looked_at, ['groups', 'sub'])
  t.equal(standingOf(later, session(without)), bob)
})
