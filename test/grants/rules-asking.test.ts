import t from 'tap'
import { createPool } from '../../server/db/pool.js'
import { WritError } from '../../server/errors.js'
import { type GrantDeps, openGrantRequest, type Requester } from '../../server/grants/request.js'
import { listGrantRequests, openedEntry } from '../../server/grants/store.js'
import { newId } from '../../server/issuance/id.js'
import { requestArgument } from '../support/items.js'
import { type Ledger, testLedger } from '../support/ledger.js'
import { environment, identity, policySet } from '../support/policy.js'
import { silent } from '../support/postgres.js'

type Fields = Record<string, unknown>

function desk({ broker, sign }: Ledger) {
  const call = async (name: string, argument: object): Promise<Fields> => {
    const rows = await broker.query<{ answer: Fields }>(`SELECT writ.${name}($1::jsonb) AS answer`, [
      JSON.stringify(argument),
    ])
    return rows[0]?.answer ?? {}
  }
  return {
    ask: (change: Fields = {}) => call('open_grant_request', requestArgument(change)),
    unasked: (change: Fields = {}) =>
      call(
        'open_grant_request',
        requestArgument({ requested_by: 'operator:bob', limit_pending: false, ...change }),
      ),
    deny: async (asked: Fields) =>
      call('decide_grant_request', await sign(asked, 'bob', { decision: 'deny' })),
    withdraw: (id: unknown) =>
      broker.query("SELECT writ.withdraw_grant_request($1, 'agent:orders-coder', NULL)", [id]),
    call,
  }
}

const COOL = { cool_down_seconds: 600 }
const codes = (answers: readonly Fields[]) => answers.map(({ status, code }) => code ?? status).sort()

t.test('three pending, however many ask at once, and on whichever replica', async (t) => {
  const { ask, unasked, withdraw } = desk(await testLedger(t))
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask()))
  t.strictSame(codes(answers), [...Array(7).fill('grant_requests_pending'), 'ok', 'ok', 'ok'])

  const operators = await Promise.all(Array.from({ length: 5 }, () => unasked()))
  t.strictSame(codes(operators), Array(5).fill('ok'), 'operators are not held')
  const mine = answers.find(({ status }) => status === 'ok')
  await withdraw(mine?.id)
  t.match(await ask(), { status: 'ok' }, 'what is withdrawn frees its place, whatever operators asked')
  t.match(await ask(), { code: 'grant_requests_pending' })
  t.match(
    await ask({ agent: 'report-bot', requested_by: 'agent:report-bot' }),
    { status: 'ok' },
    'another agent',
  )
})

t.test('one wish is one request, however often it is told', async (t) => {
  const { ask, unasked } = desk(await testLedger(t))
  const content = { content_sha256: 'the same' }
  const answers = await Promise.all(Array.from({ length: 8 }, () => ask(content)))
  t.equal(new Set(answers.map(({ id }) => id)).size, 1)
  t.equal(answers.filter(({ created }) => created).length, 1)
  await ask()
  await ask()
  t.match(await ask(content), { status: 'ok', created: false }, 'also when three are pending')
  const theirs = await unasked({ content_sha256: "an operator's, which says so" })
  t.match(theirs, { created: true })
})

t.test('what ran out frees its place', async (t) => {
  const { broker, ...ledger } = await testLedger(t)
  const { ask } = desk({ broker, ...ledger })
  for (let i = 0; i < 3; i++) await ask({ pending_seconds: 1 })
  t.match(await ask(), { code: 'grant_requests_pending' })
  const over = async () =>
    (await broker.query('SELECT FROM writ.grant_request WHERE expires_at > clock_timestamp()')).length === 0
  while (!(await over()));
  t.match(await ask(), { status: 'ok' })
  const rows = await broker.query("SELECT FROM writ.entry WHERE kind = 'grant_request.expired'")
  t.equal(rows.length, 3)
})

t.test('after a denial an agent waits', async (t) => {
  const { ask, unasked, deny, call } = desk(await testLedger(t))
  const asked = requestArgument({ scopes: ['orders:read', 'orders:write'] })
  await call('open_grant_request', asked)
  await ask({ ...COOL, scopes: ['orders:write'], content_sha256: 'pending already' })
  t.match(await deny(asked), { state: 'denied' })

  const again = await ask({ ...COOL, scopes: ['orders:write', 'orders:ship'] })
  t.match(again, { status: 'refused', code: 'grant_cooling_down' }, 'a part of what was denied, and more')
  t.ok(Number(again.seconds) > 590 && Number(again.seconds) <= 600, 'seconds left')
  const wait = Date.parse(String(again.until)) - Date.now()
  t.ok(wait > 590_000 && wait < 605_000, 'until when')
  t.match(
    await ask({ ...COOL, content_sha256: 'pending already' }),
    { created: false },
    'one that waits already',
  )
  t.match(await ask({ ...COOL, scopes: ['orders:ship'] }), { status: 'ok' }, 'for something else')
  t.match(await ask({ ...COOL, environment: 'production-us' }), { status: 'ok' }, 'somewhere else')
  const other = { agent: 'report-bot', requested_by: 'agent:report-bot' }
  t.match(await ask({ ...COOL, ...other }), { status: 'ok' }, 'another agent')
  t.match(await unasked({ ...COOL }), { status: 'ok' }, 'an operator answers for what they grant')
  t.match(await ask({ cool_down_seconds: 0 }), { code: 'grant_requests_pending' }, 'where none is wished')
})

t.test('the wait ends, and only a denial begins it', async (t) => {
  const { broker, ...ledger } = await testLedger(t)
  const { ask, deny, withdraw, call } = desk({ broker, ...ledger })
  const first = await ask(COOL)
  await withdraw(first.id)
  t.match(await ask(COOL), { status: 'ok' }, 'what was taken back is not denied')
  const asked = requestArgument()
  await call('open_grant_request', asked)
  await deny(asked)
  t.match(await ask({ cool_down_seconds: 1 }), { code: 'grant_cooling_down' })
  const over = "SELECT FROM writ.grant_request WHERE closed_at + interval '1 second' > clock_timestamp()"
  while ((await broker.query(over)).length > 0);
  t.match(await ask({ cool_down_seconds: 1 }), { status: 'ok' })
})

t.test('nothing slips in beside a denial', async (t) => {
  const ledger = await testLedger(t)
  const { ask, deny, call } = desk(ledger)
  const asked = requestArgument()
  await call('open_grant_request', asked)
  // So that the denial below does nothing but deny.
  await ledger.sign(asked, 'bob')
  const options = { applicationName: 'test', log: silent, max: 2 }
  const admin = createPool({ connectionString: ledger.superuserUrl, ...options })
  t.teardown(() => admin.end())
  const waiting = async (many: number) => {
    const sql = 'SELECT FROM pg_catalog.pg_stat_activity WHERE wait_event_type = $1 AND query LIKE $2'
    while ((await admin.query(sql, ['Lock', '%grant_request%'])).length < many);
  }
  const { denied, late } = await admin.transaction(async (client) => {
    await client.query('SELECT FROM writ.log_head FOR UPDATE')
    const denied = deny(asked)
    await waiting(1)
    const late = Promise.all([ask(COOL), ask(COOL)])
    await waiting(3)
    return { denied, late }
  })
  t.match(await denied, { state: 'denied' })
  t.strictSame(codes(await late), ['grant_cooling_down', 'grant_cooling_down'])
})

t.test('the refusal says until when, and is on record', async (t) => {
  const ledger = await testLedger(t)
  const { broker, append } = ledger
  const write = 'arn:aws:iam::111122223333:role/production-write'
  await broker.query('SELECT writ.register_roles($1::jsonb)', [
    JSON.stringify([{ role_arn: write, environment: 'production', sensitivity: 'production-write' }]),
  ])
  const deps: GrantDeps = {
    database: broker,
    record: async (item) => {
      const [verdict] = await append(item)
      if (verdict === undefined) throw new Error('no verdict')
      return verdict
    },
    assertTrusted: () => undefined,
    newId,
    now: () => new Date(),
    origin: () => 'https://writ.example.com',
    keys: { of: async () => [], verifyPasskey: async () => ({ signCount: 0 }) },
  }
  const set = policySet({
    environments: [environment('production', { allowDelete: true, coolDownSeconds: 90 })],
  })
  const ask = (reason: string, scopes = ['write'], requester?: Requester) =>
    openGrantRequest(deps, set, 'bot', requester ?? { kind: 'agent', identity: identity() }, {
      request: { environment: 'production', scopes, reason },
      uses: 1,
      validSeconds: 600,
    })
  const view = async (id: string) => (await listGrantRequests(broker, { id }, { limit: 1 }))[0]

  const { id } = await ask('please')
  const purge = await ask('clean up', ['purge'])
  t.match(await view(id), { destroys: false, signature_required: true, break_glass: false, role_arn: write })
  t.match(await view(purge.id), { destroys: true, approvals_needed: 2 })

  const request = await view(id)
  const opened = await openedEntry(broker, id)
  t.match(opened, {
    leaf: /^[0-9a-f]{64}$/,
    commitment: /^[0-9a-f]{64}$/,
    personal: { salt: /^[0-9a-f]{32}$/ },
  })
  t.match(JSON.parse(opened?.personal?.text ?? ''), { reason: 'please' })
  t.equal(await openedEntry(broker, newId()), undefined)

  const denied = await ledger.sign({ ...request, tier: 'production' }, 'bob', { decision: 'deny' })
  await broker.query('SELECT writ.decide_grant_request($1::jsonb)', [JSON.stringify(denied)])
  t.match(await view(id), {
    state: 'denied',
    decisions: [{ operator: 'bob', key_id: /^[\w-]+$/, break_glass: false }],
  })

  const error = await ask('pretty please').catch((thrown: unknown) => thrown)
  t.ok(error instanceof WritError)
  t.match(error, {
    code: 'grant_cooling_down',
    message: /denied .* bot in production.* again at \d{4}-.*Z\.$/,
  })
  const { retryAfterSeconds } = (error as WritError).extra
  t.ok(Number(retryAfterSeconds) > 80 && Number(retryAfterSeconds) <= 90, "the environment's seconds")
  await t.rejects(ask('with sugar on top'), { code: 'grant_cooling_down' })
  const recorded = await broker.query<{ body: string }>(
    "SELECT convert_from(body, 'UTF8') AS body FROM writ.entry WHERE kind = 'grant_request.refused'",
  )
  t.equal(recorded.length, 1, 'repeats are counted on it')
  t.match(JSON.parse(recorded[0]?.body ?? '{}'), {
    agent: 'bot',
    code: 'grant_cooling_down',
    scopes: ['write'],
  })
  t.match(await ask('because I say so', ['write'], { kind: 'operator', name: 'bob' }), { created: true })
})
