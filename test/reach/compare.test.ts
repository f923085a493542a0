import fc from 'fast-check'
import t from 'tap'
import { evaluate } from '../../server/policy/evaluate.js'
import { compare } from '../../server/reach/compare.js'
import { loadDocumentData } from '../../server/reach/data.js'
import { readDocument } from '../../server/reach/documents.js'
import { sessionContext } from '../../server/reach/session-context.js'
import { lowered, meeting } from '../../server/reach/witness.js'
import type { PolicyDocument, PolicyStatement } from '../../server/types.js'

const NOW = new Date('2026-11-21T12:00:00Z')
const BASE = sessionContext({
  roleArn: 'arn:aws:iam::111122223333:role/writ/coder-read',
  agent: 'coder',
  environment: 'prod',
  region: 'eu-west-1',
  now: NOW,
})
const policy = (...Statement: PolicyStatement[]): PolicyDocument => ({ Version: '2012-10-17', Statement })
const allow = (
  Action: string | string[],
  Resource: string | string[],
  Condition?: NonNullable<PolicyStatement['Condition']>,
): PolicyStatement => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition === undefined ? {} : { Condition }),
})
const deny = (...args: Parameters<typeof allow>): PolicyStatement => ({ ...allow(...args), Effect: 'Deny' })

async function drifts(wanted: PolicyDocument, ...real: PolicyDocument[]) {
  const data = await loadDocumentData([wanted, ...real])
  const named = real.map((document, n) => ({ name: `p${n}`, document }))
  return compare(wanted, named, data, BASE)
}

const ORDERS = 'arn:aws:s3:::orders/*'
const BUCKET = 'arn:aws:s3:::orders'
const REPORTS = 'arn:aws:s3:::reports/*'
const READ = policy(allow('s3:GetObject', ORDERS), allow(['s3:ListBucket'], BUCKET))

t.test('the same policy in other words is no drift', async (t) => {
  const tagged = { StringEquals: { 'aws:ResourceTag/team': ['a', 'b'] } }
  for (const [said, wanted, ...real] of [
    ['reordered', READ, policy(allow('s3:ListBucket', BUCKET), allow('s3:GetObject', ORDERS))],
    ['in two policies', READ, policy(allow('s3:ListBucket', BUCKET)), policy(allow('s3:GetObject', ORDERS))],
    [
      'split',
      policy(allow(['s3:GetObject', 's3:PutObject'], [ORDERS, REPORTS])),
      policy(
        ...[ORDERS, REPORTS].flatMap((one) => ['s3:PutObject', 's3:GetObject'].map((a) => allow(a, one))),
      ),
    ],
    ['said twice', READ, READ, READ],
    [
      'merged with a wildcard that reaches no more',
      policy(allow(['s3:PutObjectTagging'], ORDERS)),
      policy(allow(['s3:PutObjectTaggin?'], ORDERS)),
    ],
    ['another case', READ, policy(allow('S3:getobject', ORDERS), allow('s3:LISTBUCKET', BUCKET))],
    ['a narrower one beside', READ, policy(...READ.Statement, allow('s3:GetObject', `${BUCKET}/in/*`))],
    ['a deny of what was not allowed', READ, policy(...READ.Statement, deny('s3:GetObject', REPORTS))],
    [
      'a deny of sessions that are over',
      READ,
      policy(
        ...READ.Statement,
        deny('*', '*', { DateLessThan: { 'aws:TokenIssueTime': '2026-11-01T00:00:00Z' } }),
      ),
    ],
    [
      'a condition in two statements',
      policy(allow('s3:GetObject', ORDERS, tagged)),
      policy(
        ...['b', 'a'].map((team) =>
          allow('s3:GetObject', ORDERS, { StringEquals: { 'AWS:ResourceTag/team': team } }),
        ),
      ),
    ],
    ['nothing', policy(deny('*', '*'))],
    ['nothing, by saying nothing', policy(deny('*', '*')), policy(deny('*', '*'))],
  ] as const)
    t.strictSame(await drifts(wanted, ...real), [], said)
})

t.test('each difference is named', async (t) => {
  const cases = [
    [
      'an action',
      policy(allow(['s3:GetObject', 's3:PutObject'], ORDERS), allow('s3:ListBucket', BUCKET)),
      'wider',
      's3:PutObject',
    ],
    [
      'a resource',
      policy(...READ.Statement, allow('s3:GetObject', REPORTS)),
      'wider',
      's3:GetObject',
      REPORTS,
    ],
    [
      'a shorter prefix',
      policy(allow('s3:GetObject', 'arn:aws:s3:::orders*'), READ.Statement[1] ?? allow('', '')),
      'wider',
      's3:GetObject',
    ],
    ['everything', policy(...READ.Statement, allow('*', '*')), 'wider', '*', '*'],
    [
      'a whole service',
      policy(...READ.Statement, allow('dynamodb:*', '*')),
      'wider',
      'dynamodb:DeleteTable',
      '*',
    ],
    [
      'one object less',
      policy(...READ.Statement, deny('s3:GetObject', 'arn:aws:s3:::*/secret')),
      'narrower',
      's3:GetObject',
      ORDERS,
    ],
    ['an action less', policy(allow('s3:GetObject', ORDERS)), 'narrower', 's3:ListBucket', BUCKET],
    [
      'a longer prefix',
      policy(allow('s3:GetObject', `${BUCKET}/in/*`), allow('s3:ListBucket', BUCKET)),
      'narrower',
      's3:GetObject',
      ORDERS,
    ],
    [
      'a deny of one agent',
      policy(...READ.Statement, deny('*', '*', { StringEquals: { 'aws:PrincipalTag/writ:agent': 'coder' } })),
      'narrower',
      's3:GetObject',
      ORDERS,
    ],
    [
      'a condition',
      policy(
        allow('s3:GetObject', ORDERS, { StringEquals: { 'aws:ResourceTag/team': 'a' } }),
        allow('s3:ListBucket', BUCKET),
      ),
      'narrower',
      's3:GetObject',
      ORDERS,
    ],
    [
      'a network',
      policy(...READ.Statement, deny('*', '*', { NotIpAddress: { 'aws:SourceIp': '198.51.100.0/24' } })),
      'narrower',
      's3:GetObject',
      ORDERS,
    ],
    ['no policy at all', undefined, 'narrower', 's3:GetObject', ORDERS],
  ] as const
  for (const [said, real, kind, action, resource] of cases) {
    const found = await drifts(READ, ...(real === undefined ? [] : [real]))
    t.ok(found.length > 0 && found.every((one) => one.kind === kind), `${said}: ${kind} only`)
    t.ok(
      found.some(
        (one) => one.actions.includes(action) && (resource === undefined || one.resource === resource),
      ),
      `${said}: ${JSON.stringify(found)}`,
    )
  }
  const lost = policy(allow('s3:GetObject', ORDERS, { Bool: { 'aws:SecureTransport': 'true' } }))
  const [plain] = await drifts(lost, policy(allow('s3:GetObject', ORDERS)))
  t.match(plain, { kind: 'wider', when: 'aws:securetransport is false' }, 'a condition that is gone')
  const [named] = await drifts(READ, READ, policy(allow('s3:PutObject', ORDERS)))
  t.strictSame(named?.policies, ['p1'], 'and the policy that does it')
})

t.test('what cannot be evaluated is not compared', async (t) => {
  const one = { Effect: 'Allow', Action: 's3:GetObject', Resource: '*' }
  for (const [statement, why] of [
    [{ ...one, Action: undefined, NotAction: 's3:GetObject' }, /NotAction is not supported/],
    [{ ...one, Resource: ['arn:aws:s3:::a/$' + '{aws:username}'] }, /policy variable/],
    [{ ...one, Condition: { StringMatches: { 'aws:userid': 'x' } } }, /StringMatches/],
    [{ ...one, Condition: ['x'] }, /Condition must be an object/],
    [{ ...one, Condition: { Bool: 'x' } }, /a condition must name a key/],
    ['x', /statements are not objects/],
  ] as const) {
    const text = JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
    t.match(readDocument(text, 'permissions'), { ok: false, why })
  }
  t.match(readDocument('{', 'permissions'), { ok: false, why: 'it is not JSON' })
  t.match(readDocument('[]', 'permissions'), { ok: false, why: 'it is not an object' })
  const single = { Statement: { ...one, Condition: { Bool: { 'aws:SecureTransport': true } } } }
  t.match(readDocument(JSON.stringify(single), 'permissions'), {
    ok: true,
    document: { Statement: [{ Condition: { Bool: { 'aws:SecureTransport': 'true' } } }] },
  })
})

// --- against brute force ------------------------------------------------------------------------------------

const ACTIONS = ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:GetObjectTagging']
const NAMES = ['', 'a', 'b', 'ab', 'ba', 'abb', 'qq', 'a/q', 'q/a', 'aqb']
const TEAMS = [undefined, 'a', 'b', 'c']

const statement = fc.record({
  Effect: fc.constantFrom('Allow' as const, 'Allow' as const, 'Deny' as const),
  Action: fc.subarray([...ACTIONS, 's3:*Object', 's3:GetObject*'], { minLength: 1, maxLength: 3 }),
  Resource: fc
    .array(fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 3 }), { minLength: 1, maxLength: 2 })
    .map((all) => all.map((one) => `${BUCKET}/${one}`)),
  Condition: fc.constantFrom(
    {},
    {},
    { StringEquals: { 'aws:ResourceTag/team': ['a'] } },
    { StringNotEquals: { 'aws:ResourceTag/team': ['a', 'b'] } },
    { Null: { 'aws:ResourceTag/team': 'true' } },
  ),
})
const document = fc.array(statement, { minLength: 1, maxLength: 4 }).map((Statement) => policy(...Statement))

const answers = (one: PolicyDocument): readonly boolean[] =>
  ACTIONS.flatMap((action) =>
    NAMES.flatMap((name) =>
      TEAMS.map((team) => {
        const context = lowered({ ...BASE, 'aws:resourcetag/team': team === undefined ? [] : [team] })
        return evaluate({ identityPolicies: [one], action, resource: `${BUCKET}/${name}`, context }).allowed
      }),
    ),
  )

t.test('no drift is found between equals, and every one between others', async (t) => {
  const data = await loadDocumentData([READ])
  let same = 0
  fc.assert(
    fc.property(document, document, fc.boolean(), (wanted, other, shuffled) => {
      const real = shuffled ? policy(...[...wanted.Statement].reverse(), ...wanted.Statement) : other
      const found = compare(wanted, [{ name: 'p', document: real }], data, BASE)
      const [should, does] = [answers(wanted), answers(real)]
      if (shuffled) same++
      const wider = does.some((yes, n) => yes && !should[n])
      const narrower = does.some((yes, n) => !yes && should[n])
      // What is found beyond these few names was found by asking the same evaluator.
      return (
        (!shuffled || found.length === 0) &&
        (!wider || found.some(({ kind }) => kind === 'wider')) &&
        (!narrower || found.some(({ kind }) => kind === 'narrower'))
      )
    }),
    { numRuns: 80 },
  )
  t.ok(same > 20)
})

t.test('where two patterns meet', async (t) => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 6 })
  const match = (pattern: string, name: string): boolean =>
    new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(name)
  const names = ['', 'a', 'b', 'aa', 'ab', 'ba', 'bb', 'aab', 'abb', 'bab', 'aba', 'wab', 'abab']
  fc.assert(
    fc.property(text, text, (one, other) => {
      const met = meeting(one, other)
      if (met !== undefined) return match(one, met) && match(other, met)
      return names.every((name) => !match(one, name) || !match(other, name))
    }),
    { numRuns: 500 },
  )
  t.equal(meeting('a*', '*b'), 'ab')
})
