import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { type AlarmParts, startAlarms } from '../../server/alarms/start.js'
import { type AlarmStore, alarmStore, type Raised } from '../../server/alarms/store.js'
import { bodyProblem } from '../../server/audit/bodies/registry.js'
import { type DenialItem, denialKey } from '../../server/audit/items.js'
import { createRecorder } from '../../server/audit/recorder.js'
import { migrate } from '../../server/db/migrate.js'
import { createPool, type Database } from '../../server/db/pool.js'
import { newId } from '../../server/issuance/id.js'
import { MIGRATIONS } from '../../server/wiring/database.js'
import { intentItem, READ_ROLE, ROLES } from '../support/items.js'
import { type Ledger, testLedger } from '../support/ledger.js'
import { silent, testDatabase } from '../support/postgres.js'

const FROM = '203.0.113.7'

/** An issuance that asks from an address, and what came of it. */
function issuance(ip = FROM, agent = 'orders-coder') {
  const id = newId()
  const expires_at = new Date(Date.now() + 600_000).toISOString()
  const personal = {
    subject: `canary-subject-${agent}`,
    source_ip: ip,
    reason: 'canary-reason',
    human: 'canary-human',
  }
  return [
    intentItem({
      issuance_id: id,
      agent,
      role_arn: READ_ROLE,
      personal,
      seen: { source_ip: ip, scopes: ['orders:read'], actions: ['s3:GetObject'] },
    }),
    {
      op: 'outcome',
      issuance_id: id,
      state: 'issued',
      access_key_id: `ASIA${id}`,
      expires_at,
      seen: { human: 'canary-human' },
    },
  ] as const
}

function denial(n: number, code = 'scope_unknown', agent = 'orders-coder'): DenialItem {
  return {
    op: 'denial',
    kind: 'issuance.denied',
    key: denialKey(agent, code, n),
    fields: { agent, environment: 'production', tier: 'production', code },
    payload: {
      request: 'r',
      scopes: ['x'],
      policy_digest: 'sha256:policy',
      issuer: 'https://issuer.example.com',
    },
    personal: { subject: `canary-subject-${agent}`, source_ip: FROM, reason: 'canary-reason' },
    seen: { source_ip: FROM },
  }
}

interface Entry {
  readonly idx: number
  readonly human: string | null
  readonly source_ip: string | null
  readonly body: Record<string, unknown>
  readonly personal: Record<string, unknown> | null
}

async function alarmsIn(database: Database): Promise<readonly Entry[]> {
  const rows = await database.query<
    Omit<Entry, 'idx' | 'body'> & { idx: string; body: string; personal: string }
  >(
    `SELECT idx, human, host(source_ip) AS source_ip, convert_from(body, 'UTF8') AS body, convert_from(personal, 'UTF8') AS personal
     FROM writ.entry WHERE kind = 'alarm.raised' ORDER BY idx`,
  )
  return rows.map(({ idx, body, personal, ...rest }) => ({
    ...rest,
    idx: Number(idx),
    body: JSON.parse(body),
    personal: personal === null ? null : JSON.parse(personal),
  }))
}

const names = async (database: Database) => (await alarmsIn(database)).map(({ body }) => body.alarm)

/** Replicas on one database that look only when told. */
function replicas(t: Test, { broker }: Pick<Ledger, 'broker'>) {
  const raised: Raised[] = []
  const logged: string[] = []
  const log = {
    ...silent,
    warn: (detail: object, message: string) => void logged.push(JSON.stringify({ ...detail, message })),
    error: (detail: object, message: string) => void logged.push(JSON.stringify({ ...detail, message })),
  }
  const replica = (
    parts: Partial<AlarmParts> = {},
    change: { origin?: string; trusted?: () => boolean } = {},
  ) => {
    const alarms = startAlarms(
      {
        database: broker,
        log,
        holder: newId(),
        trusted: () => true,
        onRaised: (one) => void raised.push(one as Raised),
        ...change,
      },
      { everyMs: 3_600_000, ...parts },
    )
    t.teardown(alarms.close)
    return alarms
  }
  return { replica, raised, logged }
}

t.test('each alarm once, with what caused it and how long that is ago', async (t) => {
  const ledger = await testLedger(t)
  const { replica, raised, logged } = replicas(t, ledger)
  const alarms = replica()
  await ledger.append(...issuance())
  await alarms.round()
  t.strictSame(await names(ledger.broker), ['first-production-access'], 'its first network is none')
  await ledger.append(...issuance())
  await ledger.append(...issuance('203.0.113.99'))
  await alarms.round()
  t.equal((await alarmsIn(ledger.broker)).length, 1, 'the same again, and its own network')
  await ledger.append(...issuance('2001:db8:7:1::9'))
  await ledger.append(...issuance('2001:db8:7:2::9'))
  await ledger.append(denial(0, 'red_line'))
  for (let n = 1; n < 12; n++) await ledger.append(denial(n))
  await alarms.round()
  const all = await alarmsIn(ledger.broker)
  t.strictSame(
    all.map(({ body }) => body.code),
    ['first-production-access', 'new-network', 'red-line-attempt', 'denied-burst'],
  )
  const [first, network, red, burst] = all
  t.match(first?.body, {
    agent: 'orders-coder',
    environment: 'production',
    tier: 'production',
    cause: 1,
    issuance_id: String,
    caused_at: /^2\d{3}-.*Z$/,
    delay_ms: Number,
  })
  t.match(network, {
    body: { networks_known: 1, personal: /^[0-9a-f]{64}$/ },
    personal: { source_ip: '2001:db8:7:1::9', subject: 'canary-subject-orders-coder', human: 'canary-human' },
    human: 'canary-human',
    source_ip: '2001:db8:7:1::9',
  })
  t.equal(first?.human, 'canary-human', 'found, and erased, with its cause')
  t.match(red?.body, { refused_with: 'red_line', tier: 'production' })
  t.match(burst?.body, { denials: 10, within_seconds: 300 })
  for (const { body, personal } of all) t.equal(bodyProblem(body, personal ?? undefined), undefined)
  for (const { body } of all)
    t.notMatch(JSON.stringify(body), /canary|203\.0\.113|2001:db8/, 'nothing of people')
  const known = await ledger.broker.query('SELECT * FROM writ.known')
  t.notMatch(JSON.stringify(known), /canary|203\.0\.113|2001:db8/)
  t.notMatch(JSON.stringify([logged, raised]), /canary|203\.0\.113|2001:db8/)
  t.equal(raised.length, 4)
  t.equal(logged.length, 4)
  for (const [n, { index, delay_ms }] of raised.entries()) {
    t.match(all[n], { idx: index, body: { delay_ms } }, 'the metric has the delay of the entry')
  }
  const [row] = await ledger.owner.query<{ status: { status: string; entries: number } }>(
    `SELECT writ.redact('{"by": "dpo", "why": "asked", "human": "canary-human"}') AS status`,
  )
  t.equal(row?.status.status, 'ok')
  t.match(
    (await alarmsIn(ledger.broker))[1],
    { personal: null, source_ip: null, human: null },
    'erased with the rest',
  )
})

t.test('stops, failed denies and broken glass', async (t) => {
  const ledger = await testLedger(t)
  const { replica } = replicas(t, ledger)
  // As the functions of their own migrations record them.
  const put = (kind: string, fields: object, payload: object) =>
    ledger.owner.query(
      `SELECT writ.log_seal(writ.log_put(writ.log_open(), $1, $2::jsonb, $3::jsonb)) FROM (SELECT 1) one`,
      [kind, JSON.stringify(fields), JSON.stringify(payload)],
    )
  const about = { agent: 'orders-coder', environment: 'production', grant_id: '0123456789ab' }
  await put('stop.engaged', { operator: 'alice' }, { stop: '0123456789ab', stops: 'everything' })
  await put('deny.failed', { code: 'aws_refused' }, { role_arn: READ_ROLE, unwritten: 2, waited_ms: 900 })
  await put('grant.created', about, { break_glass: true })
  await put('grant.created', about, {})
  await replica().round()
  t.match(
    (await alarmsIn(ledger.broker)).map(({ body }) => body),
    [
      { alarm: 'stop', stop: '0123456789ab', stops: 'everything', cause: 0 },
      { alarm: 'deny-failed', cause: 1, role_arn: READ_ROLE, unwritten: 2, failed_with: 'aws_refused' },
      { alarm: 'break-glass', cause: 2, grant_id: '0123456789ab' },
    ],
  )
  t.equal((await alarmsIn(ledger.broker)).length, 3)
})

t.test('what waits too long to be published', async (t) => {
  const ledger = await testLedger(t)
  await ledger.append(...issuance())
  await ledger.owner.query('ALTER TABLE writ.entry DISABLE TRIGGER USER')
  await ledger.owner.query(`UPDATE writ.entry SET at = at - interval '61 seconds'`)
  const { replica } = replicas(t, ledger)
  await replica().round()
  const late = async () => (await names(ledger.broker)).filter((name) => name === 'checkpoint-late').length
  t.equal(await late(), 0, 'publishing is off')
  const origin = 'example.com/log'
  for (const publisher of [replica({}, { origin }), replica({}, { origin })]) {
    await publisher.round()
    await publisher.round()
  }
  t.equal(await late(), 1, 'once for one standstill, whoever looks')
  const [entry] = (await alarmsIn(ledger.broker)).filter(({ body }) => body.alarm === 'checkpoint-late')
  t.match(entry?.body, { origin, cause: 0, agent: undefined })
  t.equal(bodyProblem(entry?.body, undefined), undefined)
  const delayMs = Number(entry?.body.delay_ms)
  t.ok(delayMs >= 1_000 && delayMs < 60_000, `${delayMs} ms after the minute that publishing may take`)
})

t.test('replicas that all look raise each once', async (t) => {
  const ledger = await testLedger(t)
  const { replica, raised } = replicas(t, ledger)
  const all = [replica(), replica(), replica()]
  let n = 0
  for (let round = 0; round < 12; round++) {
    const work = Array.from({ length: 3 }, () => ledger.append(denial(n++, 'red_line')))
    for (const one of all) one.wake()
    await Promise.all(work)
    for (const one of all) one.wake()
    await Promise.all(all.map((one) => one.round()))
  }
  while ((await names(ledger.broker)).filter((name) => name === 'red-line-attempt').length < n) {
    await Promise.all(all.map((one) => one.round()))
  }
  const causes = (await alarmsIn(ledger.broker)).map(({ body }) => `${body.alarm} ${body.cause}`)
  t.equal(new Set(causes).size, causes.length)
  t.equal(causes.filter((one) => one.startsWith('red')).length, n)
  t.equal(raised.length, causes.length, 'and each is counted once')
})

for (const persisted of [false, true]) {
  t.test(`a crash as alarms are raised, ${persisted ? 'persisted' : 'not persisted'}`, async (t) => {
    const ledger = await testLedger(t)
    const { replica } = replicas(t, ledger)
    const store = alarmStore(ledger.broker)
    const dying: AlarmStore = {
      ...store,
      conclude: async (...given) => {
        if (persisted) await store.conclude(...given)
        throw new Error('the process dies')
      },
    }
    await ledger.append(...issuance())
    await ledger.append(denial(0, 'red_line'))
    await t.rejects(replica({ store: dying }).round(), /dies/)
    const next = replica()
    if (!persisted) {
      t.equal(await next.round(), 'busy', 'the lease of the dead one is waited for')
      await ledger.owner.query(`UPDATE writ.alarm_cursor SET until = '-infinity'`)
    }
    await next.round()
    t.strictSame(await names(ledger.broker), ['first-production-access', 'red-line-attempt'])
    await ledger.append(...issuance())
    await next.round()
    t.equal((await alarmsIn(ledger.broker)).length, 2, 'and what was learned is remembered')
  })
}

t.test('who stood still past its lease raises nothing', async (t) => {
  const ledger = await testLedger(t)
  const { replica, raised } = replicas(t, ledger)
  const store = alarmStore(ledger.broker)
  const other = replica()
  const sleeper: AlarmStore = {
    ...store,
    conclude: async (...given) => {
      await ledger.owner.query(`UPDATE writ.alarm_cursor SET until = '-infinity'`)
      await other.round()
      return store.conclude(...given)
    },
  }
  await ledger.append(...issuance())
  t.equal(await replica({ store: sleeper }).round(), 'busy')
  t.strictSame(await names(ledger.broker), ['first-production-access'])
  t.equal(raised.length, 1)
})

t.test('an alarm follows its cause within milliseconds, also at another replica', async (t) => {
  const ledger = await testLedger(t)
  const { replica } = replicas(t, ledger)
  const [one, two] = [replica(), replica()]
  for (const [n, alarms] of [one, two, one, two].entries()) {
    const { record } = createRecorder(async (items) => {
      const verdicts = await ledger.append(...items)
      alarms.wake()
      return verdicts
    })
    await record(denial(n, 'red_line'))
    const from = performance.now()
    while ((await alarmsIn(ledger.broker)).length <= n) {
      if (performance.now() - from > 10_000) throw new Error('no alarm')
      await delay(5)
    }
  }
  const delays = (await alarmsIn(ledger.broker)).map(({ body }) => Number(body.delay_ms))
  t.comment(`from cause to alarm: ${delays.join(', ')} ms`)
  t.ok(Math.min(...delays) < 250)
})

t.test('a record that is not what was published gets no more entries', async (t) => {
  const ledger = await testLedger(t)
  const { replica, raised, logged } = replicas(t, ledger)
  await ledger.append(...issuance())
  let trusted = false
  const alarms = replica({}, { trusted: () => trusted })
  await alarms.round()
  await alarms.round()
  t.strictSame(await names(ledger.broker), [])
  t.strictSame(raised, [{ alarm: 'log-untrusted', delay_ms: 0 }], 'told once, where it can be')
  t.match(logged, [/log-untrusted/])
  trusted = true
  await alarms.round()
  t.strictSame(await names(ledger.broker), ['first-production-access'])
})

t.test('what was so before alarms came raises none', async (t) => {
  const { brokerUrl, ownerUrl } = await testDatabase(t, { migrated: false })
  const before = join(t.testdir({}), 'before')
  mkdirSync(before)
  for (const file of readdirSync(MIGRATIONS).filter((name) => name < '016')) {
    copyFileSync(join(MIGRATIONS, file), join(before, file))
  }
  await migrate({ ownerUrl, directory: before, log: silent })
  const broker = createPool({ connectionString: brokerUrl, applicationName: 'test', log: silent })
  t.teardown(() => broker.end())
  await broker.query('SELECT writ.register_roles($1::jsonb)', [JSON.stringify(ROLES)])
  const append = (...items: readonly object[]) =>
    broker.query('SELECT writ.append($1::jsonb)', [JSON.stringify(items)])
  await append(...issuance())
  await append(...issuance('198.51.100.1'))
  for (let n = 0; n < 11; n++) await append(denial(n, 'red_line'))
  await migrate({ ownerUrl, directory: MIGRATIONS, log: silent })
  const { replica } = replicas(t, { broker })
  const alarms = replica()
  await alarms.round()
  await append(...issuance())
  await append(...issuance('198.51.100.77'))
  await alarms.round()
  t.strictSame(await names(broker), [])
  await append(...issuance('192.0.2.1'))
  await alarms.round()
  t.match(await alarmsIn(broker), [{ body: { alarm: 'new-network', networks_known: 2 } }])
})

t.test("the broker's login raises nothing by itself", async (t) => {
  const ledger = await testLedger(t)
  await ledger.append(...issuance())
  const denied = { message: /permission denied/ }
  for (const statement of [
    `SELECT salt FROM writ.alarm_cursor`,
    `SELECT writ.network_key('a', '192.0.2.1')`,
    `SELECT writ.alarm_facts(0, 1, '{}')`,
    `UPDATE writ.alarm_cursor SET next_idx = 0`,
    `INSERT INTO writ.known VALUES ('a', 'network', 'x', now())`,
    `DELETE FROM writ.known`,
    `DELETE FROM writ.alarm`,
  ]) {
    await t.rejects(ledger.broker.query(statement), denied, statement)
  }
  const store = alarmStore(ledger.broker)
  const claim = await store.claim('me', undefined)
  if (typeof claim === 'string') throw new Error(claim)
  const nothing = { alarms: [], learned: [], release: false }
  const moved = (change: object) => store.conclude({ ...claim, ...change }, nothing)
  t.equal(await moved({ fence: claim.fence - 1 }), undefined, 'not on another fence')
  t.equal(await moved({ from: 1 }), undefined, 'not from where it is not')
  t.equal(await moved({ to: claim.to + 1 }), undefined, 'not past the head')
  t.strictSame(await moved({}), [])
  t.equal(await moved({}), undefined, 'not twice')
  const [search] = await ledger.owner.query<{ wrong: string }>(
    `SELECT count(*) AS wrong FROM pg_proc WHERE pronamespace = 'writ'::regnamespace AND proname IN ('claim_alarms', 'raise_alarms')
       AND (NOT prosecdef OR proconfig[1] NOT LIKE 'search_path=writ, pg_temp' OR has_function_privilege('public', oid, 'EXECUTE'))`,
  )
  t.equal(Number(search?.wrong), 0)
})
