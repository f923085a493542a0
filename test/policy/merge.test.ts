import fc from 'fast-check'
import t from 'tap'
import { globCovers } from '../../server/policy/glob.js'
import { mergeStatements } from '../../server/policy/merge.js'
import type { PolicyStatement } from '../../server/types.js'

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
