import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type AppendItem, denialKey } from '../../server/audit/items.js'
import { createRecorder } from '../../server/audit/recorder.js'
import { appendTo } from '../../server/audit/store.js'
import { buildBroker } from '../../server/build.js'
import { readConfig } from '../../server/config.js'
import { createPool } from '../../server/db/pool.js'
import { eventStream } from '../../server/http/event-stream.js'
import { PER_OPERATOR, PER_REPLICA } from '../../server/http/stream-routes.js'
import { createLog } from '../../server/log.js'
import { packageRoot } from '../../server/paths.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'
import { createParser, type OpenStream, openStream, refusalOf, take } from '../support/event-source.js'
import { silent } from '../support/postgres.js'

let denials = 0

/** Told apart by kind, agent and environment. */
const item = {
  loaded: (text = 'sha256:policy'): AppendItem => ({
    op: 'event',
    kind: 'policy.loaded',
    payload: { policy_digest: text, problems: 0 },
  }),
  rejected: (): AppendItem => ({
    op: 'event',
    kind: 'policy.rejected',
    payload: { policy_digest: 'sha256:policy', problems: 1 },
  }),
  refused: (agent: string, environment: string): AppendItem => ({
    op: 'denial',
    kind: 'operator.refused',
    key: denialKey(denials++),
    fields: { agent, environment, code: 'operator_role' },
    payload: { issuer: 'https://issuer.example.com' },
    personal: { subject: 'somebody', source_ip: '192.0.2.1' },
    seen: { source_ip: '192.0.2.1' },
  }),
}

const append = (broker: TestBroker, ...items: AppendItem[]) => appendTo(broker.database)(items)

async function asAdmin(broker: TestBroker, ...statements: readonly string[]): Promise<void> {
  const admin = createPool({
    connectionString: broker.sql.superuserUrl,
    applicationName: 'test',
    log: silent,
    max: 1,
  })
  try {
    await admin.query(statements.join(';'))
  } finally {
    await admin.end()
  }
}

const logOf = (broker: TestBroker) =>
  broker.database
    .query<{ index: number; kind: string; leaf: string }>(
      `SELECT idx::integer AS index, kind, encode(leaf_hash, 'hex') AS leaf FROM writ.entry ORDER BY idx`,
    )
    .then((rows) =>
      rows.map(({ index, kind, leaf }) => ({ index, kind, id: `${index}.${leaf.slice(0, 16)}` })),
    )

/** Reads to the end, which the server makes. */
async function rest(stream: OpenStream) {
  const events = []
  for await (const event of stream.events) events.push(event)
  return events
}

/** The example policies, and operators with the role security, as many as asked for. */
async function policiesWith(t: Test, count: number): Promise<{ folder: string; names: readonly string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-stream-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await cp(join(packageRoot(), 'policies'), folder, { recursive: true })
  const carol = await readFile(join(folder, 'operators/carol.yaml'), 'utf8')
  const names = Array.from({ length: count }, (_, i) => `reader-${i}`)
  for (const name of names) {
    await writeFile(join(folder, `operators/${name}.yaml`), carol.replaceAll('carol', name))
  }
  return { folder, names }
}

/** A second broker as in production: the same database, published log and issuers. */
async function replicaOf(
  t: Test,
  { dataDir, sql }: TestBroker,
): Promise<Pick<TestBroker, 'url' | 'database'>> {
  const config = readConfig({ WRIT_MODE: 'local', WRIT_PORT: '0', WRIT_DATA_DIR: dataDir })
  const log = createLog('silent')
  const { app, database, close } = await buildBroker(config, log, { databaseUrl: sql.brokerUrl })
  t.teardown(close)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, database }
}

t.test('a stream begins now, says where that is, and tells what comes', async (t) => {
  const broker = await startTestBroker(t)
  const carol = await broker.operatorToken('carol')
  const stream = await openStream(broker.url, carol)
  t.match(stream, { status: 200 })
  t.match(stream.response.headers, {
    'content-type': /^text\/event-stream/,
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-content-type-options': 'nosniff',
    'x-request-id': /./,
  })
  const [first] = await logOf(broker)
  const head = (await logOf(broker)).at(-1)
  const refused = await broker.call('POST', '/v1/credentials', await broker.agentToken('orders-coder'), {
    environment: 'nowhere',
    scopes: ['orders:read'],
    reason: 'a test',
  })
  t.equal(refused.status, 403)
  const [event] = await take(stream, 1)
  const log = await logOf(broker)
  t.equal(stream.retry(), 2000)
  t.match(event, { id: log.at(-1)?.id, event: 'issuance.denied' })
  t.match(event?.data, {
    index: (head?.index ?? 0) + 1,
    leaf_hash: new RegExp(`^${event?.id.split('.')[1]}[0-9a-f]{48}$`),
    body: { kind: 'issuance.denied', agent: 'orders-coder' },
    personal_data: 'shown',
  })
  t.notOk(Object.hasOwn(event?.data, 'personal'), 'nothing of people unless asked for')

  const whole = await openStream(broker.url, carol, { query: '?after=-1&personal=true' })
  const all = await take(whole, log.length)
  t.strictSame(
    all.map(({ id, event, data }) => ({ index: data.index, kind: event, id })),
    log,
  )
  t.match(all.at(-1)?.data.personal, { subject: 'agent:orders-coder', reason: 'a test' })
  t.equal(all[0]?.data.personal, null)
  const middle = await openStream(broker.url, carol, { query: `?after=0`, lastEventId: log[1]?.id ?? '' })
  t.match(await take(middle, 1), [{ id: log[2]?.id }], 'Last-Event-ID wins over the URL it was opened with')
  const second = await openStream(broker.url, carol, { query: `?after=${first?.id}` })
  t.match(await take(second, 1), [{ id: log[1]?.id }])

  stream.close()
  for (const one of [whole, middle, second]) one.close()
  const lines = () => broker.logged.filter((line) => line.includes('stream ended'))
  while (lines().length < 4) await append(broker, item.loaded())
  t.match(lines()[0], /"operator":"carol","why":"closed"/)
})

t.test('who is cut off before the first entry misses nothing', async (t) => {
  const broker = await startTestBroker(t)
  const carol = await broker.operatorToken('carol')
  const stream = await openStream(broker.url, carol)
  const [chunk] = (await stream.response.setEncoding('utf8').iterator().next()).value.split('\u0000')
  stream.close()
  const parser = createParser()
  t.strictSame([...parser.push(chunk)], [])
  const head = await logOf(broker)
  t.equal(parser.lastId(), head.at(-1)?.id)
  await append(broker, item.loaded(), item.rejected())
  const again = await openStream(broker.url, carol, { lastEventId: parser.lastId() })
  t.match(await take(again, 2), [{ event: 'policy.loaded' }, { event: 'policy.rejected' }])
  again.close()
})

t.test('over reconnects, replicas and broken connections nothing is lost or repeated', async (t) => {
  const one = await startTestBroker(t)
  const replicas = [one, await replicaOf(t, one)]
  const carol = await one.operatorToken('carol')
  const recorders = replicas.map((broker) => createRecorder(appendTo(broker.database)))
  let cuts = 0
  const plan = fc.record({
    appends: fc.array(
      fc.record({
        replica: fc.nat(1),
        count: fc.integer({ min: 1, max: 80 }),
        kill: fc.nat(3).map((n) => n === 0),
      }),
      { minLength: 5, maxLength: 25 },
    ),
    reads: fc.array(fc.record({ replica: fc.nat(1), events: fc.nat(60) }), { minLength: 3, maxLength: 12 }),
    filter: fc.constantFrom(
      { query: '', takes: () => true },
      {
        query: 'kind=policy.rejected&kind=operator.*',
        takes: (kind: string) => kind === 'policy.rejected' || kind.startsWith('operator.'),
      },
    ),
  })
  await fc.assert(
    fc.asyncProperty(plan, async ({ appends, reads, filter }) => {
      const before = (await logOf(one)).at(-1)?.id
      const write = async () => {
        for (const { replica, count, kill } of appends) {
          const bursts = Array.from({ length: count }, (_, i) =>
            // One that was under way when its connection broke may be in the log or not; the log decides.
            recorders[replica]
              ?.record(i % 3 === 0 ? item.rejected() : i % 3 === 1 ? item.loaded() : item.refused('a', 'b'))
              .catch(() => undefined),
          )
          if (kill) {
            await asAdmin(
              one,
              `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name = 'writ' AND datname = current_database()`,
            )
          }
          await Promise.all(bursts)
        }
        for (;;) {
          const [marker] = await append(one, item.rejected()).catch(() => [])
          if (marker?.status === 'ok') return marker.index
        }
      }
      const had: { index: number; kind: string; id: string }[] = []
      let last: number | undefined
      const writing = write().then((index) => {
        last = index
      })
      let lastId = before
      for (let i = 0; last === undefined || had.at(-1)?.index !== last; i++) {
        const { replica, events } = reads[i] ?? { replica: i % 2, events: Number.POSITIVE_INFINITY }
        const stream = await openStream(replicas[replica]?.url ?? '', carol, {
          query: `?${filter.query}`,
          ...(lastId === undefined ? {} : { lastEventId: lastId }),
        })
        // The database may have been away at that moment.
        if (stream.status !== 200) {
          stream.close()
          continue
        }
        for (let n = 0; n < events && (last === undefined || had.at(-1)?.index !== last); n++) {
          const { value, done } = await stream.events.next()
          if (done === true) throw new Error('the server ended a stream')
          had.push({ index: value.data.index, kind: value.event, id: value.id })
        }
        if (stream.lastId() !== '') lastId = stream.lastId()
        stream.close()
        cuts += 1
      }
      await writing
      const log = await logOf(one)
      const start = log.findIndex(({ id }) => id === before) + 1
      const expected = log
        .slice(start)
        .filter(({ index, kind }) => index <= (last ?? 0) && filter.takes(kind))
      if (JSON.stringify(had) !== JSON.stringify(expected)) {
        const at = expected.findIndex((entry, i) => entry.id !== had[i]?.id)
        throw new Error(`had ${had.length} of ${expected.length}, other from ${at} on`)
      }
    }),
    { numRuns: 5 },
  )
  t.ok(cuts > 12, `${cuts} reconnects`)
})

t.test('an id of another log is refused, and so is what is no id', async (t) => {
  const broker = await startTestBroker(t)
  const carol = await broker.operatorToken('carol')
  await append(broker, item.loaded(), item.loaded(), item.loaded())
  const log = await logOf(broker)
  const last = log.at(-1)
  const open = async (lastEventId: string) => refusalOf(await openStream(broker.url, carol, { lastEventId }))
  t.match(await open(`${last?.index}.0123456789abcdef`), {
    status: 409,
    body: { code: 'stream_position', detail: /is another one here/ },
  })
  t.match(await open('99999.0123456789abcdef'), {
    status: 409,
    body: { code: 'stream_position', detail: /There is no entry 99999/ },
  })
  t.match(await open('99999'), {
    status: 409,
    body: { code: 'stream_position', detail: /There is no entry 99999/ },
  })
  for (const id of ['x', '1.2', '-2', '-1.0123456789abcdef', `${last?.id}0`, '1e3', '1.0123456789ABCDEF']) {
    t.match(await open(id), { status: 422, body: { code: 'request_invalid' } }, id)
  }
  const query = async (text: string) => refusalOf(await openStream(broker.url, carol, { query: text }))
  for (const text of ['?after=x', '?kind=policy.load', '?kind=', '?agent=A', '?personal=maybe', '?kind=z*']) {
    t.match(await query(text), { status: 422, body: { code: 'request_invalid' } }, text)
  }

  const open1 = await openStream(broker.url, carol, {
    query: '?kind=policy.*',
    lastEventId: last?.id ?? '',
  })
  await append(broker, item.rejected())
  t.match(await take(open1, 1), [{ event: 'policy.rejected' }])
  const after = open1.lastId()
  await asAdmin(
    broker,
    'SET LOCAL session_replication_role = replica',
    `DELETE FROM writ.entry WHERE idx >= ${last?.index}`,
    `UPDATE writ.log_head SET size = ${last?.index}`,
  )
  t.strictSame(await rest(open1), [], 'restored under way: ended')
  t.strictSame(open1.comments, ['this is not the log you read from'])
  t.match(await open(after), { body: { code: 'stream_position', detail: /There is no entry/ } })
  await asAdmin(
    broker,
    'SET LOCAL session_replication_role = replica',
    'DELETE FROM writ.entry WHERE idx < 2',
  )
  t.match(await query('?after=-1'), {
    status: 410,
    body: { code: 'entries_archived', detail: /Entry 0 is not in the database any more.* at 2/ },
  })
})

t.test('only the security role, only with a token in date', async (t) => {
  const broker = await startTestBroker(t)
  const open = async (token?: string) => refusalOf(await openStream(broker.url, token))
  t.match(await open(), { status: 401, body: { code: 'token_missing' } })
  t.match(await open(await broker.agentToken('orders-coder')), { status: 401 })
  t.match(await open(await broker.operatorToken('alice')), { status: 403, body: { code: 'operator_role' } })
  t.match(await open(await broker.operatorToken('nobody')), {
    status: 403,
    body: { code: 'operator_unknown' },
  })

  const short = await broker.operatorToken('carol', { ttlSeconds: 2 })
  const stream = await openStream(broker.url, short, { query: '?kind=policy.*' })
  const long = await openStream(broker.url, await broker.operatorToken('carol'))
  t.strictSame(await rest(stream), [])
  t.strictSame(stream.comments, ['the token expired'])
  t.match(
    await open(short),
    { status: 401, body: { code: 'token_expired' } },
    'not even within the tolerance for clocks, where it would only be ended again',
  )
  await append(broker, item.rejected())
  t.match((await take(long, 1)).at(-1), { event: 'policy.rejected' }, 'the others go on')
  long.close()
})

t.test('a reader whom the policy no longer names is cut off, others go on', async (t) => {
  const { folder } = await policiesWith(t, 1)
  const broker = await startTestBroker(t, { policies: folder })
  const streams = await Promise.all(
    ['carol', 'reader-0'].map(async (name) => openStream(broker.url, await broker.operatorToken(name))),
  )
  const [carol, other] = streams
  if (carol === undefined || other === undefined) throw new Error('two were opened')
  const file = join(folder, 'operators/carol.yaml')
  await writeFile(file, (await readFile(file, 'utf8')).replace('roles: [security]', 'roles: [operator]'))
  const { lastProblem } = await broker.policy.reload()
  t.equal(lastProblem, undefined)
  await rest(carol)
  t.strictSame(carol.comments, ['the policy changed'])
  await append(broker, item.rejected())
  for (;;) {
    const [event] = await take(other, 1)
    if (event?.event === 'policy.rejected') break
  }
  t.strictSame(other.comments, [])
  other.close()
})

t.test('what is not asked for is passed over, and the place moves on', async (t) => {
  const broker = await startTestBroker(t)
  const carol = await broker.operatorToken('carol')
  await openStream(broker.url, carol).then((stream) => stream.close())
  const from = (await logOf(broker)).at(-1)?.id ?? ''
  await append(
    broker,
    item.refused('orders-coder', 'production'),
    item.refused('orders-coder', 'staging'),
    item.refused('report-bot', 'production'),
    item.loaded(),
    item.rejected(),
    item.refused('report-bot', 'production'),
  )
  const log = (await logOf(broker)).map(({ index }) => index).slice(-6)
  const [a, b, c, d, e, f] = log
  for (const [query, expected] of [
    ['', log],
    ['?kind=policy.loaded', [d]],
    ['?kind=policy.*', [d, e]],
    ['?kind=policy.loaded&kind=operator.refused', [a, b, c, d, f]],
    ['?agent=orders-coder', [a, b]],
    ['?agent=orders-coder&environment=production', [a]],
    ['?environment=production&kind=operator.*', [a, c, f]],
  ] as const) {
    const stream = await openStream(broker.url, carol, { query, lastEventId: from })
    const events = await take(stream, expected.length)
    t.strictSame(
      events.map(({ data }) => data.index),
      expected,
      query,
    )
    stream.close()
  }
  const nothing = await openStream(broker.url, carol, { query: '?kind=grant.revoked', lastEventId: from })
  const reading = nothing.events.next()
  const newest = (await logOf(broker)).at(-1)?.id
  while (nothing.lastId() !== newest) await append(broker).then(() => new Promise(setImmediate))
  nothing.close()
  t.notOk((await reading.catch(() => ({ value: undefined }))).value, 'an id alone is no event')
})

t.test('silence is broken by heartbeats, and passed-over entries by ids', async (t) => {
  const leaf = 'a'.repeat(64)
  const abort = new AbortController()
  let index = 0
  const stream = eventStream(
    async (at, _filter, waitMs, signal) => {
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      return { at: signal.aborted || index === 0 ? at : { index, leaf }, entries: [] }
    },
    { index: 0, leaf },
    { filter: { kinds: [] }, personal: false, heartbeatMs: 20, progressMs: 5 },
    abort.signal,
  )
  const next = async () => (await stream.next()).value
  t.equal(await next(), `retry: 2000\nid: 0.${leaf.slice(0, 16)}\n\n`)
  t.equal(await next(), ':\n\n')
  t.equal(await next(), ':\n\n')
  index = 7
  t.equal(await next(), `id: 7.${leaf.slice(0, 16)}\n\n`)
  t.equal(await next(), ':\n\n', 'told once')
  abort.abort('over')
  t.equal(await next(), ': over\n\n')
  t.equal((await stream.next()).done, true)
})

t.test('a line break in a column forges no event', async (t) => {
  const entry = {
    index: 1,
    kind: 'x\ndata: {}\n\nevent: y',
    agent: null,
    environment: null,
    leaf: 'b'.repeat(64),
    json: '{"index":1}',
    personal: 'null',
  }
  const stream = eventStream(
    async () => ({ at: { index: 1, leaf: entry.leaf }, entries: [entry] }),
    { index: 0 },
    { filter: { kinds: [] }, personal: true, heartbeatMs: 1000, progressMs: 1000 },
    new AbortController().signal,
  )
  await stream.next()
  const parser = createParser()
  const { value } = await stream.next()
  t.strictSame(
    [...parser.push(value ?? '')],
    [{ id: `1.${'b'.repeat(16)}`, event: 'unknown', data: { index: 1, personal: null } }],
  )
})

t.test('who does not read costs little and holds nobody up, not even a shutdown', async (t) => {
  const broker = await startTestBroker(t)
  const carol = await broker.operatorToken('carol')
  const large = 'x'.repeat(60_000)
  for (let n = 0; n < 10; n++) await append(broker, ...Array.from({ length: 40 }, () => item.loaded(large)))
  let rows = 0
  const query = broker.database.query.bind(broker.database)
  broker.database.query = async (...args) => {
    const found = await query(...args)
    if (args[0].includes('LEFT JOIN LATERAL')) rows += found.length
    return found as never
  }
  const stuck = await openStream(broker.url, carol, { query: '?after=-1' })
  stuck.response.pause()
  const reading = await openStream(broker.url, carol, { query: '?after=-1' })
  const size = (await logOf(broker)).length
  const had = await take(reading, size)
  t.strictSame(
    had.map(({ data }) => data.index),
    [...Array(size).keys()],
  )
  // Sockets take a few megabytes in; this is 24.
  t.ok(rows < 2 * size, `${rows} rows read for two readers of ${size}`)
  await append(broker, item.rejected())
  t.match(await take(reading, 1), [{ event: 'policy.rejected' }])
  reading.close()
  const late = await take(stuck, size + 1)
  t.strictSame(
    late.map(({ data }) => data.index),
    [...Array(size + 1).keys()],
    'and goes on where they stopped',
  )

  const stuckAgain = await openStream(broker.url, carol, { query: '?after=-1' })
  stuckAgain.response.pause()
  const ending = rest(stuck)
  const began = performance.now()
  await broker.app.close()
  const ms = performance.now() - began
  t.ok(ms < 1_000, `${Math.round(ms)} ms`)
  t.strictSame(await ending, [])
  t.strictSame(stuck.comments.at(-1), 'shutting down')
  await t.rejects(rest(stuckAgain), 'cut off in the middle')
})

t.test('streams are counted, for each operator and for all, until their connection is gone', async (t) => {
  const { folder, names } = await policiesWith(t, PER_REPLICA / PER_OPERATOR + 1)
  const broker = await startTestBroker(t, { policies: folder })
  const tokens = await Promise.all(names.map((name) => broker.operatorToken(name)))
  const [mine = '', ...others] = tokens
  const last = others.at(-1) ?? ''
  const openMany = (token: string) =>
    Promise.all(Array.from({ length: PER_OPERATOR }, () => openStream(broker.url, token)))
  // At once: the count is not looked at before something awaited and raised after it.
  const tries = await Promise.all(
    Array.from({ length: PER_OPERATOR + 5 }, () => openStream(broker.url, mine)),
  )
  const streams = tries.filter(({ status }) => status === 200)
  t.equal(streams.length, PER_OPERATOR)
  for (const one of tries.filter(({ status }) => status !== 200)) {
    const { status, body } = await refusalOf(one)
    t.match(
      { status, body },
      { status: 429, body: { code: 'streams_open', detail: /You have 10 streams open/ } },
    )
  }
  for (const token of others.slice(0, -1)) streams.push(...(await openMany(token)))
  t.equal(streams.filter(({ status }) => status === 200).length, PER_REPLICA)
  const full = await openStream(broker.url, last)
  t.match(await refusalOf(full), { status: 503, body: { code: 'record_busy', detail: /no stream left/ } })
  t.ok(full.response.headers['retry-after'])

  streams[0]?.close()
  const retry = async (token: string): Promise<OpenStream> => {
    const stream = await openStream(broker.url, token)
    if (stream.status === 200) return stream
    await refusalOf(stream)
    return retry(token)
  }
  const mineAgain = await retry(mine)
  t.equal(mineAgain.status, 200)
  // Given up before they are answered, and while they are: none stays on the count.
  mineAgain.close()
  for (let n = 0; n < 50; n++) {
    const abort = new AbortController()
    const asked = fetch(`${broker.url}/v1/events/stream`, {
      headers: { authorization: `Bearer ${mine}` },
      signal: abort.signal,
    })
    for (let turns = 0; turns < n % 10; turns++) await new Promise(setImmediate)
    abort.abort()
    await asked.catch(() => undefined)
  }
  streams.push(await retry(last))
  for (const stream of streams) stream.close()
})

t.test('an EventSource that is not ours reconnects by itself and has every entry once', async (t) => {
  // In the tree by way of tap; nothing of Writ needs it.
  const name = 'undici'
  const undici = await import(name).catch(() => undefined)
  if (undici?.EventSource === undefined) {
    t.comment('SKIPPED: undici is not installed')
    return
  }
  const broker = await startTestBroker(t)
  const tokens = [await broker.operatorToken('carol', { ttlSeconds: 2 }), await broker.operatorToken('carol')]
  const lastIds: (string | undefined)[] = []
  // biome-ignore lint/suspicious/noExplicitAny: a library without types here
  const withToken = (dispatch: any) => (options: any, handler: any) => {
    lastIds.push(options.headers['last-event-id'] ?? options.headers['Last-Event-ID'])
    const authorization = `Bearer ${tokens.shift()}`
    return dispatch({ ...options, headers: { ...options.headers, authorization } }, handler)
  }
  const dispatcher = new undici.Agent().compose(withToken)
  const source = new undici.EventSource(`${broker.url}/v1/events/stream?after=-1&kind=policy.*`, {
    dispatcher,
  })
  const had: { index: number; id: string }[] = []
  let opened = 0
  const done = new Promise<void>((resolve) => {
    source.onopen = () => {
      opened += 1
      append(broker, item.loaded(), item.loaded()).catch(t.error)
    }
    source.addEventListener('policy.loaded', (event: { data: string; lastEventId: string }) => {
      had.push({ index: JSON.parse(event.data).index, id: event.lastEventId })
      if (had.length === 4) resolve()
    })
  })
  await done
  source.close()
  await dispatcher.close?.()
  const log = (await logOf(broker)).filter(({ kind }) => kind === 'policy.loaded')
  t.strictSame(
    had,
    log.map(({ index, id }) => ({ index, id })),
  )
  t.equal(opened, 2)
  t.strictSame(lastIds, [undefined, log[1]?.id])
})
