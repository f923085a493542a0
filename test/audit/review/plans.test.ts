import pg from 'pg'
import t, { type Test } from 'tap'
import { type EventFilter, searchEvents, searchIssuances } from '../../../server/audit/review/filters.js'
import { listEvents, listIssuances } from '../../../server/audit/review/lists.js'
import { walk } from '../../../server/audit/review/search.js'
import { totalOf } from '../../../server/audit/review/totals.js'
import type { Database, Queryable } from '../../../server/db/pool.js'
import { type Ledger, testLedger } from '../../support/ledger.js'
import { ENTRIES, EVERY, fill, OLD_ROLE, ROLE, SIZE } from './large.js'

t.setTimeout(120_000)

const COMMON = {
  agent: 'even',
  environment: 'staging',
  tier: 'staging',
  scope: 'orders:read',
  state: 'issued',
} as const
const OLD = {
  agent: 'old',
  environment: 'past',
  tier: 'sandbox',
  scope: 'old:scope',
  state: 'failed',
} as const

/** One filter each, of which the first is on nearly every entry and the last only on the oldest. */
const SINGLE: readonly EventFilter[] = [
  {},
  ...Object.entries({
    ...COMMON,
    human: 'odd-human',
    role: ROLE,
    action: 's3:PutObject',
    network: '192.0.2.7',
  }),
  ...Object.entries({
    ...OLD,
    human: 'old',
    role: OLD_ROLE,
    action: 'ec2:OldThing',
    network: '198.51.100.1',
  }),
  ...Object.entries({
    network: '198.51.100.0/24',
    code: 'aws_refused',
    state: 'intended',
    until: '2026-01-01T00:10:00Z',
  }),
  ...Object.entries({
    agent: 'nobody',
    human: 'nobody',
    network: '203.0.113.9',
    access_key: 'ASIA000000000003',
  }),
].map((pair) => (Array.isArray(pair) ? Object.fromEntries([pair]) : pair))
const EVENTS_ONLY: readonly EventFilter[] = [
  { kind: 'issuance.denied' },
  { kind: 'webhook.disabled' },
  { operator: 'once' },
  { code: 'old' },
  { issuance: '000000000003' },
]
const TOGETHER: readonly EventFilter[] = [
  { agent: 'even', environment: 'staging' },
  { agent: 'old', state: 'failed', tier: 'sandbox' },
  { agent: 'even', human: 'old' },
  { environment: 'staging', scope: 'old:scope' },
  { tier: 'staging', code: 'old' },
  { environment: 'staging', network: '192.0.2.0/24', since: '2026-01-01T00:00:00Z' },
]

interface Node {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Node[]
}

const nodes = (node: Node): readonly Node[] => [node, ...(node.Plans ?? []).flatMap(nodes)]

interface Work {
  /** Rows of the record that were read, kept or not. */
  rows: number
  readonly scans: Set<string>
  /** What the statements that look for candidates read by. */
  readonly driving: Set<string>
}

type Explained = { 'QUERY PLAN': [{ Plan: Node }] }
const EXPLAIN = 'EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF)'

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (value instanceof Date) return pg.escapeLiteral(value.toISOString())
  return pg.escapeLiteral(
    Array.isArray(value) ? `{${value.map((one) => JSON.stringify(one)).join()}}` : String(value),
  )
}

/** What a prepared statement does once its plan is made for any values. A plan needs its literals in the text. */
async function explainPrepared(on: Queryable, text: string, values: readonly unknown[]) {
  await on.query(`SET LOCAL plan_cache_mode = force_generic_plan; PREPARE watched AS ${text}`)
  const given = values.length === 0 ? '' : `(${values.map(literal).join()})`
  const [explained] = await on.query<Explained>(`${EXPLAIN} EXECUTE watched${given}`)
  await on.query('DEALLOCATE watched')
  return explained
}

/** A database that says what each statement really did: planned for its values, and for any. */
function watched(database: Database): { readonly database: Database; readonly work: Work } {
  const work: Work = { rows: 0, scans: new Set(), driving: new Set() }
  const watching = (on: Queryable, inTransaction: Database['transaction']): Queryable['query'] => {
    return async (text, values = [], options) => {
      if (/^SELECT|^WITH/.test(text)) {
        const [custom] = await on.query<Explained>(`${EXPLAIN} ${text}`, values)
        const generic = await inTransaction((client) => explainPrepared(client, text, values))
        const before = work.rows
        const rows = [custom, generic].map((one) => {
          work.rows = 0
          if (one !== undefined) count(work, one['QUERY PLAN'][0].Plan, text.includes(' AS driver'))
          return work.rows
        })
        work.rows = before + Math.max(...rows)
      }
      return on.query(text, values, options)
    }
  }
  return {
    work,
    database: {
      ...database,
      query: watching(database, database.transaction),
      transaction: (run) =>
        database.transaction((client) => run({ query: watching(client, async (then) => then(client)) })),
    },
  }
}

function count(work: Work, plan: Node, driving: boolean): void {
  for (const node of nodes(plan).filter((one) => one['Actual Loops'] > 0)) {
    const relation = node['Relation Name'] ?? ''
    if (!/^(entry|intent|outcome)/.test(relation) && node['Index Name'] === undefined) continue
    work.rows += (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']
    if (node['Node Type'] === 'Seq Scan') work.scans.add(relation)
    if (driving) work.driving.add(node['Index Name'] ?? relation)
  }
}

/** Both ends of what a filter finds, and what finding them took. */
async function cheap(
  t: Test,
  { broker }: Ledger,
  list: typeof listEvents | typeof listIssuances,
  filter: EventFilter,
) {
  const found = Object.keys(filter).filter((key) => key !== 'until')
  const oneStep = found.length === 1 && filter.state !== 'intended'
  const name = `${list.name} ${JSON.stringify(filter)}`
  for (const before of [undefined, 40_000]) {
    const { database, work } = watched(broker)
    const { items } = await list(database, filter, { limit: 50, before })
    t.strictSame([...work.scans], [], `${name} before ${before}: no scan of a whole table`)
    t.ok(work.rows < 4_000, `${name} before ${before}: ${items.length} found by reading ${work.rows} rows`)
    // Of what is left of a short stretch the planner may well read all.
    if (before === undefined && oneStep) {
      const keys = [...work.driving].filter((index) => /^(entry_\d+_pkey|intent_entry_idx_key)$/.test(index))
      t.strictSame(keys, [], `${name}: nothing walks the primary key`)
    }
  }
}

async function endsEarly(t: Test, ledger: Ledger): Promise<void> {
  const never = { agent: 'even', human: 'even-human' }
  const { database, work } = watched(ledger.broker)
  const first = await listEvents(database, never, { limit: 50 })
  t.match(first, { items: [], next: Number })
  // A page has fifty milliseconds at ten million entries, and a candidate takes some ten microseconds: it looks at
  // 1,500 before it gives up, which here are every second entry, and at twice as many at most.
  t.ok(work.rows < 10_000, `${work.rows} rows`)
  t.ok((first.next ?? SIZE) <= SIZE - 1_500 * 2 * EVERY, `as far as ${first.next}`)
  let { next } = first
  let pages = 1
  for (; next !== null; pages++) {
    const page = await listEvents(ledger.broker, never, { limit: 50, before: next })
    t.strictSame(page.items, [])
    t.ok(page.next === null || page.next < next, 'each is further back')
    next = page.next
  }
  t.ok(pages >= 2 && pages <= ENTRIES / 2 / 1_500, `${pages} pages`)
}

/** A block of sixteen addresses is followed stream by stream, stretch by stretch of the log. */
async function manyStreams(t: Test, { broker }: Ledger): Promise<void> {
  const expected = Array.from({ length: ENTRIES }, (_, n) => n)
    .filter((n) => n >= ENTRIES / 50 && n % 200 < 16)
    .map((n) => n * EVERY)
  const search = await searchEvents(broker, { network: '192.0.2.0/28' })
  const up: number[] = []
  for await (const { found } of walk(broker, search, 'asc', 500)) up.push(...found)
  t.ok(sameIndexes(up, expected), `upwards: ${up.length} of ${expected.length}`)
  const down: number[] = []
  let pages = 0
  for (let before: number | null = SIZE; before !== null; pages++) {
    const page: Listed = await listEvents(broker, { network: '192.0.2.0/28' }, { limit: 2_000, before })
    down.push(...page.items.map(({ index }) => index))
    before = page.next
  }
  t.ok(sameIndexes(down.reverse(), expected), `downwards: ${down.length} of ${expected.length}`)
  t.ok(pages <= 5, `${pages} pages`)
}

type Listed = Awaited<ReturnType<typeof listEvents>>
const sameIndexes = (a: readonly number[], b: readonly number[]) => a.join() === b.join()

async function totals(t: Test, ledger: Ledger): Promise<void> {
  const events = async (filter: EventFilter) =>
    totalOf(ledger.broker, await searchEvents(ledger.broker, filter))
  const issuances = async (filter: EventFilter) =>
    totalOf(ledger.broker, await searchIssuances(ledger.broker, filter))
  t.strictSame(await events({ agent: 'old' }), { count: ENTRIES / 50, exact: true })
  t.strictSame(await issuances({ agent: 'old' }), { count: ENTRIES / 150, exact: true })
  t.strictSame(await issuances({ agent: 'even', human: 'odd-human' }), { count: 9_800, exact: true })
  t.strictSame(await events({ agent: 'nobody' }), { count: 0, exact: true })
  t.strictSame(await events({ agent: 'even', code: 'old' }), { count: 0, exact: true })
  t.strictSame(await events({ scope: 'no:such' }), { count: 0, exact: true })
  // What has no driver of its own, too many addresses or sets or issuances, is a condition all the same.
  t.strictSame(await events({ agent: 'old', network: '192.0.2.0/24' }), { count: 0, exact: true })
  t.strictSame(await events({ agent: 'old', scope: 'many:sets' }), { count: 0, exact: true })
  t.strictSame(await events({ role: OLD_ROLE }), { count: (ENTRIES / 150) * 2, exact: true })
  t.strictSame(await events({ role: ROLE, environment: 'past' }), { count: 0, exact: true })
  for (const [filter, real] of [
    [{}, ENTRIES],
    [{ agent: 'even' }, 0.49 * ENTRIES],
    [{ network: '192.0.2.0/24' }, 0.98 * ENTRIES],
  ] as const) {
    const { count, exact } = await events(filter)
    t.equal(exact, false, JSON.stringify(filter))
    t.ok(count > 10_000 && count > real / 2 && count < real * 2, `about ${count} of ${real}`)
  }
}

t.test('a page costs the same wherever it lies, however rare or long ago what it holds is', async (t) => {
  const ledger = await testLedger(t)
  // Statistics come when the test says so.
  await fill(ledger)
  for (const statistics of ['without', 'with'] as const) {
    if (statistics === 'with') await ledger.owner.query('ANALYZE')
    await t.test(`${statistics} statistics`, async (t) => {
      for (const filter of [...SINGLE, ...EVENTS_ONLY]) {
        await cheap(t, ledger, listEvents, filter)
      }
      if (statistics === 'without') return
      for (const filter of SINGLE) await cheap(t, ledger, listIssuances, filter)
      for (const filter of TOGETHER) await cheap(t, ledger, listEvents, filter)
    })
  }
  await t.test('filters that are common each and never meet end a page early, and the pages do end', (t) =>
    endsEarly(t, ledger),
  )
  await t.test('a merge of many streams misses and repeats nothing', (t) => manyStreams(t, ledger))
  await t.test('totals', (t) => totals(t, ledger))
})
