import fc from 'fast-check'
import t from 'tap'
import { additions, marksOf, objectionTo } from '../../server/http/console/card.js'
import type { Agent, Environment, Operator, PolicyStatement, Scope } from '../../server/types.js'

const NOW = new Date('2026-03-14T03:07:00Z')
const allow = (Action: string | string[], Resource: string | string[], Condition?: object): PolicyStatement =>
  ({
    Effect: 'Allow',
    Action,
    Resource,
    ...(Condition === undefined ? {} : { Condition }),
  }) as PolicyStatement

t.test('what is added is what the agent could not do before', async (t) => {
  const base = [
    allow(
      ['s3:Get*', 's3:ListBucket'],
      ['arn:aws:s3:::orders-production', 'arn:aws:s3:::orders-production/*'],
    ),
  ]
  const of = (...asked: PolicyStatement[]) => {
    const { adds, already } = additions(base, asked)
    return { adds: adds.map(said), already: already.map(said) }
  }
  const said = ({ actions, resources }: { actions: readonly string[]; resources: readonly string[] }) =>
    `${actions.join(' ')} on ${resources.join(' ')}`
  const orders = 'arn:aws:s3:::orders-production/*'
  t.strictSame(of(allow(['s3:GetObject', 's3:PutObject'], [orders])), {
    adds: [`s3:PutObject on ${orders}`],
    already: [`s3:GetObject on ${orders}`],
  })
  t.strictSame(of(allow('s3:GetObject', [orders, 'arn:aws:s3:::payroll/*'])), {
    adds: ['s3:GetObject on arn:aws:s3:::payroll/*'],
    already: [`s3:GetObject on ${orders}`],
  })
  t.strictSame(of(allow('S3:getobject', `${orders}`)).adds, [], 'actions are the same in any case')
  t.strictSame(
    of(allow('s3:GetObject', 'ARN:aws:s3:::orders-production/x')).adds.length,
    1,
    'resources are not',
  )
  t.strictSame(of(allow('s3:*', orders)).adds, [`s3:* on ${orders}`], 'a wider pattern is new')
  t.strictSame(of(allow('s3:Get?bject', orders)).adds, [], 'a narrower one is not')
  t.strictSame(of(allow('s3:PutObject', '*')).adds, ['s3:PutObject on *'])
  t.strictSame(additions([], [allow('s3:GetObject', '*')]).already, [])
})

t.test('conditions', async (t) => {
  const open = allow('s3:GetObject', '*')
  const bound = allow('s3:GetObject', '*', { StringEquals: { 'aws:x': ['1'] } })
  const other = allow('s3:GetObject', '*', { StringEquals: { 'aws:x': ['2'] } })
  t.equal(additions([open], [bound]).adds.length, 0, 'what holds anyhow holds under a condition')
  t.equal(additions([bound], [open]).adds.length, 1, 'without the condition it is more')
  t.equal(additions([bound], [bound]).adds.length, 0)
  t.equal(additions([bound], [other]).adds.length, 1)
  t.equal(additions([{ ...open, Effect: 'Deny' }], [open]).adds.length, 1, 'a Deny gives nothing')
})

t.test('nothing counts as there already that the base does not cover', async () => {
  const pattern = fc
    .array(fc.constantFrom('a', 'b', '*', '?'), { maxLength: 5 })
    .map((parts) => parts.join(''))
  const text = fc.array(fc.constantFrom('a', 'b'), { maxLength: 6 }).map((parts) => parts.join(''))
  const matches = (glob: string, one: string) =>
    new RegExp(`^${glob.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(one)
  fc.assert(
    fc.property(pattern, pattern, text, (wide, narrow, one) => {
      const known = additions([allow('s3:X', wide)], [allow('s3:X', narrow)]).adds.length === 0
      return !known || !matches(narrow, one) || matches(wide, one)
    }),
    { numRuns: 3000 },
  )
})

const scope = (change: Partial<Scope> = {}): Scope => ({
  name: 'orders:write',
  describe: 'Change orders',
  statements: [],
  levels: new Set(['write']),
  kind: 'write',
  destroys: false,
  promotion: false,
  ...change,
})

t.test('marks', async (t) => {
  const request = {
    agent: 'orders-coder',
    environment: 'production',
    permissions: [allow('s3:PutObject', 'arn:aws:s3:::orders-production/*')],
    on_behalf_of: null as { human: string; how: string } | null,
    policy_digest: 'sha256:a',
  }
  const old = { firstAt: new Date('2026-01-01T00:00:00Z'), beenThere: true }
  const titles = (
    change: Partial<typeof request> = {},
    scopes = [scope()],
    known: Parameters<typeof marksOf>[3] = old,
  ) =>
    marksOf({ ...request, ...change }, scopes, { digest: 'sha256:a' }, known, NOW).map(({ title }) => title)
  t.strictSame(titles(), [], 'nothing to say of an ordinary request')
  t.strictSame(titles({}, [scope({ destroys: true })]), ['deletes'])
  t.strictSame(titles({}, [scope({ levels: new Set(['permissions-management']) })]), ['permissions'])
  for (const broad of [
    '*',
    'arn:aws:s3:::*',
    'arn:aws:s3:::orders-*/x',
    'arn:aws:dynamodb:eu-west-1:1:table/*',
    'arn:aws:lambda:eu-west-1:1:function:*',
    'arn:aws:sqs:eu-west-1:1:*',
  ]) {
    t.strictSame(titles({ permissions: [allow('s3:PutObject', broad)] }), ['wildcard'], broad)
  }
  for (const narrow of [
    'arn:aws:s3:::orders/*',
    'arn:aws:dynamodb:eu-west-1:1:table/orders',
    'arn:aws:dynamodb:eu-west-1:1:table/orders/index/*',
  ]) {
    t.strictSame(titles({ permissions: [allow('s3:PutObject', narrow)] }), [], narrow)
  }
  t.strictSame(titles({ permissions: [allow('s3:*', 'arn:aws:s3:::orders/*')] }), ['action pattern'])
  t.strictSame(titles({}, undefined, { firstAt: undefined, beenThere: false }), ['new agent'])
  t.strictSame(titles({}, undefined, { ...old, beenThere: false }), ['first time here'])
  const days = (n: number) => ({ firstAt: new Date(NOW.getTime() - n * 86_400_000), beenThere: true })
  t.strictSame(titles({}, undefined, days(6.9)), ['new agent'])
  t.strictSame(titles({}, undefined, days(7)), [])
  t.strictSame(titles({ on_behalf_of: { human: 'x', how: 'self-claimed' } }), ['self-claimed human'])
  t.strictSame(titles({ on_behalf_of: { human: 'x', how: 'verified' } }), [])
  t.strictSame(titles({ policy_digest: 'sha256:b' }), ['policy changed'])
})

t.test('objections, as the server would answer', async (t) => {
  const operator = (change: Partial<Operator> = {}): Operator => ({
    name: 'bob',
    identity: { issuer: '', claims: new Map() },
    roles: new Set(['approver']),
    teams: new Set(['platform']),
    alsoKnownAs: new Set(['bob@example.com']),
    approves: new Set(['production', 'staging']),
    ...change,
  })
  const agent = { name: 'orders-coder', owner: { kind: 'team', name: 'orders' } } as Agent
  const request = {
    agent: 'orders-coder',
    environment: 'production',
    scopes: ['orders:write'],
    on_behalf_of: null as { human: string; how: string } | null,
    decisions: [] as {
      operator: string
      decision: 'approve'
      at: string
      comment: null
      proof_kind: string
    }[],
    policy_digest: 'sha256:a',
  }
  const to = (
    change: Partial<typeof request> = {},
    who: Partial<Operator> = {},
    owner: Agent['owner'] = agent.owner,
    tier: Environment['tier'] = 'production',
    keys = 1,
  ) => {
    const found = objectionTo(
      { ...request, ...change } as never,
      operator(who),
      { digest: 'sha256:a' },
      { ...agent, owner },
      { tier } as Environment,
      keys,
    )
    return found === undefined ? 'may' : `${found.code}${found.mayDeny ? ', may deny' : ''}`
  }
  t.equal(to(), 'may')
  t.equal(to({}, { roles: new Set(['security']) }), 'approver_not_allowed')
  t.equal(to({}, { approves: new Set(['staging']) }), 'approver_not_allowed')
  t.equal(
    to({}, { approvesScopes: new Map([['production', new Set(['reports:*'])]]) }),
    'approver_not_allowed',
  )
  t.equal(to({}, { teams: new Set(['orders']) }), 'approver_is_owner, may deny')
  t.equal(to({}, { teams: new Set(['orders']) }, agent.owner, 'staging'), 'may')
  t.equal(to({}, {}, { kind: 'human', name: 'bob@example.com' }), 'approver_is_beneficiary, may deny')
  t.equal(to({ on_behalf_of: { human: 'bob', how: 'self-claimed' } }), 'approver_is_beneficiary, may deny')
  t.equal(
    to({ on_behalf_of: { human: 'bob@example.com', how: 'verified' } }, {}, agent.owner, 'staging'),
    'approver_is_beneficiary, may deny',
  )
  const decided = {
    operator: 'bob',
    decision: 'approve' as const,
    at: '',
    comment: null,
    proof_kind: 'passkey',
  }
  t.equal(to({ decisions: [decided] }), 'already_decided')
  t.equal(to({}, {}, agent.owner, 'production', 0), 'key_unknown')
  t.equal(to({ policy_digest: 'sha256:b' }), 'grant_stale, may deny')
})
