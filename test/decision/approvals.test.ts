import fc from 'fast-check'
import t from 'tap'
import { approvals } from '../../server/decision/decide.js'
import { mayApprove } from '../../server/decision/may-approve.js'
import type { Environment, Operator, OperatorRole, Scope, Tier } from '../../server/types.js'
import { environment, scope } from '../support/policy.js'

const production = environment('production')
const staging = environment('staging', { approvals: { write: 2, delete: 0 } })

t.test('the largest number wins, and none makes a need of a read', async (t) => {
  const read = scope('read', 'read', { approvals: 5 })
  const write = scope('write', 'write')
  const careful = scope('careful', 'write', { approvals: 3 })
  const purge = scope('purge', 'delete', { approvals: 1 })
  t.equal(approvals(production, [write]), 1)
  t.equal(approvals(production, [careful]), 3)
  t.equal(approvals(production, [write, careful]), 3)
  t.equal(approvals(production, [read]), 0)
  t.equal(approvals(production, [read, write]), 5)
  t.equal(approvals(production, [purge]), 2, 'the tier is the floor')
  t.equal(approvals(environment('production', { approvals: { write: 0, delete: 0 } }), [purge]), 2)
  t.equal(approvals(environment('production', { approvals: { write: 4, delete: 4 } }), [careful]), 4)
  t.equal(approvals(staging, [write]), 0)
  t.equal(approvals(staging, [careful]), 3, 'asked for in staging too')
  t.equal(approvals(staging, [scope('w', 'write', { approvals: 1 })]), 1, 'without what promotions need')
  t.equal(approvals(staging, [scope('w', 'write', { approvals: 1, promotion: true })]), 2)
  for (const tier of ['sandbox', 'development'] as const) t.equal(approvals(environment(tier), [careful]), 0)
})

// --- properties ------------------------------------------------------------------------------------------

// Small ones often: what a floor has to hold against.
const number = fc.oneof(fc.constantFrom(0, 1, 2), fc.integer({ min: 0, max: 10 }))
const scopes = fc.array(
  fc
    .record({
      level: fc.constantFrom<'read' | 'write' | 'delete'>('read', 'write', 'delete'),
      promotion: fc.boolean(),
      approvals: fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
    })
    .map(({ level, promotion, approvals: wanted }) =>
      scope('s', level, { promotion, ...(wanted === undefined ? {} : { approvals: wanted }) }),
    ),
  { maxLength: 5 },
)
const environments = fc
  .record({
    tier: fc.constantFrom<Tier>('sandbox', 'development', 'staging', 'production'),
    write: number,
    delete: number,
    allowDelete: fc.boolean(),
  })
  .map(({ tier, allowDelete, ...numbers }) => environment(tier, { allowDelete, approvals: numbers }))

/** The table of the tiers once more, written down apart from the code that it holds to account. */
function floor({ tier }: Environment, wanted: readonly Scope[]): number {
  if (tier === 'production') {
    if (wanted.some((one) => one.destroys)) return 2
    return wanted.some((one) => one.kind === 'write') ? 1 : 0
  }
  return tier === 'staging' && wanted.some((one) => one.promotion) ? 1 : 0
}

t.test('more scopes never need fewer approvals', async () => {
  fc.assert(
    fc.property(environments, scopes, scopes, (where, some, more) => {
      return approvals(where, [...some, ...more]) >= approvals(where, some)
    }),
    { numRuns: 5000 },
  )
})

t.test('nothing goes below the floor of the tier, nor asks where nobody is asked', async () => {
  fc.assert(
    fc.property(environments, scopes, (where, wanted) => {
      const needed = approvals(where, wanted)
      const asks = where.tier === 'production' || where.tier === 'staging'
      const reads = wanted.every((one) => one.kind === 'read' && !one.promotion)
      return needed >= floor(where, wanted) && ((asks && !reads) || needed === 0)
    }),
    { numRuns: 5000 },
  )
})

t.test('whatever a scope of a write demands is demanded, in any order', async () => {
  fc.assert(
    fc.property(environments, scopes, (where, wanted) => {
      const needed = approvals(where, wanted)
      const asks = where.tier === 'production' || where.tier === 'staging'
      const most = Math.max(0, ...wanted.map((one) => (one.kind === 'write' ? (one.approvals ?? 0) : 0)))
      return needed === approvals(where, [...wanted].reverse()) && (!asks || needed >= most)
    }),
    { numRuns: 5000 },
  )
})

// --- who ---------------------------------------------------------------------------------------------------

function operator(change: Partial<Operator> = {}): Operator {
  return {
    name: 'bob',
    identity: { issuer: 'https://login.example.com', claims: new Map() },
    roles: new Set<OperatorRole>(['approver']),
    teams: new Set(),
    alsoKnownAs: new Set(['bob']),
    approves: new Set(['production', 'staging']),
    ...change,
  }
}

t.test('who may approve what', async (t) => {
  const bob = operator()
  t.ok(mayApprove(bob, 'production', ['orders:write']))
  t.notOk(mayApprove(bob, 'development', ['orders:write']))
  t.notOk(mayApprove(bob, 'production', []), 'nothing at all')
  for (const roles of [
    [],
    ['operator'],
    ['security'],
    ['admin'],
    ['operator', 'security', 'admin'],
  ] as const) {
    t.notOk(mayApprove(operator({ roles: new Set(roles) }), 'production', ['orders:write']), roles.join())
  }

  const narrow = operator({
    approvesScopes: new Map([['production', new Set(['orders:*', 'reports:write', 'odd*'])]]),
  })
  const may = (...wanted: string[]) => mayApprove(narrow, 'production', wanted)
  t.ok(may('orders:write'))
  t.ok(may('orders:items:write', 'reports:write'))
  t.notOk(may('orders:write', 'deploy:promote'), 'one of theirs does not carry another')
  t.notOk(may('reports:read'))
  t.notOk(may('orders'), 'a prefix ends at its delimiter')
  t.notOk(may('orders-evil:write'))
  t.notOk(may('oddity'), 'a star that ends at no delimiter is text')
  t.ok(
    mayApprove(narrow, 'staging', ['deploy:promote']),
    'an environment without a list of its own: every scope',
  )
  const none = operator({ approvesScopes: new Map([['production', new Set<string>()]]) })
  t.notOk(mayApprove(none, 'production', ['orders:write']))
})

t.test('asking for more never makes an approver of somebody', async () => {
  const names = fc.array(fc.constantFrom('a:x', 'a:y', 'ab:x', 'b:x', 'b'), { minLength: 1, maxLength: 4 })
  const patterns = fc.array(fc.constantFrom('a:x', 'a:*', 'ab:*', 'b', 'b:*'), { maxLength: 3 })
  fc.assert(
    fc.property(names, names, patterns, (some, more, theirs) => {
      const who = operator({ approvesScopes: new Map([['production', new Set(theirs)]]) })
      const each = (wanted: string[]) => wanted.every((one) => mayApprove(who, 'production', [one]))
      const all = mayApprove(who, 'production', [...some, ...more])
      return all === (each(some) && each(more))
    }),
    { numRuns: 2000 },
  )
})
