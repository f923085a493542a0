import t, { type Test } from 'tap'
import { type EventFilter, searchEvents, searchIssuances } from '../../../server/audit/review/filters.js'
import { listEvents, listIssuances } from '../../../server/audit/review/lists.js'
import { totalOf } from '../../../server/audit/review/totals.js'
import type { Database, Queryable } from '../../../server/db/pool.js'
import { type Ledger, testLedger } from '../../support/ledger.js'
import { ENTRIES, fill, OLD_ROLE, ROLE, SIZE } from './large.js'

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

/** A database that says what each statement really did. */
function watched(database: Database): { readonly database: Database; readonly work: Work } {
  const work: Work = { rows: 0, scans: new Set(), driving: new Set() }
  const watching = (on: Queryable): Queryable['query'] => {
    return async (text, values, options) => {
      if (/^SELECT|^WITH/.test(text)) {
        const [explained] = await on.query<{ 'QUERY PLAN': [{ Plan: Node }] }>(
          `EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) ${text}`,
          values,
        )
        count(work, explained?.['QUERY PLAN'][0].Plan as Node, text.includes(' AS driver'))
      }
      return on.query(text, values, options)
    }
  }
  return {
    work,
    database: {
      ...database,
      query: watching(database),
      transaction: (run) => database.transaction((client) => run({ query: watching(client) })),
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
  t.ok(work.rows < 32_000, `${work.rows} rows`)
  t.ok((first.next ?? SIZE) < SIZE / 1.5, 'and far')
  let { next } = first
  let pages = 1
  for (; next !== null; pages++) {
    const page = await listEvents(ledger.broker, never, { limit: 50, before: next })
    t.strictSame(page.items, [])
    t.ok(page.next === null || page.next < next, 'each is further back')
    next = page.next
  }
  t.ok(pages >= 2 && pages < 10, `${pages} pages`)
}

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
  await t.test('totals', (t) => totals(t, ledger))
})
