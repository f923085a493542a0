import t from 'tap'
import { activityOf } from '../../server/audit/review/activity.js'
import { createPool } from '../../server/db/pool.js'
import { instantsOf } from '../../server/http/console/spans.js'
import { FILTER_NAMES } from '../../web/pages/filters.js'
import { intentItem } from '../support/items.js'
import { testLedger } from '../support/ledger.js'
import { silent } from '../support/postgres.js'
import { livedBroker, startConsole } from './support.js'

t.setTimeout(110_000)

t.test('the history and its filters', async (t) => {
  const { broker, production, development, failed } = await livedBroker(t)
  const site = await startConsole(t, broker)
  const page = async (path: string, status = 200) => {
    const answer = await site.get(path)
    t.equal(answer.status, status, path)
    return await answer.text()
  }
  const listed = (text: string) => [...text.matchAll(/data-key="([0-9a-z]{12})"/g)].map(([, id]) => id)

  await t.test('everything, newest first, and nothing that an agent wrote as markup', async (t) => {
    const text = await page('/console/history')
    t.same(listed(text), [production, failed, development])
    t.notMatch(text, /<img|<script>alert/)
    t.match(text, /&lt;img src=x/)
    t.notMatch(text, /style="/)
  })

  await t.test('the frame comes before the database has answered, and says when it cannot', async (t) => {
    const admin = createPool({
      connectionString: broker.sql.superuserUrl,
      applicationName: 'test',
      log: silent,
      max: 1,
    })
    t.teardown(() => admin.end())
    let rest = ''
    const reader = await admin.transaction(async (client) => {
      await client.query('LOCK TABLE writ.outcome IN ACCESS EXCLUSIVE MODE')
      const answer = await site.get('/console/history')
      const body = answer.body?.getReader()
      const first = new TextDecoder().decode((await body?.read())?.value)
      t.match(first, /<h1>History<\/h1>/, 'while the lock is held')
      t.notMatch(first, /data-key/)
      return body
    })
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read())
      rest += new TextDecoder().decode(part.value)
    t.same(listed(rest), [production, failed, development])
    t.match(rest, /<\/html>$/)

    await admin.query('ALTER TABLE writ.outcome RENAME TO elsewhere')
    const broken = await page('/console/history')
    t.match(broken, /This cannot be shown at the moment/)
    t.match(broken, /<\/html>$/)
    await admin.query('ALTER TABLE writ.elsewhere RENAME TO outcome')
    t.match(await page('/console/history'), /data-key/, 'the next one is whole again')
  })

  await t.test('each filter of /v1/issuances', async (t) => {
    const { body } = await broker.call(
      'GET',
      `/v1/issuances/${production}`,
      await broker.operatorToken('carol'),
    )
    const { issuance } = body
    const values: Readonly<Record<(typeof FILTER_NAMES)[number], [value: string, ids: readonly string[]]>> = {
      agent: ['report-bot', []],
      environment: ['production', [production]],
      state: ['failed', [failed]],
      since: [issuance.at, [production]],
      until: [issuance.at, [failed, development]],
      human: ['nobody', []],
      tier: ['development', [development]],
      scope: ['orders:write', [production]],
      action: ['s3:PutObject', [production]],
      role: [issuance.role, [production]],
      grant: [issuance.grant, [production]],
      access_key: [issuance.access_key_id, [production]],
      network: ['127.0.0.0/8', [production, failed, development]],
      code: ['aws_refused', [failed]],
    }
    for (const name of FILTER_NAMES) {
      const [value, ids] = values[name]
      const text = await page(`/console/history?${new URLSearchParams({ [name]: value })}`)
      t.same(listed(text), ids, name)
      t.match(text, new RegExp(`name="${name}"`), 'and it stands in the form')
      t.match(text, /class="chip"/)
    }
  })

  await t.test('empty fields of a form leave the address', async (t) => {
    const answer = await site.get('/console/history?agent=&environment=production&since=')
    t.equal(answer.status, 303)
    t.equal(answer.headers.get('location'), '/console/history?environment=production')
  })

  await t.test(
    'a filter that cannot be is told in the page, and shows nothing as if it matched',
    async (t) => {
      for (const query of [
        'network=nowhere',
        'agnet=x',
        'since=yesterday',
        'agent=a&agent=b',
        'before=x',
        'over=1y',
      ]) {
        const text = await page(`/console/history?${query}`, 422)
        t.match(text, /request_invalid/, query)
        t.same(listed(text), [])
      }
    },
  )

  await t.test('without a match it says so', async (t) => {
    t.match(await page('/console/history?agent=report-bot'), /Nothing matches these filters/)
    t.match(await page('/console/history?before=1'), /Nothing older/)
  })
})

t.test('a stretch of the log that holds nothing is not the end of it', async (t) => {
  const { historyPage } = await import('../../web/pages/history.js')
  const common = {
    filter: { agent: 'a', environment: 'b' },
    over: undefined,
    known: { agents: [], environments: [], scopes: [] },
    now: new Date(),
    later: false,
    full: false,
    bars: [],
  }
  const { text } = historyPage({ ...common, items: [], next: '4711' })
  t.match(text, /Nothing found in this stretch/)
  t.match(text, /before=4711">Go on looking/)
  t.notMatch(historyPage({ ...common, items: [], next: null }).text, /Go on/)
})

t.test('columns of a chart are of a round width and few', async (t) => {
  const now = new Date('2026-01-31T10:20:00Z')
  const widths = (asked: Parameters<typeof instantsOf>[0]) => {
    const all = instantsOf(asked, now)
    t.ok(all.length <= 34 && all.length >= 2)
    return all
  }
  t.equal(widths({ over: '24h' })[1]?.toISOString(), '2026-01-30T11:00:00.000Z')
  t.equal(widths({ over: '30d' }).at(-1)?.toISOString(), now.toISOString())
  widths({ over: '24h', since: '1900-01-01T00:00:00Z' })
  widths({ over: '24h', since: '2026-01-31T10:19:59Z' })
  t.equal(widths({ over: '24h', since: '2027-01-31T10:19:59Z' }).length, 2, 'the future is one empty column')
})

t.test('counts over time are those of the record', async (t) => {
  const { append, broker } = await testLedger(t)
  const before = new Date()
  const denial = {
    op: 'denial' as const,
    kind: 'issuance.denied' as const,
    fields: { code: 'scope_unknown' },
    payload: {},
  }
  const read = { role_arn: 'arn:aws:iam::111122223333:role/writ/orders-coder-read', scopes: ['orders:read'] }
  for (let n = 0; n < 4; n++) {
    await append(
      ...Array.from({ length: 100 }, (_, k) =>
        intentItem({ ...read, agent: k % 4 === 0 ? 'seldom' : 'orders-coder' }),
      ),
      { ...denial, key: `k${n}` },
    )
  }
  const [half] = await broker.query<{ at: Date }>(
    'SELECT at FROM writ.log_batch ORDER BY batch_no OFFSET 2 LIMIT 1',
  )
  const instants = [
    new Date(before.getTime() - 60_000),
    before,
    half?.at ?? before,
    new Date(Date.now() + 1_000),
  ]
  t.match(await activityOf(broker, {}, instants), [
    { issuances: 0, denials: 0, counted: 'exactly' },
    { issuances: 200, denials: 2, counted: 'exactly' },
    { issuances: 200, denials: 2, counted: 'exactly' },
  ])
  t.match(await activityOf(broker, { agent: 'seldom' }, instants), [
    { issuances: 0, denials: null, counted: 'exactly' },
    { issuances: 50, denials: null, counted: 'exactly' },
    { issuances: 50, denials: null, counted: 'exactly' },
  ])
  t.match(await activityOf(broker, { agent: 'nobody' }, instants), [
    { issuances: 0 },
    { issuances: 0 },
    { issuances: 0 },
  ])
})
