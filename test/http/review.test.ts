import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ocsfEvent } from '../../server/audit/formats/ocsf/schema.js'
import { WritError } from '../../server/errors.js'
import { newId } from '../../server/issuance/id.js'
import { parseCsv } from '../audit/formats/parse-csv.js'
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../support/broker.js'

t.setTimeout(120_000)

const READ = {
  environment: 'development',
  scopes: ['orders:read'],
  reason: '=HYPERLINK("http://x.invalid")',
  ticket: '@T',
}

/** A broker with a little history: one issued and one refused, a grant and an issuance on it. */
async function withHistory(t: Test, options: TestBrokerOptions = {}) {
  const broker = await startTestBroker(t, options)
  const agent = await broker.agentToken('orders-coder')
  const carol = await broker.operatorToken('carol')
  const issued = await broker.call('POST', '/v1/credentials', agent, READ)
  await broker.call('POST', '/v1/credentials', agent, { ...READ, scopes: ['orders:purge'] })
  const wish = { environment: 'production', scopes: ['orders:write'], reason: 'order 7' }
  const granted = await broker.grant('bob', {
    agent: 'orders-coder',
    ...wish,
  })
  const onGrant = await broker.call('POST', '/v1/credentials', agent, wish)
  if (issued.status !== 200 || onGrant.status !== 200) throw new Error('no history')
  return {
    broker,
    agent,
    carol,
    issued: issued.body,
    onGrant: onGrant.body,
    grant: granted.body.grant_id as string,
  }
}

const textOf = async (broker: TestBroker, path: string, token: string) => {
  const response = await fetch(`${broker.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
  return {
    status: response.status,
    type: response.headers.get('content-type') ?? '',
    text: await response.text(),
  }
}

const query = (filter: object) => new URLSearchParams(filter as Record<string, string>).toString()

t.test('what really happened is found by each filter', async (t) => {
  const { broker, carol, issued, onGrant, grant } = await withHistory(t)
  const find = async (path: string, filter: object) => {
    const { status, body } = await broker.call('GET', `${path}?${query(filter)}`, carol)
    t.equal(status, 200, JSON.stringify(filter))
    return body.items as { issuance: string; body: { kind: string } }[]
  }
  const [{ at }] = (await broker.call('GET', '/v1/issuances?limit=1', carol)).body.items
  for (const [filter, ids] of [
    [{}, [onGrant.issuance, issued.issuance]],
    [{ environment: 'production' }, [onGrant.issuance]],
    [{ tier: 'development' }, [issued.issuance]],
    [{ scope: 'orders:write' }, [onGrant.issuance]],
    [{ action: 's3:putobject' }, [onGrant.issuance]],
    [{ action: 's3:GetObject', environment: 'development' }, [issued.issuance]],
    [{ role: issued.role }, [issued.issuance]],
    [{ grant }, [onGrant.issuance]],
    [{ access_key: issued.credentials.access_key_id }, [issued.issuance]],
    [{ network: '127.0.0.0/8', state: 'issued' }, [onGrant.issuance, issued.issuance]],
    [{ network: '127.0.0.1', agent: 'orders-coder', limit: '1' }, [onGrant.issuance]],
    [{ state: 'failed' }, []],
    [{ human: 'nobody' }, []],
    [{ since: at }, [onGrant.issuance]],
    [{ until: at }, [issued.issuance]],
    [{ since: '2999-01-01T00:00:00+02:00' }, []],
  ] as const) {
    t.strictSame(
      (await find('/v1/issuances', filter)).map(({ issuance }) => issuance),
      ids,
      JSON.stringify(filter),
    )
  }
  const about = { access_key: onGrant.credentials.access_key_id }
  t.strictSame(
    (await find('/v1/events', about)).map(({ body }) => body.kind),
    ['issuance.issued', 'issuance.intended'],
  )
  t.match(await find('/v1/events', { code: 'scope_unknown' }), [{ body: { kind: 'issuance.denied' } }])
  t.match(await broker.call('GET', '/v1/issuances?total=true&limit=1', carol), {
    body: { items: [{ tier: 'production' }], total: { count: 2, exact: true }, next: String },
  })

  for (const filter of [
    { agent: 'No Such!' },
    { tier: 'prod' },
    { scope: 'Orders' },
    { action: 's3' },
    { action: 's3:*' },
    { role: 'admin' },
    { state: 'done' },
    { grant: 'x' },
    { network: '192.0.2.0/33' },
    { network: '300.0.0.1' },
    { network: 'fe80::1%eth0' },
    { since: 'yesterday' },
    { until: '2026-01-01' },
    { human: 'a\u0000b' },
    { humn: 'ann' },
    { limit: '501' },
  ]) {
    for (const path of [
      '/v1/issuances',
      '/v1/events',
      '/v1/events/export?format=csv&',
      '/v1/issuances/export?format=csv&',
    ]) {
      const url = path.includes('?') ? `${path}${query(filter)}` : `${path}?${query(filter)}`
      t.match(await broker.call('GET', url, carol), { status: 422, body: { code: 'request_invalid' } }, url)
    }
  }
  t.match(await broker.call('GET', '/v1/issuances/export?format=ocsf', carol), { status: 422 })
  t.match(await broker.call('GET', '/v1/events/export', carol), { status: 422 })
})

t.test('exports in each format, recorded, and without personal data unless asked', async (t) => {
  const { broker, carol, issued } = await withHistory(t)
  const whole = await textOf(broker, '/v1/events/export?format=ndjson&agent=orders-coder', carol)
  t.match(whole.type, 'application/x-ndjson')
  const lines = whole.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  const indexes = lines.map(({ index }) => index as number)
  t.strictSame(
    indexes,
    [...indexes].sort((a, b) => a - b),
    'oldest first',
  )
  t.match(lines[0], { body: { kind: 'issuance.intended' }, personal: null, personal_data: 'withheld' })
  for (const format of ['ndjson', 'csv', 'ocsf']) {
    const { text } = await textOf(broker, `/v1/events/export?format=${format}`, carol)
    t.notMatch(text, /HYPERLINK|127\.0\.0\.1/, format)
    const personal = await textOf(broker, `/v1/events/export?format=${format}&personal=true`, carol)
    t.match(personal.text, /HYPERLINK/, format)
  }

  const csv = await textOf(broker, '/v1/issuances/export?format=csv&personal=true', carol)
  t.match(csv.type, 'text/csv; charset=utf-8')
  const [header = [], first = []] = parseCsv(csv.text)
  const row = Object.fromEntries(header.map((name, n) => [name, first[n]]))
  t.match(row, {
    issuance: issued.issuance,
    reason: `'${READ.reason}`,
    ticket: "'@T",
    access_key_id: issued.credentials.access_key_id,
    personal_data: 'shown',
  })
  t.match(
    (await textOf(broker, '/v1/issuances/export?format=ndjson', carol)).text
      .split('\n')
      .map((line) => line !== '' && JSON.parse(line)),
    [{ issuance: issued.issuance, reason: null, personal_data: 'withheld' }],
  )

  const ocsf = await textOf(broker, '/v1/events/export?format=ocsf&personal=true', carol)
  const events = ocsf.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  for (const event of events)
    t.equal(ocsfEvent.safeParse(event).error?.message, undefined, event.metadata.event_code)
  const minted = events.find((event) => event.metadata.event_code === 'issuance.issued')
  t.match(
    minted,
    { class_uid: 3003, privileges: ['orders:read'], session: { uid: issued.issuance } },
    'with what its intent said',
  )

  const { body } = await broker.call('GET', '/v1/events?kind=log.exported&limit=500', carol)
  const told = body.items.map((item: { body: object }) => item.body).reverse()
  t.match(told[0], {
    operator: 'carol',
    from: 0,
    to: Number,
    format: 'ndjson',
    personal_data: false,
    filters: ['agent'],
  })
  t.equal(told.length, 10, 'every one of them')
  t.match(told[2], { format: 'ndjson', personal_data: true, filters: undefined })
})

t.test('who may not, gets nothing, and it is not recorded as taken', async (t) => {
  const { broker, agent } = await withHistory(t)
  const bob = await broker.operatorToken('bob')
  for (const path of [
    '/v1/events',
    '/v1/issuances',
    '/v1/events/export?format=ndjson',
    '/v1/issuances/export?format=csv',
  ]) {
    t.match(await broker.call('GET', path, agent), { status: 401, body: { items: undefined } }, path)
    t.match(
      await broker.call('GET', path, bob),
      { status: 403, body: { code: 'operator_role', items: undefined } },
      path,
    )
    t.match(await broker.call('GET', path), { status: 401 }, path)
  }
  const carol = await broker.operatorToken('carol')
  t.strictSame((await broker.call('GET', '/v1/events?kind=log.exported', carol)).body.items, [])
})

t.test('a HEAD does not read the whole log', async (t) => {
  const { broker, carol } = await withHistory(t)
  for (const path of ['/v1/events/export?format=ndjson', '/v1/issuances/export?format=csv']) {
    const response = await fetch(`${broker.url}${path}`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${carol}` },
    })
    // There is no such route, and `export` is no id of an issuance.
    t.ok([404, 422].includes(response.status), `${path} ${response.status}`)
  }
})

t.test('an export that cannot be recorded does not leave', async (t) => {
  const { broker, carol } = await withHistory(t, {
    issue: (deps) => ({
      ...deps,
      record: async (item) => {
        if (item.op === 'event' && item.kind === 'log.exported')
          throw new WritError('record_unavailable', 'no')
        return deps.record(item)
      },
    }),
  })
  for (const path of ['/v1/events/export?format=ndjson', '/v1/issuances/export?format=csv']) {
    t.match(await broker.call('GET', path, carol), { status: 503, body: { code: 'record_unavailable' } })
  }
})

/** Enough that no buffer between the broker and a client takes it whole. */
async function long(broker: TestBroker): Promise<number> {
  const detail = 'x'.repeat(3_000)
  const pages = 40
  for (let page = 0; page < pages; page++) {
    const items = Array.from({ length: 250 }, () => ({
      op: 'denial',
      kind: 'issuance.denied',
      key: newId(),
      fields: { agent: 'orders-coder', environment: 'development', code: 'scope_unknown' },
      payload: { request: 'r', scopes: ['a'], policy_digest: 'd', issuer: 'i', detail },
    }))
    await broker.database.query('SELECT writ.append($1::jsonb)', [JSON.stringify(items)])
  }
  return (pages * 250) / 500
}

/** Opens an export and reads no more than its first bytes. */
async function stalled(broker: TestBroker, token: string): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${token}` }
  const asked = get(`${broker.url}/v1/events/export?format=ndjson`, { headers })
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  response.once('data', () => response.pause())
  await once(response, 'data')
  return response
}

/** Counts pages of rows that are fetched, as the database is asked for them. */
function counted(broker: TestBroker): () => number {
  let fetched = 0
  const { query } = broker.database
  broker.database.query = (text, ...rest) => {
    if (text.includes('leaf_hash')) fetched++
    return query(text, ...rest)
  }
  return () => fetched
}

/** Waits until nothing more is fetched. */
async function settled(count: () => number): Promise<number> {
  let before = -1
  for (let same = 0; same < 10; ) {
    same = count() === before ? same + 1 : 0
    before = count()
    await delay(20)
  }
  return before
}

t.test(
  'a client that stalls holds nothing, one that goes away ends it, and neither holds up the shutdown',
  async (t) => {
    const broker = await startTestBroker(t)
    const pages = await long(broker)
    const carol = await broker.operatorToken('carol')
    const count = counted(broker)

    const slow = await stalled(broker, carol)
    const fetched = await settled(count)
    t.ok(fetched < pages, `${fetched} of ${pages} pages are fetched for a reader who does not read`)
    // The checkpointer uses one now and then; one that is held would never come back.
    const held = () => broker.database.stats().total - broker.database.stats().idle
    while (held() > 0) await delay(5)

    slow.destroy()
    const other = await stalled(broker, carol)
    const both = await settled(count)
    t.ok(both < 2 * pages, 'nothing more is fetched for one that went away')

    const broken = once(other, 'error')
    other.resume()
    const closed = broker.app.close()
    t.match(await broken, [{ code: 'ECONNRESET' }], 'the reader sees that its copy is not whole')
    await closed
    t.ok(count() < 2 * pages)
  },
)
