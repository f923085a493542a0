import fc from 'fast-check'
import t from 'tap'
import { globCovers } from '../../server/policy/glob.js'
import { mergeStatements } from '../../server/policy/merge.js'
import { renderPermissions } from '../../server/policy/render.js'
import { fill } from '../../server/policy/template.js'
import type { PolicyStatement, Scope } from '../../server/types.js'
import { compiled, GOOD } from './support.js'

/** The reference: a glob as a regular expression, nothing of ours. */
const glob = (pattern: string, text: string, flags = ''): boolean =>
  new RegExp(
    `^${pattern
      .replace(/[.+^$()|[\]{}\\]/g, '\\$&')
      .replace(/\*/g, '.*')
      .replace(/\?/g, '.')}$`,
    `s${flags}`,
  ).test(text)

const list = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value

/** The conditions under which something is permitted; all that matters about a set of Allow statements. */
function permitted(statements: readonly PolicyStatement[], action: string, resource: string): string[] {
  const conditions = statements
    .filter((one) => list(one.Action).some((pattern) => glob(pattern, action, 'i')))
    .filter((one) => list(one.Resource).some((pattern) => glob(pattern, resource)))
    .map((one) => JSON.stringify(normal(one.Condition)))
  // Allowed without a condition is allowed; any further condition adds nothing.
  return conditions.includes('{}') ? ['{}'] : [...new Set(conditions)].sort()
}

const normal = (condition: PolicyStatement['Condition']): unknown =>
  Object.fromEntries(
    Object.entries(condition ?? {}).map(([operator, keys]) => [
      operator,
      Object.fromEntries(
        Object.entries(keys).map(([key, values]) => [key, [...new Set(list(values))].sort()]),
      ),
    ]),
  )

const ACTIONS = ['s3:GetObject', 's3:GetObjectTagging', 's3:PutObject', 's3:ListBucket', 'sqs:SendMessage']
const RESOURCES = [
  'arn:aws:s3:::a',
  'arn:aws:s3:::a/x',
  'arn:aws:s3:::a/x/y',
  'arn:aws:s3:::ab/x',
  'arn:aws:s3:::b',
]

const actionPattern = fc.constantFrom(
  ...ACTIONS,
  's3:Get*',
  's3:*',
  's3:GetObjec?',
  's3:getobject',
  '*:Send*',
)
const resourcePattern = fc.constantFrom(
  ...RESOURCES,
  'arn:aws:s3:::a/*',
  'arn:aws:s3:::a*',
  'arn:aws:s3:::?',
  'arn:aws:s3:::a/?/*',
  '*',
)
const condition = fc.constantFrom<PolicyStatement['Condition']>(
  {},
  { StringEquals: { 's3:prefix': 'x' } },
  { StringEquals: { 's3:prefix': ['x', 'y'] } },
  { StringEquals: { 's3:prefix': ['y', 'x'] } },
  { Bool: { 'aws:SecureTransport': 'true' } },
)
const statement: fc.Arbitrary<PolicyStatement> = fc
  .record({
    Action: fc.array(actionPattern, { minLength: 1, maxLength: 4 }),
    Resource: fc.array(resourcePattern, { minLength: 1, maxLength: 4 }),
    Condition: condition,
  })
  .map((one) => ({ Effect: 'Allow', ...one }) as PolicyStatement)
const statements = fc.array(statement, { minLength: 1, maxLength: 6 })

t.test('the merged form permits exactly what the unmerged one does', (t) => {
  fc.assert(
    fc.property(statements, (all) => {
      const merged = mergeStatements(all)
      for (const action of ACTIONS) {
        for (const resource of RESOURCES) {
          const before = permitted(all, action, resource)
          const after = permitted(merged, action, resource)
          if (JSON.stringify(before) !== JSON.stringify(after)) return false
        }
      }
      return true
    }),
    { numRuns: 500 },
  )
  t.end()
})

t.test('it is never longer', (t) => {
  fc.assert(
    fc.property(statements, (all) => {
      const plain = all.map(({ Condition, ...rest }) =>
        Object.keys(Condition ?? {}).length === 0 ? rest : { ...rest, Condition },
      )
      return JSON.stringify(mergeStatements(all)).length <= JSON.stringify(plain).length
    }),
    { numRuns: 500 },
  )
  t.end()
})

t.test('it does not depend on any order', (t) => {
  fc.assert(
    fc.property(
      statements.chain((all) =>
        fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }), fc.boolean()),
      ),
      ([all, shuffled, reverse]) => {
        const other = shuffled.map((one) => {
          if (!reverse) return one
          return {
            ...one,
            Action: [...list(one.Action)].reverse(),
            Resource: [...list(one.Resource)].reverse(),
          }
        })
        return JSON.stringify(mergeStatements(all)) === JSON.stringify(mergeStatements(other))
      },
    ),
    { numRuns: 500 },
  )
  t.end()
})

t.test('merging what is merged changes nothing', (t) => {
  fc.assert(
    fc.property(statements, (all) => {
      const once = mergeStatements(all)
      return JSON.stringify(mergeStatements(once)).length <= JSON.stringify(once).length
    }),
    { numRuns: 300 },
  )
  t.end()
})

t.test('the smallest form', (t) => {
  const allow = (
    Action: string[],
    Resource: string[],
    Condition?: PolicyStatement['Condition'],
  ): PolicyStatement => ({
    Effect: 'Allow',
    Action,
    Resource,
    ...(Condition === undefined ? {} : { Condition }),
  })
  t.same(mergeStatements([allow(['s3:GetObject'], ['b']), allow(['s3:GetObject'], ['a'])]), [
    { Effect: 'Allow', Action: 's3:GetObject', Resource: ['a', 'b'] },
  ])
  t.same(mergeStatements([allow(['s3:PutObject'], ['a']), allow(['s3:GetObject'], ['a'])]), [
    { Effect: 'Allow', Action: ['s3:GetObject', 's3:PutObject'], Resource: 'a' },
  ])
  t.same(mergeStatements([allow(['s3:Get*', 's3:GetObject', 's3:getobject'], ['a/*', 'a/b'])]), [
    { Effect: 'Allow', Action: 's3:Get*', Resource: 'a/*' },
  ])
  t.same(
    mergeStatements([allow(['s3:GetObject'], ['a']), allow(['s3:PutObject'], ['b'])]).length,
    2,
    'never both lists at once: that would allow reading b',
  )
  t.same(
    mergeStatements([
      allow(['s3:GetObject'], ['a']),
      allow(['s3:GetObject'], ['a'], { Bool: { 'aws:SecureTransport': 'true' } }),
    ]),
    [{ Effect: 'Allow', Action: 's3:GetObject', Resource: 'a' }],
  )
  t.same(mergeStatements([allow(['s3:GetObject'], ['a'], { Bool: { 'aws:SecureTransport': ['true'] } })]), [
    {
      Effect: 'Allow',
      Action: 's3:GetObject',
      Resource: 'a',
      Condition: { Bool: { 'aws:SecureTransport': 'true' } },
    },
  ])
  t.end()
})

t.test('a covering pattern matches whatever the covered one does', (t) => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 6 })
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 })
  fc.assert(
    fc.property(pattern, pattern, text, (wide, narrow, sample) => {
      return !globCovers(wide, narrow) || !glob(narrow, sample) || glob(wide, sample)
    }),
    { numRuns: 10_000 },
  )
  t.notOk(globCovers('a?', 'a*'), '? is one character, * may be none')
  t.ok(globCovers('a*', 'a?b*'))
  t.end()
})

const where = {
  environment: 'prod',
  account: '111122223333',
  regions: ['eu-west-1', 'us-east-1'],
  agent: 'coder',
  claims: {},
}

async function scopeOf(resources: string[], actions = ['dynamodb:GetItem']): Promise<Scope> {
  const text = `scope: x\ndescribe: X\nallow:\n  - actions: ${JSON.stringify(actions)}\n    resources: ${JSON.stringify(resources)}\n`
  const scope = (await compiled({ ...GOOD, 'x.yaml': text })).scopes.get('x')
  if (scope === undefined) throw new Error('the scope is missing')
  return scope
}

t.test('templates are filled in, regions one by one', async (t) => {
  const scope = await scopeOf([
    'arn:aws:dynamodb:{region}:{account}:table/{environment}-{agent}-{claim.run_id}',
  ])
  const rendered = renderPermissions([scope], { ...where, claims: { run_id: 42 } })
  t.match(rendered, {
    ok: true,
    statements: [
      {
        Effect: 'Allow',
        Action: 'dynamodb:GetItem',
        Resource: [
          'arn:aws:dynamodb:eu-west-1:111122223333:table/prod-coder-42',
          'arn:aws:dynamodb:us-east-1:111122223333:table/prod-coder-42',
        ],
      },
    ],
    sha256: /^[0-9a-f]{64}$/,
  })
})

t.test('a claim that could widen an ARN is refused', async (t) => {
  const scope = await scopeOf(['arn:aws:s3:::orders/{claim.team}/*'], ['s3:GetObject'])
  const dollar = '$'
  const evil: unknown[] = [
    '*',
    '?',
    'a/*',
    'a/b',
    '..',
    '../x',
    `${dollar}{aws:username}`,
    '{agent}',
    'a b',
    'a"b',
    "a'b",
    'a\\b',
    'ä',
    'a\u0000',
    '',
    'a'.repeat(129),
    'a\n',
    ' a',
    'a:b',
    'a.b',
    'a@b',
    null,
    undefined,
    true,
    ['a'],
    { a: 1 },
    1.5,
    1e21,
  ]
  for (const team of evil) {
    t.match(
      renderPermissions([scope], { ...where, claims: { team } }),
      { ok: false, code: 'claim_unusable', detail: /team/ },
      JSON.stringify(team),
    )
  }
  t.match(renderPermissions([scope], where), { ok: false }, 'missing')
  for (const team of ['orders', 'A-1_b', 'a'.repeat(128), 7]) {
    t.match(renderPermissions([scope], { ...where, claims: { team } }), { ok: true }, String(team))
  }
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (team) => {
      const rendered = renderPermissions([scope], { ...where, claims: { team } })
      return !rendered.ok || rendered.statements[0]?.Resource === `arn:aws:s3:::orders/${team}/*`
    }),
    { numRuns: 2000 },
  )
})

t.test('a claim cannot bring in another template', (t) => {
  const filled = fill('x/{claim.a}/{agent}', { ...where, claim: () => '{account}' })
  t.same(filled, { ok: true, resources: ['x/{account}/coder'] })
  t.end()
})

t.test('the hash names the permissions, not how they were asked for', async (t) => {
  const set = await compiled(GOOD)
  const [read, write] = [set.scopes.get('orders:read'), set.scopes.get('orders:write')]
  if (read === undefined || write === undefined) throw new Error('a scope is missing')
  const hash = (scopes: Scope[], environment = 'prod'): string => {
    const rendered = renderPermissions(scopes, { ...where, environment })
    if (!rendered.ok) throw new Error(rendered.detail)
    return rendered.sha256
  }
  t.equal(hash([read, write]), hash([write, read]))
  t.equal(hash([read, write]), hash([read, write, read]))
  t.not(hash([read]), hash([write]))
  t.not(hash([read], 'prod'), hash([read], 'dev'))
})
