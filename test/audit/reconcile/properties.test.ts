import fc from 'fast-check'
import t from 'tap'
import { readRecord } from '../../../server/audit/reconcile/record.js'
import { SeenEvents } from '../../../server/audit/reconcile/seen.js'
import { call, identity, issuanceItem, type Json, mint, OTHER, reconcile } from './fixtures.js'

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value) ?? 'null')

t.test('arbitrary JSON never crashes it and is never clean', async () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 4 }), { maxLength: 5 }), (records) => {
      return reconcile(records).verdict !== 'clean'
    }),
    { numRuns: 800 },
  )
})

const FIELDS = [
  'eventID',
  'eventTime',
  'eventSource',
  'eventName',
  'userIdentity',
  'sourceIPAddress',
  'errorCode',
]

t.test('a record with a field that is anything is read or refused', async () => {
  fc.assert(
    fc.property(fc.constantFrom(...FIELDS), fc.jsonValue(), (field, value) => {
      const read = readRecord(plain(call({ [field]: value })))
      return read.kind === 'event' || read.kind === 'unreadable'
    }),
    { numRuns: 800 },
  )
})

t.test('who called is text or absent, never something else', async (t) => {
  const fields = ['principalId', 'arn', 'accountId', 'accessKeyId', 'invokedBy', 'type', 'sessionContext']
  for (const field of fields) {
    for (const value of [7, true, ['x'], field === 'sessionContext' ? 'x' : {}]) {
      const read = readRecord(call({ userIdentity: { ...identity(), [field]: value } }))
      t.equal(read.kind, 'unreadable', `${field} ${JSON.stringify(value)}`)
    }
  }
  for (const context of [{ sessionIssuer: [] }, { sessionIssuer: { arn: 7 } }, { sourceIdentity: {} }]) {
    t.equal(readRecord(call({ userIdentity: { sessionContext: context } })).kind, 'unreadable')
  }
  for (const change of [
    { requestParameters: [] },
    { responseElements: { credentials: { accessKeyId: 7 } } },
  ]) {
    t.equal(readRecord(mint({ change })).kind, 'unreadable')
  }
})

const alarming: readonly Json[] = [
  call({ userIdentity: identity({ key: 'ASIAEXAMPLE0000000FF', session: 'jane' }) }),
  call({ userIdentity: identity({ session: OTHER }) }),
  mint({ session: OTHER, key: 'ASIAEXAMPLE0000000FF' }),
]

/** Every path in a value, as far as objects go. */
function paths(value: unknown, at: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [at]
  return [at, ...Object.entries(value).flatMap(([name, inner]) => paths(inner, [...at, name]))].filter(
    (path) => path.length > 0,
  )
}

function replaced(value: unknown, [name, ...rest]: readonly string[], by: unknown): unknown {
  if (name === undefined) return by
  const object = value as Json
  return { ...object, [name]: replaced(object[name], rest, by) }
}

t.test('what raises an alarm cannot be hidden by one value of a wrong type', async () => {
  const wrong = fc.oneof(
    fc.integer(),
    fc.boolean(),
    fc.array(fc.integer()),
    fc.dictionary(fc.string(), fc.integer()),
  )
  const changes = alarming.flatMap((record) => paths(record).map((path) => ({ record, path })))
  fc.assert(
    fc.property(fc.constantFrom(...changes), wrong, ({ record, path }, value) => {
      // An object where an object is documented is no wrong type: emptied, it hides what was in it.
      fc.pre(Array.isArray(value) || typeof value !== 'object' || typeof at(record, path) !== 'object')
      const report = reconcile([replaced(record, path, value)])
      return report.verdict !== 'clean'
    }),
    { numRuns: 1500 },
  )
})

const at = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, name) => (inner as Json)[name], value)

t.test('order and repetition change nothing', async (t) => {
  const records = [mint(), call(), call({ errorCode: 'AccessDenied' }), ...alarming]
  const items = [issuanceItem()]
  const outcome = (order: readonly Json[]) => {
    const { verdict, findings, issuances } = reconcile(order, { items })
    const flat = findings.map(({ examples: _, ...finding }) => JSON.stringify(finding)).sort()
    return JSON.stringify({ verdict, flat, calls: issuances.map(({ calls, denied }) => [calls, denied]) })
  }
  const expected = outcome(records)
  fc.assert(
    fc.property(fc.shuffledSubarray([...records, ...records], { minLength: 2 * records.length }), (order) => {
      return outcome(order) === expected
    }),
    { numRuns: 60 },
  )
  t.match(expected, /"alarm"/)
})

t.test('seen events are those of a Set', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[0-9a-f]{1,3}$/), { maxLength: 4000 }), (ids) => {
      const seen = new SeenEvents()
      const set = new Set<string>()
      return ids.every((id) => {
        const fresh = !set.has(id)
        set.add(id)
        return seen.add(id) === fresh
      })
    }),
    { numRuns: 25 },
  )
  const many = new SeenEvents()
  for (let i = 0; i < 20_000; i++) many.add(`event-${i}`)
  t.ok(Array.from({ length: 20_000 }, (_, i) => many.add(`event-${i}`)).every((fresh) => !fresh))
})
