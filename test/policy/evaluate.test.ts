import fc from 'fast-check'
import t from 'tap'
import {
  assertSupported,
  evaluate,
  evaluateTrust,
  globMatches,
  type RequestContext,
  UnsupportedPolicyError,
} from '../../server/policy/evaluate.js'
import type { PolicyDocument, PolicyStatement } from '../../server/types.js'

const ACTION = 's3:GetObject'
const RESOURCE = 'arn:aws:s3:::orders/2026/a.csv'

const document = (...Statement: PolicyStatement[]): PolicyDocument => ({ Version: '2012-10-17', Statement })
const allow = (more: Partial<PolicyStatement> = {}): PolicyStatement => ({
  Effect: 'Allow',
  Action: '*',
  Resource: '*',
  ...more,
})
const deny = (more: Partial<PolicyStatement> = {}): PolicyStatement => ({ ...allow(more), Effect: 'Deny' })

const ask = (
  identityPolicies: readonly PolicyDocument[],
  sessionPolicy?: PolicyDocument,
  context: RequestContext = {},
  action = ACTION,
  resource = RESOURCE,
) => evaluate({ identityPolicies, sessionPolicy, action, resource, context })

/** Does an Allow with this condition let a request with this context through? */
const holds = (condition: NonNullable<PolicyStatement['Condition']>, context: RequestContext): boolean =>
  ask([document(allow({ Condition: condition }))], undefined, context).allowed

// --- the order of evaluation --------------------------------------------------------------------------

t.test('role ∩ session policy, and a deny in either wins', (t) => {
  const all = document(allow())
  const none = document(allow({ Action: 'sqs:*' }))
  t.equal(ask([all]).why, 'allowed')
  t.equal(ask([]).why, 'implicit-deny')
  t.equal(ask([none]).why, 'implicit-deny')
  t.equal(ask([all], all).why, 'allowed')
  t.equal(ask([all], none).why, 'session-policy')
  t.equal(ask([none], all).why, 'implicit-deny', 'a session policy adds nothing')
  t.equal(ask([], all).allowed, false)
  t.equal(ask([document(allow(), deny())], all).why, 'explicit-deny')
  t.equal(ask([all], document(allow(), deny())).why, 'explicit-deny')
  t.equal(ask([all, document(deny())]).why, 'explicit-deny', 'in another policy of the role')
  t.equal(ask([none], document(deny())).why, 'explicit-deny')
  t.match(ask([all, document(deny({ Sid: 'Stop' }))]), { allowed: false, statement: { Sid: 'Stop' } })
  t.end()
})

t.test('actions ignore case, resources do not, and neither is a regular expression', (t) => {
  const one = (more: Partial<PolicyStatement>, action = ACTION, resource = RESOURCE) =>
    ask([document(allow(more))], undefined, {}, action, resource).allowed
  t.ok(one({ Action: 'S3:getobject' }))
  t.ok(one({ Action: 's3:Get*' }))
  t.ok(one({ Action: 's3:GetObjec?' }))
  t.notOk(one({ Action: 's3:GetObject?' }))
  t.notOk(one({ Action: 's3:Get' }), 'anchored at the end')
  t.notOk(one({ Resource: 'arn:aws:s3:::Orders/*' }))
  t.ok(one({ Resource: 'arn:aws:s3:::orders/*' }))
  t.notOk(one({ Resource: 'arn:aws:s3:::orders' }), 'anchored at the end')
  t.notOk(one({ Resource: 'arn:aws:s3:::orders.*' }), '. is a dot')
  t.notOk(one({ Resource: 'arn:aws:s3:::(orders|other)/2026/a.csv' }))
  t.notOk(one({ Resource: 'arn:aws:s3:::[o]rders/*' }))
  t.ok(one({ Resource: ['arn:aws:s3:::else', 'arn:aws:s3:::ord?rs/*.csv'] }))
  t.notOk(one({ Resource: 'arn:aws:s3:::orders/*' }, ACTION, '*'), 'an action without a resource needs *')
  t.end()
})

// --- conditions -----------------------------------------------------------------------------------------

t.test('every operator, present and missing', (t) => {
  const K = 'aws:k'
  /** operator, wanted, a value that matches, one that does not, the answer without the key */
  const table: [string, string | string[], string, string, boolean][] = [
    ['StringEquals', ['a', 'b'], 'b', 'B', false],
    ['StringNotEquals', ['a', 'b'], 'c', 'b', true],
    ['StringEqualsIgnoreCase', 'Ab', 'aB', 'a', false],
    ['StringNotEqualsIgnoreCase', 'Ab', 'x', 'aB', true],
    ['StringLike', ['x*', 'b?'], 'bc', 'b', false],
    ['StringNotLike', ['x*', 'b?'], 'b', 'xyz', true],
    ['Bool', 'true', 'True', 'false', false],
    ['IpAddress', ['10.0.0.0/8', '2001:db8::/32'], '2001:db8::1', '11.0.0.1', false],
    ['IpAddress', '203.0.113.7', '203.0.113.7', '203.0.113.8', false],
    ['IpAddress', '10.0.0.0/8', '::ffff:10.1.2.3', '::ffff:11.1.2.3', false],
    ['IpAddress', '0.0.0.0/0', '1.2.3.4', '::1', false],
    ['NotIpAddress', ['10.0.0.0/8', '2001:db8::/32'], '2001:db9::1', '10.9.9.9', true],
    ['DateEquals', '2026-01-01T00:00:00Z', '2026-01-01T01:00:00+01:00', '2026-01-01T00:00:01Z', false],
    ['DateNotEquals', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', '2026-01-01T00:00:00Z', true],
    ['DateLessThan', '2026-01-01T00:00:00Z', '2025-12-31T23:59:59Z', '2026-01-01T00:00:00Z', false],
    ['DateLessThanEquals', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', false],
    ['DateGreaterThan', '2026-01-01T00:00:00Z', '2026-01-01T00:00:01Z', '2026-01-01T00:00:00Z', false],
    ['DateGreaterThanEquals', '1767225600', '2026-01-01T00:00:00Z', '2025-12-31T23:59:59Z', false],
    ['NumericEquals', '10', '10.0', '11', false],
    ['NumericNotEquals', '10', '11', '10', true],
    ['NumericLessThan', '10', '9', '10', false],
    ['NumericLessThanEquals', '10', '10', '11', false],
    ['NumericGreaterThan', '9', '10', '9', false],
    ['NumericGreaterThanEquals', '10', '10', '9', false],
    [
      'ArnLike',
      'arn:aws:iam::*:role/writ/*',
      'arn:aws:iam::1:role/writ/a/b',
      'arn:aws:iam::1:user/writ/a',
      false,
    ],
    ['ArnLike', 'arn:aws:sns:*:1', 'arn:aws:sns:eu:1', 'arn:aws:sns:eu:2:1', false],
    ['ArnEquals', 'arn:aws:s3:::a?', 'arn:aws:s3:::ab', 'arn:aws:s3:::a', false],
    ['ArnNotLike', 'arn:aws:s3:::a*', 'arn:aws:s3:::b', 'arn:aws:s3:::ab', true],
    ['ArnNotEquals', 'arn:aws:s3:::a*', 'arn:aws:s3:::b', 'arn:aws:s3:::ab', true],
  ]
  for (const [operator, wanted, yes, no, missing] of table) {
    const name = `${operator} ${wanted}`
    t.equal(holds({ [operator]: { [K]: wanted } }, { 'AWS:K': [yes] }), true, `${name}: ${yes}`)
    t.equal(holds({ [operator]: { [K]: wanted } }, { 'AWS:K': [no] }), false, `${name}: not ${no}`)
    t.equal(holds({ [operator]: { [K]: wanted } }, {}), missing, `${name}: key missing`)
    t.equal(holds({ [operator]: { [K]: wanted } }, { [K]: [] }), missing, `${name}: no values`)
    t.equal(holds({ [`${operator}IfExists`]: { [K]: wanted } }, {}), true, `${name} IfExists: key missing`)
    t.equal(holds({ [`${operator}IfExists`]: { [K]: wanted } }, { [K]: [no] }), false, `${name} IfExists: no`)
  }
  t.equal(holds({ Null: { [K]: 'true' } }, {}), true)
  t.equal(holds({ Null: { [K]: 'true' } }, { [K]: ['x'] }), false)
  t.equal(holds({ Null: { [K]: 'false' } }, {}), false)
  t.equal(holds({ Null: { [K]: 'false' } }, { [K]: [''] }), true)
  t.end()
})

t.test('all operators and all keys of a block must hold', (t) => {
  const both = { StringEquals: { a: '1', b: '2' }, Null: { c: 'true' } }
  t.ok(holds(both, { a: ['1'], b: ['2'] }))
  t.notOk(holds(both, { a: ['1'], b: ['3'] }))
  t.notOk(holds(both, { a: ['1'] }))
  t.notOk(holds(both, { a: ['1'], b: ['2'], c: [''] }))
  t.end()
})

t.test('keys with several values', (t) => {
  const tags = { 'aws:TagKeys': ['writ:agent', 'writ:grant'] }
  t.ok(holds({ 'ForAllValues:StringLike': { 'aws:TagKeys': 'writ:*' } }, tags))
  t.notOk(holds({ 'ForAllValues:StringEquals': { 'aws:TagKeys': 'writ:agent' } }, tags))
  t.ok(holds({ 'ForAnyValue:StringEquals': { 'aws:TagKeys': 'writ:grant' } }, tags))
  t.notOk(holds({ 'ForAnyValue:StringEquals': { 'aws:TagKeys': 'x' } }, tags))
  t.ok(holds({ 'ForAllValues:StringEquals': { 'aws:TagKeys': 'x' } }, {}), 'vacuously true')
  t.notOk(holds({ 'ForAnyValue:StringEquals': { 'aws:TagKeys': 'x' } }, {}))
  t.notOk(holds({ 'ForAnyValue:StringNotEquals': { 'aws:TagKeys': 'x' } }, {}), 'also when negated')
  t.throws(() => holds({ StringEquals: { 'aws:TagKeys': 'writ:agent' } }, tags), UnsupportedPolicyError)
  t.end()
})

t.test('what is not understood is refused, also where it would not have mattered', (t) => {
  const bad: [string, object][] = [
    ['unknown operator', { Condition: { StringMatches: { k: 'v' } } }],
    ['wrong case', { Condition: { stringequals: { k: 'v' } } }],
    ['operator of the prototype', { Condition: { toString: { k: 'v' } } }],
    ['binary', { Condition: { BinaryEquals: { k: 'QQ==' } } }],
    ['Null with IfExists', { Condition: { NullIfExists: { k: 'true' } } }],
    ['Null with a set', { Condition: { 'ForAnyValue:Null': { k: 'true' } } }],
    ['unknown set', { Condition: { 'ForSomeValues:StringEquals': { k: 'true' } } }],
    ['no values', { Condition: { StringEquals: { k: [] } } }],
    ['not a bool', { Condition: { Bool: { k: 'yes' } } }],
    ['not a date', { Condition: { DateLessThan: { k: 'tomorrow' } } }],
    ['a date that is none', { Condition: { DateLessThan: { k: '2026-13-01T00:00:00Z' } } }],
    ['a date without a zone', { Condition: { DateLessThan: { k: '2026-01-01T00:00:00' } } }],
    ['not a number', { Condition: { NumericEquals: { k: '0x10' } } }],
    ['octal address', { Condition: { IpAddress: { k: '010.0.0.0/8' } } }],
    ['short address', { Condition: { IpAddress: { k: '10/8' } } }],
    ['too many bits', { Condition: { IpAddress: { k: '10.0.0.0/33' } } }],
    ['second of two values', { Condition: { IpAddress: { k: ['10.0.0.0/8', 'x'] } } }],
    ['variable in a condition', { Condition: { StringEquals: { k: '$'.concat('{aws:username}') } } }],
    ['variable in a resource', { Resource: `arn:aws:s3:::${'$'}{aws:username}/*` }],
    ['NotAction', { NotAction: 's3:*' }],
    ['NotResource', { NotResource: '*' }],
    ['NotPrincipal', { NotPrincipal: '*' }],
    ['Principal', { Principal: '*' }],
    ['no ARN', { Resource: 'orders' }],
    ['no resource', { Resource: [] }],
    ['no vendor', { Action: 'GetObject' }],
    ['no action', { Action: [] }],
    ['no effect', { Effect: 'Maybe' }],
  ]
  for (const [name, more] of bad) {
    const statement = { ...deny({ Action: 'sqs:Nothing' }), ...more } as PolicyStatement
    t.throws(() => ask([document(allow(), statement)]), UnsupportedPolicyError, `${name}, in the role`)
    t.throws(
      () => ask([document(allow())], document(allow(), statement)),
      UnsupportedPolicyError,
      `${name}, in the session`,
    )
  }
  t.throws(
    () => assertSupported({ Version: '2020-01-01', Statement: [allow()] }, 'permissions'),
    UnsupportedPolicyError,
  )
  t.throws(() => holds({ IpAddress: { k: '10.0.0.0/8' } }, { k: ['nowhere'] }), UnsupportedPolicyError)
  t.end()
})

// --- trust ------------------------------------------------------------------------------------------------

t.test('trust policies', (t) => {
  const BROKER = 'arn:aws:iam::111122223333:role/writ-broker'
  const trust = (
    principal: PolicyStatement['Principal'],
    more: Partial<PolicyStatement> = {},
  ): PolicyStatement => ({
    Effect: 'Allow',
    Principal: principal ?? '*',
    Action: 'sts:AssumeRole',
    ...more,
  })
  const may = (
    statements: PolicyStatement[],
    principalArn = BROKER,
    context: RequestContext = {},
    action = 'sts:AssumeRole',
  ) => evaluateTrust({ trustPolicy: document(...statements), principalArn, action, context })
  t.match(may([trust({ AWS: BROKER })]), { allowed: true, named: true })
  t.match(may([trust({ AWS: ['arn:aws:iam::1:root', '111122223333'] })]), { allowed: true, named: false })
  t.match(may([trust({ AWS: 'arn:aws:iam::111122223333:root' })]), { allowed: true, named: false })
  t.match(may([trust('*')]), { allowed: true, named: true })
  t.match(may([trust({ AWS: '*' })]), { allowed: true, named: true })
  t.notOk(may([trust({ AWS: `${BROKER}-evil` })]).allowed)
  t.notOk(may([trust({ AWS: BROKER.toUpperCase() })]).allowed)
  t.notOk(may([trust({ AWS: '999999999999' })]).allowed)
  t.notOk(may([trust({ Service: 'lambda.amazonaws.com' })]).allowed)
  t.notOk(may([trust({ AWS: BROKER })], BROKER, {}, 'sts:TagSession').allowed)
  t.equal(may([trust('*'), trust({ AWS: '111122223333' }, { Effect: 'Deny' })]).why, 'explicit-deny')
  const grant = { Null: { 'aws:RequestTag/writ:grant': 'false' } }
  t.notOk(may([trust({ AWS: BROKER }, { Condition: grant })]).allowed)
  t.ok(
    may([trust({ AWS: BROKER }, { Condition: grant })], BROKER, { 'aws:requesttag/writ:grant': ['g'] })
      .allowed,
  )
  t.throws(() => may([trust({ AWS: 'arn:aws:iam::111122223333:role/*' })]), UnsupportedPolicyError)
  t.throws(() => may([trust('*', { Resource: '*' })]), UnsupportedPolicyError)
  t.throws(() => may([{ Effect: 'Allow', Action: 'sts:AssumeRole' }]), UnsupportedPolicyError)
  t.end()
})

// --- properties -------------------------------------------------------------------------------------------

/** The definition, spelled out: exponential, obviously right. */
const naiveGlob = (pattern: string, text: string): boolean => {
  if (pattern === '') return text === ''
  const rest = pattern.slice(1)
  if (pattern[0] === '*') return naiveGlob(rest, text) || (text !== '' && naiveGlob(pattern, text.slice(1)))
  return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && naiveGlob(rest, text.slice(1))
}

const small = (alphabet: string[], maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...alphabet), maxLength })

t.test('globs agree with the naive definition', (t) => {
  fc.assert(
    fc.property(small(['a', 'b', '*', '?'], 8), small(['a', 'b', '*', '.'], 10), (pattern, text) => {
      t.equal(globMatches(pattern, text), naiveGlob(pattern, text), `${pattern} ~ ${text}`)
    }),
    { numRuns: 2000 },
  )
  t.end()
})

t.test('a hostile glob does not blow up', (t) => {
  const started = process.hrtime.bigint()
  t.notOk(globMatches('*a'.repeat(500), `${'a'.repeat(3000)}b`))
  t.ok(process.hrtime.bigint() - started < 500_000_000n)
  t.end()
})

const actions = fc.constantFrom('*', 's3:*', 's3:Get*', 's3:GetObject', 'S3:PUTOBJECT', 'sqs:*')
const resources = fc.constantFrom('*', 'arn:aws:s3:::orders/*', 'arn:aws:s3:::orders/a', 'arn:aws:s3:::*')
const conditions: fc.Arbitrary<NonNullable<PolicyStatement['Condition']>> = fc.constantFrom(
  {},
  { StringEquals: { k: 'a' } },
  { StringNotLike: { k: ['a*', 'b'] } },
  { Null: { k: 'true' } },
  { StringEqualsIfExists: { K: 'b' } },
)
const statement: fc.Arbitrary<PolicyStatement> = fc.record({
  Effect: fc.constantFrom<'Allow' | 'Deny'>('Allow', 'Allow', 'Deny'),
  Action: actions,
  Resource: resources,
  Condition: conditions,
})
const policy = fc.array(statement, { maxLength: 4 }).map((all) => document(...all))
const request = fc.record({
  action: fc.constantFrom('s3:GetObject', 's3:PutObject', 'sqs:SendMessage'),
  resource: fc.constantFrom('arn:aws:s3:::orders/a', 'arn:aws:s3:::orders/b', '*'),
  context: fc.constantFrom<RequestContext>({}, { k: ['a'] }, { K: ['b'] }),
})

t.test('a deny always wins, wherever it stands', (t) => {
  fc.assert(
    fc.property(fc.array(policy, { maxLength: 3 }), policy, request, fc.nat(), (role, session, one, at) => {
      const spot = at % (role.length + 1)
      const denied = [...role.slice(0, spot), document(deny({ Action: one.action })), ...role.slice(spot)]
      t.equal(evaluate({ identityPolicies: denied, sessionPolicy: session, ...one }).why, 'explicit-deny')
      const inSession = document(...session.Statement, deny({ Action: one.action }))
      t.equal(evaluate({ identityPolicies: role, sessionPolicy: inSession, ...one }).why, 'explicit-deny')
    }),
  )
  t.end()
})

t.test('a session policy never widens, and narrows to the intersection', (t) => {
  fc.assert(
    fc.property(fc.array(policy, { maxLength: 3 }), policy, request, (role, session, one) => {
      const both = evaluate({ identityPolicies: role, sessionPolicy: session, ...one }).allowed
      const alone = evaluate({ identityPolicies: role, ...one }).allowed
      const other = evaluate({ identityPolicies: [session], ...one }).allowed
      t.equal(both, alone && other)
    }),
  )
  t.end()
})

t.test('the order of documents and statements never matters', (t) => {
  fc.assert(
    fc.property(fc.array(policy, { maxLength: 3 }), request, (role, one) => {
      const reversed = role.map((each) => document(...each.Statement.toReversed())).toReversed()
      const straight = evaluate({ identityPolicies: role, ...one })
      t.equal(evaluate({ identityPolicies: reversed, ...one }).why, straight.why)
    }),
  )
  t.end()
})

t.test('an operator and its negation never agree', (t) => {
  const pairs = fc.constantFrom(
    ['StringEquals', 'StringNotEquals'],
    ['StringLike', 'StringNotLike'],
    ['ArnLike', 'ArnNotLike'],
  )
  fc.assert(
    fc.property(
      pairs,
      small(['a', '*', ':'], 6),
      fc.option(small(['a', ':'], 6)),
      ([positive, negative], wanted, value) => {
        const context = value === null ? {} : { k: [value] }
        t.not(
          holds({ [positive ?? '']: { k: wanted } }, context),
          holds({ [negative ?? '']: { k: wanted } }, context),
        )
      },
    ),
  )
  t.end()
})
