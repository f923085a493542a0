import fc from 'fast-check'
import t from 'tap'
import { createFollower, type Follower, type LogReader } from '../../server/audit/follow.js'
import type { AppendItem } from '../../server/audit/items.js'
import {
  type FollowedEntry,
  type FollowFilter,
  type Position,
  positionAfter,
  readStretch,
} from '../../server/audit/stretch.js'
import { createPool, type Database } from '../../server/db/pool.js'
import { DatabaseError } from '../../server/db/pool-errors.js'
import { type Ledger, testLedger } from '../support/ledger.js'
import { silent } from '../support/postgres.js'

const EVERYTHING: FollowFilter = { kinds: [] }
const START: Position = { index: -1 }
const never = new AbortController().signal

const event = (n: number, change: Partial<Extract<AppendItem, { op: 'event' }>> = {}): AppendItem => ({
  op: 'event',
  kind: 'policy.loaded',
  payload: { n },
  ...change,
})

async function fill(ledger: Ledger, count: number, payload: object = {}): Promise<void> {
  for (let n = 0; n < count; n += 250) {
    const items = Array.from({ length: Math.min(250, count - n) }, (_, i) =>
      event(n + i, { payload: { n: n + i, ...payload } }),
    )
    await ledger.append(...items)
  }
}

/** As the database's administrator, whom no trigger holds. All at once. */
async function tamper({ superuserUrl }: Ledger, ...statements: readonly string[]): Promise<void> {
  const admin = createPool({ connectionString: superuserUrl, applicationName: 'test', log: silent, max: 1 })
  try {
    await admin.query(['SET LOCAL session_replication_role = replica', ...statements].join(';'))
  } finally {
    await admin.end()
  }
}

/** The same database, with what is asked of it counted. */
function counted(database: Database) {
  const counts = { queries: 0, now: 0, most: 0 }
  const query: Database['query'] = async (...args) => {
    counts.queries += 1
    counts.now += 1
    counts.most = Math.max(counts.most, counts.now)
    try {
      return await database.query(...args)
    } finally {
      counts.now -= 1
    }
  }
  return { database: { ...database, query }, counts }
}

/** Reads until `count` entries were had. */
async function read(
  follower: Follower,
  from: Position,
  count: number,
  filter = EVERYTHING,
): Promise<{ entries: readonly FollowedEntry[]; at: Position }> {
  const reader = follower.join(() => undefined)
  try {
    const entries: FollowedEntry[] = []
    let at = from
    while (entries.length < count) {
      const stretch = await reader.next(at, filter, 10_000, never)
      at = stretch.at
      entries.push(...stretch.entries)
    }
    return { entries, at }
  } finally {
    reader.leave()
  }
}

async function nextEntries(reader: LogReader, at: Position): Promise<readonly FollowedEntry[]> {
  const stretch = await reader.next(at, EVERYTHING, 10_000, never)
  return stretch.entries.length > 0 ? stretch.entries : nextEntries(reader, stretch.at)
}

const indexes = (entries: readonly FollowedEntry[]) => entries.map((entry) => entry.index)
const upTo = (end: number, from = 0) => Array.from({ length: end - from }, (_, i) => from + i)

t.test('whoever waits is told, whoever is behind reads pages, and both see the same', async (t) => {
  const ledger = await testLedger(t)
  const follower = createFollower({ database: ledger.broker, log: silent, everyMs: 2 })
  await fill(ledger, 600)
  const reader = follower.join(() => t.fail('nothing was lost'))
  t.teardown(reader.leave)
  const head = await reader.begin('head')
  t.match(head, { index: 599, leaf: /^[0-9a-f]{64}$/ })
  const waiting = Promise.all(
    upTo(5).map(async () => {
      let at = head
      const seen: number[] = []
      while (seen.length < 300) {
        const stretch = await reader.next(at, EVERYTHING, 10_000, never)
        at = stretch.at
        seen.push(...indexes(stretch.entries))
      }
      return seen
    }),
  )
  const behind = read(follower, await reader.begin({ index: -1 }), 900)
  await fill(ledger, 300)
  for (const seen of await waiting) t.strictSame(seen, upTo(900, 600))
  const { entries } = await behind
  t.strictSame(indexes(entries), upTo(900))
  const elsewhere = { index: 700, leaf: 'f'.repeat(64) }
  await t.rejects(reader.next(elsewhere, EVERYTHING, 1, never), { name: 'NotThisLog', why: 'other' })
  const [first] = entries
  const { index, leaf_hash, body, personal_data } = JSON.parse(first?.json ?? '')
  t.match(
    { index, leaf_hash, body, personal_data },
    { index: 0, leaf_hash: first?.leaf, body: { kind: 'policy.loaded', n: 0 }, personal_data: 'none' },
  )
})

t.test('an abort and the end of the wait come back without anything', async (t) => {
  const ledger = await testLedger(t)
  const follower = createFollower({ database: ledger.broker, log: silent, everyMs: 2 })
  const reader = follower.join(() => t.fail('nothing was lost'))
  t.teardown(reader.leave)
  const empty = await reader.begin('head')
  t.strictSame(empty, START, 'before the first entry')
  t.strictSame(await reader.next(empty, EVERYTHING, 1, never), { at: START, entries: [] })
  const abort = new AbortController()
  const waiting = reader.next(empty, EVERYTHING, 60_000, abort.signal)
  abort.abort()
  t.strictSame(await waiting, { at: START, entries: [] })
  t.strictSame(await reader.next(empty, EVERYTHING, 60_000, abort.signal), { at: START, entries: [] })
  await ledger.append(event(0))
  t.strictSame(indexes((await read(follower, START, 1)).entries), [0])
})

t.test('one query at a time for all who wait, none for nobody, two for all who catch up', async (t) => {
  const ledger = await testLedger(t)
  await fill(ledger, 700)
  const { database, counts } = counted(ledger.broker)
  const follower = createFollower({ database, log: silent, everyMs: 1 })
  const readers = upTo(50).map(() => follower.join(() => t.fail('nothing was lost')))
  // Until it follows, what comes is behind it.
  await fill(ledger, 1)
  await read(follower, { index: 699 }, 1)
  // The one that is under way may be the one that brings it.
  counts.most = counts.now
  const head = await positionAfter(ledger.broker, 'head')
  const waiting = readers.map((reader) => nextEntries(reader, head))
  await fill(ledger, 1)
  for (const entries of await Promise.all(waiting)) t.strictSame(indexes(entries), [701])
  t.equal(counts.most, 1, 'fifty who wait')

  counts.most = 0
  await Promise.all(upTo(20).map(() => read(follower, START, 702)))
  t.equal(counts.most, 3, 'twenty who catch up, beside the one that follows')

  for (const reader of readers) reader.leave()
  const round = () => ledger.append(event(0))
  // The last round may be under way.
  while (follower.kept() > 0) await round()
  const before = counts.queries
  for (const _ of upTo(30)) await round()
  t.equal(counts.queries, before, 'nobody')
})

t.test('what is kept in memory has a bound in entries and in characters', async (t) => {
  const ledger = await testLedger(t)
  const follower = createFollower({ database: ledger.broker, log: silent, everyMs: 1 })
  // Follows from here, and never asks for anything.
  const idle = follower.join(() => t.fail('nothing was lost'))
  t.teardown(idle.leave)
  const begin = await idle.begin('head')
  const reader = follower.join(() => t.fail('nothing was lost'))
  t.teardown(reader.leave)
  let at = begin
  let most = 0
  const readTo = async (index: number) => {
    while (at.index < index) {
      at = (await reader.next(at, EVERYTHING, 10_000, never)).at
      most = Math.max(most, follower.kept())
    }
  }
  await fill(ledger, 2_000)
  await readTo(1_999)
  t.ok(most > 256 && most <= 1_024, `${most} entries`)
  await fill(ledger, 250, { padding: 'x'.repeat(60_000) })
  await readTo(2_249)
  t.ok(follower.kept() <= 8_000_000 / 60_000, `${follower.kept()} large ones`)
  const { entries } = await read(follower, begin, 2_250)
  t.strictSame(indexes(entries), upTo(2_250), 'who was idle has lost nothing')
})

t.test('personal data that was erased is not in memory any more', async (t) => {
  const ledger = await testLedger(t)
  const follower = createFollower({ database: ledger.broker, log: silent, everyMs: 1 })
  const reader = follower.join(() => t.fail('nothing was lost'))
  t.teardown(reader.leave)
  const personal = { subject: 'somebody' }
  await ledger.append(event(0, { kind: 'operator.signed_in', personal }), event(1), event(2))
  const before = await read(follower, START, 3)
  t.match(JSON.parse(before.entries[0]?.personal ?? ''), personal)
  await ledger.append(event(3))
  await read(follower, before.at, 1)
  const [done] = await ledger.owner.query<{ answer: object }>('SELECT writ.redact($1::jsonb) AS answer', [
    JSON.stringify({ by: 'alice', why: 'case 1', subject: 'somebody' }),
  ])
  t.match(done?.answer, { status: 'ok', entries: 1 })
  await read(follower, { index: 3 }, 1)
  const after = await read(follower, START, 5)
  t.strictSame(
    after.entries.map((entry) => [entry.kind, entry.personal]),
    ['operator.signed_in', ...Array(3).fill('policy.loaded'), 'log.redacted'].map((kind) => [kind, 'null']),
  )
  t.match(JSON.parse(after.entries[0]?.json ?? ''), { personal_data: 'erased' })
})

const KINDS = ['policy.loaded', 'policy.rejected', 'operator.signed_in', 'log.exported'] as const
const AGENTS = ['orders-coder', 'report-bot', undefined]
const PLACES = ['production', 'staging', undefined]

t.test('filters mean the same on a page of the database and in memory', async (t) => {
  const ledger = await testLedger(t)
  const follower = createFollower({ database: ledger.broker, log: silent, everyMs: 1 })
  const reader = follower.join(() => t.fail('nothing was lost'))
  t.teardown(reader.leave)
  const begin = await reader.begin('head')
  const oneItem = fc
    .record({
      kind: fc.constantFrom(...KINDS),
      agent: fc.constantFrom(...AGENTS),
      environment: fc.constantFrom(...PLACES),
    })
    .map(({ kind, agent, environment }) =>
      event(0, {
        kind,
        fields: { ...(agent && { agent }), ...(environment && { environment }) },
        ...(kind === 'operator.signed_in' ? { personal: { subject: 's' } } : {}),
      }),
    )
  const items = fc.sample(oneItem, 200)
  // Until it follows, entries that come are behind it.
  await ledger.append(...items.slice(0, 1))
  await read(follower, begin, 1)
  await ledger.append(...items.slice(1))
  await read(follower, begin, 200)
  const filters = fc.record({
    kinds: fc.array(fc.constantFrom(...KINDS, 'policy.*', 'p*', '*', 'policy.load', 'nothing.*'), {
      maxLength: 3,
    }),
    agent: fc.constantFrom(...AGENTS),
    environment: fc.constantFrom(...PLACES),
  })
  t.ok(follower.kept() >= 199)
  const inMemory = {
    index: 0,
    leaf: (await readStretch(ledger.broker, START, EVERYTHING)).entries[0]?.leaf ?? '',
  }
  let found = 0
  await fc.assert(
    fc.asyncProperty(filters, async (filter) => {
      const fromMemory = await reader.next(inMemory, filter, 10_000, never)
      const fromPage = await readStretch(ledger.broker, inMemory, filter)
      t.strictSame(fromMemory, fromPage)
      const expected = items.flatMap((item, index) => {
        if (index === 0 || item.op !== 'event') return []
        const kindFits = filter.kinds.some((kind) =>
          kind.endsWith('*') ? item.kind.startsWith(kind.replace('*', '')) : item.kind === kind,
        )
        const fits =
          (filter.kinds.length === 0 || kindFits) &&
          [undefined, item.fields?.agent].includes(filter.agent) &&
          [undefined, item.fields?.environment].includes(filter.environment)
        return fits ? [index] : []
      })
      found += expected.length
      return JSON.stringify(indexes(fromPage.entries)) === JSON.stringify(expected)
    }),
  )
  t.ok(found > 100)
})

t.test('a position is taken only in the log that it is of', async (t) => {
  const ledger = await testLedger(t)
  await fill(ledger, 10)
  const leafOf = async (index: number) =>
    (await readStretch(ledger.broker, START, EVERYTHING)).entries[index]?.leaf ?? ''
  const begin = (index: number, leaf?: string) =>
    positionAfter(ledger.broker, leaf === undefined ? { index } : { index, leaf })
  const leaf = await leafOf(4)
  t.strictSame(await begin(4, leaf.slice(0, 16)), { index: 4, leaf })
  t.strictSame(await begin(4), { index: 4, leaf }, 'without a hash to compare')
  await t.rejects(begin(4, 'f'.repeat(16)), { name: 'NotThisLog', why: 'other' })
  await t.rejects(begin(10), { name: 'NotThisLog', why: 'ahead' })
  await t.rejects(begin(10, leaf), { name: 'NotThisLog', why: 'ahead' })
  const other = { index: 4, leaf: 'f'.repeat(64) }
  await t.rejects(readStretch(ledger.broker, other, EVERYTHING), { name: 'NotThisLog', why: 'other' })
  await t.rejects(readStretch(ledger.broker, { index: 10, leaf }, EVERYTHING), {
    name: 'NotThisLog',
    why: 'ahead',
  })

  await tamper(ledger, 'DELETE FROM writ.entry WHERE idx <= 4')
  await t.rejects(
    begin(-1),
    { name: 'NotThisLog', why: 'missing', message: /the next that is begins at 5/ },
    'archived',
  )
  await t.rejects(begin(3), { name: 'NotThisLog', why: 'missing' })
  await t.rejects(
    begin(4, leaf.slice(0, 16)),
    { name: 'NotThisLog', why: 'missing' },
    'cannot be compared any more',
  )
  const at = await begin(4)
  t.strictSame(at, { index: 4 }, 'unless that is not asked for')
  t.strictSame(indexes((await readStretch(ledger.broker, at, EVERYTHING)).entries), upTo(10, 5))
  await t.rejects(readStretch(ledger.broker, START, EVERYTHING), { name: 'NotThisLog', why: 'missing' })

  await tamper(ledger, 'DELETE FROM writ.entry WHERE idx = 7')
  await t.rejects(readStretch(ledger.broker, at, EVERYTHING), {
    name: 'NotThisLog',
    why: 'missing',
    message: /Entry 7 /,
  })
  await t.rejects(begin(6), { name: 'NotThisLog', why: 'missing' })
  await t.rejects(
    readStretch(ledger.broker, at, { kinds: ['nothing'] }),
    { name: 'NotThisLog', why: 'missing' },
    'a filter does not hide a gap',
  )
  await tamper(ledger, 'DELETE FROM writ.entry')
  await t.rejects(begin(6), { name: 'NotThisLog', why: 'missing', message: /none that follows/ })
})

const INSERT = 'INSERT INTO writ.entry (idx, at, kind, body, leaf_hash, batch_no)'

for (const [what, ...statements] of [
  ['a restore', 'DELETE FROM writ.entry WHERE idx >= 5', 'UPDATE writ.log_head SET size = 5'],
  [
    'a rewrite',
    "UPDATE writ.entry SET leaf_hash = sha256('\\x00'::bytea || body || ' '), body = body || ' ' WHERE idx = 10",
  ],
  ['a gap', 'UPDATE writ.log_head SET size = 12'],
  [
    'an entry that cannot be read',
    `${INSERT} SELECT 11, now(), 'x', 'no JSON', sha256('\\x00'::bytea || 'no JSON'), 1`,
    'UPDATE writ.log_head SET size = 12',
  ],
] as const) {
  t.test(`${what} under way is told to all who follow`, async (t) => {
    const ledger = await testLedger(t)
    await fill(ledger, 10)
    const errors: object[] = []
    const log = { ...silent, error: (detail: object) => void errors.push(detail) }
    const follower = createFollower({ database: ledger.broker, log, everyMs: 1 })
    const lost = upTo(2).map(
      () =>
        new Promise<void>((resolve) => {
          const reader = follower.join(() => {
            reader.leave()
            resolve()
          })
        }),
    )
    await ledger.append(event(0))
    t.strictSame(indexes((await read(follower, { index: 9 }, 1)).entries), [10])
    await tamper(ledger, ...statements)
    await Promise.all(lost)
    t.equal(errors.length, 1)
  })
}

t.test('a database that is away now and then is waited for', async (t) => {
  const ledger = await testLedger(t)
  await fill(ledger, 1_000)
  let queries = 0
  const query: Database['query'] = async (...args) => {
    queries += 1
    if (queries % 3 === 2) throw new DatabaseError('away', { sqlState: '57P01', unavailable: true })
    return ledger.broker.query(...args)
  }
  const database = { ...ledger.broker, query }
  const follower = createFollower({ database, log: silent, everyMs: 1 })
  const reading = [read(follower, START, 1_200), read(follower, START, 1_200)]
  await fill(ledger, 200)
  for (const { entries } of await Promise.all(reading)) t.strictSame(indexes(entries), upTo(1_200))
})

t.test('connections that break under way cost nobody an entry', async (t) => {
  const ledger = await testLedger(t)
  const warnings: object[] = []
  const log = { ...silent, warn: (detail: object) => void warnings.push(detail) }
  const followed = createPool({
    connectionString: ledger.superuserUrl,
    applicationName: 'followed',
    log: silent,
    max: 4,
  })
  t.teardown(() => followed.end())
  const follower = createFollower({ database: followed, log, everyMs: 1 })
  const live = read(follower, START, 2_000)
  const filtered = read(follower, START, 1_000, { kinds: ['policy.rejected'] })
  for (let n = 0; n < 2_000; n += 50) {
    await ledger.append(
      ...upTo(50).map((i) => event(n + i, { kind: i % 2 === 0 ? 'policy.loaded' : 'policy.rejected' })),
    )
    await tamper(
      ledger,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'followed'`,
    )
  }
  t.strictSame(indexes((await live).entries), upTo(2_000))
  t.strictSame(
    indexes((await filtered).entries),
    upTo(2_000).filter((n) => n % 2 === 1),
  )
  t.ok(warnings.length > 0, 'and it did break')
})
