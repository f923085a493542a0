import fc from 'fast-check'
import t from 'tap'
import type { AppendItem, Verdict } from '../../server/audit/items.js'
import { createRecorder } from '../../server/audit/recorder.js'
import { DatabaseError } from '../../server/db/pool-errors.js'
import { newId } from '../../server/issuance/id.js'
import { failsWith } from '../support/fails.js'
import { intentItem, READ_ROLE } from '../support/items.js'
import { testLedger } from '../support/ledger.js'

const item = (n: number): AppendItem => ({ op: 'event', kind: 'policy.loaded', payload: { n } })
const numberOf = (one: AppendItem) => ('payload' in one ? Number(one.payload.n) : Number.NaN)
const ok = (one: AppendItem): Verdict => ({ status: 'ok', index: numberOf(one), at: '' })

t.test('what arrives during a commit goes into the next, in order, each with its own verdict', async (t) => {
  const batches: number[][] = []
  let release: () => void = () => undefined
  const recorder = createRecorder(async (items) => {
    batches.push(items.map(numberOf))
    if (batches.length === 1) await new Promise<void>((resolve) => (release = resolve))
    return items.map(ok)
  })
  const first = recorder.record(item(0))
  await new Promise(setImmediate)
  const later = Array.from({ length: 300 }, (_, i) => recorder.record(item(i + 1)))
  release()
  t.match(await first, { index: 0 })
  t.strictSame(
    (await Promise.all(later)).map((verdict) => verdict.status === 'ok' && verdict.index),
    [...Array(300).keys()].map((i) => i + 1),
  )
  t.strictSame(
    batches.map((batch) => batch.length),
    [1, 256, 44],
  )
  await recorder.drain()
  t.equal(recorder.depth(), 0)
})

t.test('an item that comes as the last flush ends is not left lying', async (t) => {
  const recorder = createRecorder(async (items) => items.map(ok))
  for (let i = 0; i < 100; i++) {
    await recorder.record(item(i))
    await Promise.all([recorder.record(item(i)), recorder.drain().then(() => recorder.record(item(i)))])
    for (let turns = 0; turns < i % 7; turns++) await Promise.resolve()
  }
  t.equal(recorder.depth(), 0)
})

t.test('one poisonous item fails alone', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.nat(40), { maxLength: 5 }),
      fc.integer({ min: 1, max: 40 }),
      async (poison, n) => {
        const committed: number[] = []
        const recorder = createRecorder(async (items) => {
          if (items.some((one) => poison.includes(numberOf(one)))) {
            throw new DatabaseError('poison', { sqlState: '22P05', unavailable: false })
          }
          committed.push(...items.map(numberOf))
          return items.map(ok)
        })
        const results = await Promise.allSettled(
          Array.from({ length: n }, (_, i) => recorder.record(item(i))),
        )
        const failed = results.flatMap((result, i) => (result.status === 'rejected' ? [i] : []))
        const wanted = poison.filter((one) => one < n).sort((a, b) => a - b)
        return (
          JSON.stringify(failed) === JSON.stringify(wanted) &&
          committed.length === n - wanted.length &&
          new Set(committed).size === committed.length
        )
      },
    ),
  )
  t.pass()
})

t.test('an unknown outcome is asked again by nobody', async (t) => {
  let calls = 0
  const recorder = createRecorder(async () => {
    calls++
    throw new DatabaseError('gone', { sqlState: '08006', unavailable: true })
  })
  const results = await Promise.allSettled([recorder.record(item(1)), recorder.record(item(2))])
  t.ok(results.every((result) => result.status === 'rejected' && result.reason.code === 'record_unavailable'))
  t.equal(calls, 1)
})

t.test('a stuck record sheds new work, never an outcome', async (t) => {
  let now = 0
  let release: () => void = () => undefined
  const recorder = createRecorder(
    async (items) => {
      await new Promise<void>((resolve) => (release = resolve))
      return items.map(ok)
    },
    () => now,
  )
  const first = recorder.record(item(0))
  await new Promise(setImmediate)
  const waiting = recorder.record(item(1))
  now = 2_001
  await t.rejects(recorder.record(item(2)), { code: 'record_busy', extra: { retryAfterSeconds: 2 } })
  const outcome = recorder.record({ op: 'outcome', issuance_id: 'x', state: 'failed', error_code: 'y' })
  release()
  await first
  await new Promise(setImmediate)
  release()
  t.match(await Promise.all([waiting, outcome]), [{ status: 'ok' }, { status: 'ok' }])
})

t.test(
  'on a real database: indexes without a gap, a chain that adds up, a retry that counts once',
  async (t) => {
    const { broker, owner, append } = await testLedger(t)
    const recorder = createRecorder((items) => append(...items))
    await Promise.all(Array.from({ length: 500 }, () => recorder.record(intentItem({ role_arn: READ_ROLE }))))
    const poison = intentItem({ role_arn: READ_ROLE, payload: { text: 'nul \u0000' } })
    const mixed = await Promise.allSettled([
      recorder.record(intentItem({ role_arn: READ_ROLE })),
      recorder.record(poison),
      recorder.record(intentItem({ role_arn: READ_ROLE })),
    ])
    t.strictSame(
      mixed.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )

    const [gaps] = await broker.query<{ n: string }>(
      'SELECT count(*) AS n FROM generate_series(0, (SELECT size - 1 FROM writ.log_head)) i LEFT JOIN writ.entry e ON e.idx = i WHERE e.idx IS NULL',
    )
    t.equal(Number(gaps?.n), 0)
    const [broken] = await owner.query<{ n: string }>(
      `WITH b AS (SELECT *, lag(chain, 1, sha256('\\x02')) OVER (ORDER BY batch_no) AS prev FROM writ.log_batch)
     SELECT count(*) AS n FROM b WHERE chain <> sha256('\\x02'::bytea || prev || int8send(first_idx + entries)
       || int4send(entries) || (SELECT string_agg(leaf_hash, ''::bytea ORDER BY idx) FROM writ.entry e WHERE e.batch_no = b.batch_no))`,
    )
    t.equal(Number(broken?.n), 0)

    const once = intentItem({ role_arn: READ_ROLE, issuance_id: newId() })
    const [one] = await append(once)
    const [two] = await append(once)
    t.strictSame(two, { ...one, grant_use: null }, 'the stored verdict')
    await failsWith(t, append({ ...once, payload: { other: true } }), 'WR006', 'an id is for one request')
  },
)

t.test('items of one batch that tell of each other see each other', async (t) => {
  const { append, broker, grant } = await testLedger(t)
  const grant_id = await grant({ max_uses: 1 })
  const one = intentItem({ grant_id })
  const { issuance_id } = one
  const issued = {
    op: 'outcome',
    issuance_id,
    state: 'issued',
    access_key_id: 'ASIAONE',
    expires_at: '2999-01-01T00:00:00Z',
  } as const
  const delivery = { op: 'delivery', issuance_id, agent: 'orders-coder', payload: {} } as const
  const verdicts = await append(
    one,
    one,
    intentItem({ grant_id }),
    issued,
    { ...issued, access_key_id: 'ASIAOTHER' },
    delivery,
    intentItem({ role_arn: READ_ROLE }),
    issued,
  )
  t.match(verdicts, [
    { status: 'ok' },
    { status: 'ok' },
    { status: 'refused', code: 'grant_used_up' },
    { status: 'ok' },
    { status: 'refused', code: 'outcome_conflict' },
    { status: 'ok' },
    { status: 'ok' },
    { status: 'ok' },
  ])
  t.strictSame(verdicts[1], verdicts[0], 'the retry got the verdict of its first try')
  t.strictSame(verdicts[7], verdicts[3])
  const rows = await broker.query<{ idx: string; kind: string }>(
    'SELECT idx, kind FROM writ.entry WHERE batch_no = (SELECT max(batch_no) FROM writ.entry) ORDER BY idx',
  )
  t.strictSame(
    rows.map(({ kind }) => kind),
    ['issuance.intended', 'issuance.denied', 'issuance.issued', 'issuance.delivered', 'issuance.intended'],
  )
  t.strictSame(
    rows.map(({ idx }) => Number(idx) - Number(rows[0]?.idx)),
    [0, 1, 2, 3, 4],
    'no index is left out',
  )
})
