import fc from 'fast-check'
import t from 'tap'
import { evaluate } from '../../server/policy/evaluate.js'
import { countedSize, INLINE_LIMIT, oursIn, renderDeny } from '../../server/revocation/deny-document.js'
import { type Kill, secondAfter } from '../../server/revocation/deny-statements.js'
import type { PolicyDocument } from '../../server/types.js'

const START = Date.parse('2026-03-01T12:00:00Z') / 1000

interface Session {
  readonly agent: string
  readonly human?: string
  readonly issuance: string
  /** Seconds. */
  readonly issued: number
}

const everything: PolicyDocument = { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }

function dies(document: string | undefined, { agent, human, issuance, issued }: Session): boolean {
  const context = {
    'aws:PrincipalTag/writ:agent': [agent],
    'aws:PrincipalTag/writ:issuance': [issuance],
    'aws:TokenIssueTime': [new Date(issued * 1000).toISOString()],
    ...(human === undefined ? {} : { 'aws:PrincipalTag/writ:human': [human] }),
  }
  const identityPolicies = [
    everything,
    ...(document === undefined ? [] : [JSON.parse(document) as PolicyDocument]),
  ]
  return !evaluate({ identityPolicies, action: 's3:GetObject', resource: 'arn:aws:s3:::a/b', context })
    .allowed
}

/** A session that the kill is about, one second before it is too late. */
const victim = (kill: Kill): Session => ({
  agent: kill.kind === 'agent' ? kill.target : 'bystander',
  ...(kill.kind === 'human' ? { human: kill.target } : {}),
  issuance: kill.kind === 'issuance' ? kill.target : 'zzzzzzzzzzzz',
  issued: kill.before - 1,
})

const issuance = (n: number): string => n.toString(36).padStart(12, '0')

const kill = (id: number, kind: Kill['kind'], target: string, before: number): Kill => ({
  id,
  kind,
  target,
  before,
})

const HUMANS = ['ann@example.com', 'Жанна Ñandú', 'dependabot=5Bbot=5D', 'ann b']

const somekills = fc
  .record({
    agents: fc.array(fc.nat(300), { maxLength: 6 }),
    humans: fc.array(fc.nat(300), { maxLength: 4 }),
    issuances: fc.oneof(fc.nat(20), fc.nat(900)),
    spread: fc.integer({ min: 1, max: 400 }),
    role: fc.option(fc.nat(300), { nil: undefined }),
    shuffle: fc.nat(),
  })
  .map(({ agents, humans, issuances, spread, role, shuffle }) => {
    let id = 0
    return [
      ...agents.map((at, n) => kill(++id, 'agent', `agent-${n}`, START + at)),
      ...humans.map((at, n) => kill(++id, 'human', HUMANS[n] ?? '', START + at)),
      ...Array.from({ length: issuances }, (_, n) =>
        kill(++id, 'issuance', issuance(n), START + ((n * 7 + shuffle) % spread)),
      ),
      ...(role === undefined ? [] : [kill(++id, 'role', '', START + role)]),
    ]
  })

const FOREIGN = [
  { Sid: 'TheirBoundary', Effect: 'Deny', Action: 's3:DeleteBucket', Resource: '*' },
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of IAM's
  { Effect: 'Allow', Action: ['s3:GetObject'], Resource: 'arn:aws:s3:::${aws:username}/ü*' },
]
const document = (...Statement: object[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement }, null, 2)
const found = fc.constantFrom(
  undefined,
  document(FOREIGN[0] ?? {}),
  document(...FOREIGN),
  JSON.stringify({ Version: '2008-10-17', Id: 'theirs', Statement: FOREIGN[1] }),
)

t.test('whatever is killed dies, nobody else does unless it says so, and it is never too large', async () => {
  const others = fc.oneof(fc.nat(9_000), fc.constant(0))
  fc.assert(
    fc.property(somekills, found, others, (kills, before, others) => {
      const { document, widened, widenedTo, fits } = renderDeny(kills, before, others)
      if (!fits || countedSize(document ?? '') + others > INLINE_LIMIT) return false
      const asked = kills.find(({ kind }) => kind === 'role')?.before ?? 0
      const wide = widenedTo === undefined ? asked : Date.parse(widenedTo) / 1000
      const ours = oursIn(document)
      const only =
        ours === undefined
          ? undefined
          : JSON.stringify({ Version: '2012-10-17', Statement: JSON.parse(ours) })
      const step = Math.max(1, Math.floor(kills.length / 30))
      for (let n = 0; n < kills.length; n += step) {
        const one = kills[n] as Kill
        if (!dies(only, victim(one))) return false
        if (widened.has(one.id) && one.before > wide) return false
        // A later one, and a bystander of the very same second.
        const later = { ...victim(one), issued: Math.max(one.before, wide) }
        if (one.kind !== 'issuance' && one.kind !== 'role' && dies(only, later)) return false
        const bystander = { agent: 'bystander', issuance: 'yyyyyyyyyyyy', issued: one.before - 1 }
        if (dies(only, bystander) !== bystander.issued < wide) return false
      }
      return widened.size > 0 === wide > asked
    }),
    { numRuns: 150 },
  )
})

t.test("somebody else's statements stay as they are, and rendering again changes nothing", async () => {
  fc.assert(
    fc.property(somekills, found, fc.nat(2_000), (kills, before, others) => {
      const { document } = renderDeny(kills, before, others)
      const theirs = (text: string | undefined): unknown[] => {
        if (text === undefined) return []
        const { Statement, ...head } = JSON.parse(text)
        const list = [Statement].flat().filter(({ Sid = '' }) => !Sid.startsWith('Writ'))
        return list.length === 0 ? [] : [head, ...list]
      }
      if (JSON.stringify(theirs(before)) !== JSON.stringify(theirs(document))) return false
      if (document !== undefined && !/^[ -~]*$/.test(document)) return false
      return (
        renderDeny([...kills].reverse(), document, others).document === document &&
        renderDeny([], document, others).document === renderDeny([], before, others).document
      )
    }),
    { numRuns: 100 },
  )
})

t.test('the smallest form', async (t) => {
  const at = '2026-03-01T12:00:00Z'
  const kills = [
    kill(1, 'agent', 'b', START),
    kill(2, 'agent', 'a', START),
    kill(3, 'issuance', issuance(2), START - 50),
    kill(4, 'issuance', issuance(1), START - 90),
  ]
  const everyone = { Effect: 'Deny', Action: '*', Resource: '*' }
  t.same(JSON.parse(renderDeny(kills, undefined, 0).document ?? ''), {
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'WritAgent0',
        ...everyone,
        Condition: {
          StringEquals: { 'aws:PrincipalTag/writ:agent': ['a', 'b'] },
          DateLessThan: { 'aws:TokenIssueTime': at },
        },
      },
      {
        Sid: 'WritIssuance',
        ...everyone,
        Condition: { StringEquals: { 'aws:PrincipalTag/writ:issuance': [issuance(1), issuance(2)] } },
      },
    ],
  })
  const whole = renderDeny([...kills, kill(5, 'role', '', START)], undefined, 0)
  t.same(JSON.parse(whole.document ?? ''), {
    Version: '2012-10-17',
    Statement: [{ Sid: 'WritRole', ...everyone, Condition: { DateLessThan: { 'aws:TokenIssueTime': at } } }],
  })
  t.equal(whole.widened.size, 0, 'what the role dies of anyway was not widened')
  t.equal(renderDeny([], undefined, 0).document, undefined)
  const middle = document(
    FOREIGN[0] ?? {},
    { Sid: 'WritRole', ...everyone },
    { Sid: 'WritX', ...everyone },
    FOREIGN[1] ?? {},
  )
  const sids = JSON.parse(renderDeny([kill(1, 'agent', 'a', START)], middle, 0).document ?? '').Statement
  t.same(
    sids.map(({ Sid }: { Sid?: string }) => Sid),
    ['TheirBoundary', 'WritAgent0', undefined],
    'in place',
  )
})

t.test('what does not fit becomes the earliest cutoff that does', async (t) => {
  const many = Array.from({ length: 1_000 }, (_, n) => kill(n, 'issuance', issuance(n), START + n))
  const { widened, widenedTo, document: text = '', fits } = renderDeny(many, undefined, 0)
  t.ok(fits && text.length <= INLINE_LIMIT)
  t.ok(text.length > INLINE_LIMIT - 40, 'no more than has to be')
  t.equal(widenedTo, new Date((START + widened.size - 1) * 1000).toISOString().replace('.000', ''))
  t.ok(widened.has(0) && !widened.has(999), 'the oldest first: whoever came later lives')
  const crowded = renderDeny(many, undefined, INLINE_LIMIT - 250)
  t.ok(crowded.fits)
  t.equal(crowded.widened.size, 1_000)
  t.equal(renderDeny(many, undefined, INLINE_LIMIT - 100).fits, false, 'and says so where nothing fits')
})

t.test('cutoffs are rounded up to whole seconds', async (t) => {
  const at = Date.parse('2026-03-01T12:00:01Z') / 1000
  t.equal(secondAfter('2026-03-01T12:00:01+00:00'), at)
  t.equal(secondAfter('2026-03-01T12:00:00.000001+00:00'), at)
  t.equal(secondAfter('2026-03-01T12:00:00.999999+00:00'), at)
  t.equal(secondAfter('2026-03-01T12:00:01.000000Z'), at)
})

t.test('sizes are counted as IAM does', async (t) => {
  t.equal(countedSize('{ "a":\n\t[ 1, 2 ] }'), 9 + 2)
  t.equal(countedSize('{"a b":"c \\" d"}'), 16)
})
