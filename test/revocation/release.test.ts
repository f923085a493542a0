import t from 'tap'
import { createPool } from '../../server/db/pool.js'
import { newId } from '../../server/issuance/id.js'
import type { Operator, PolicySet } from '../../server/types.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'
import { silent } from '../support/postgres.js'
import { ageStops, release, stop } from '../support/stops.js'

const WISH = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }

/** `robert` is bob with another document, `dora` may only revoke and stop. */
const more = (real: PolicySet): PolicySet => {
  const bob = real.operators.get('bob')
  if (bob === undefined) throw new Error('no bob')
  const robert: Operator = { ...bob, name: 'robert', alsoKnownAs: new Set(['BOB@example.com']) }
  const dora: Operator = { ...bob, name: 'dora', roles: new Set(['operator']), alsoKnownAs: new Set() }
  return {
    ...real,
    operatorsMatching: (identity) =>
      [robert, dora]
        .filter(({ name }) => identity.subject === `operator:${name}`)
        .concat(real.operatorsMatching(identity)),
  }
}

let broker: TestBroker
t.before(async () => {
  broker = await startTestBroker(t, { policySet: more })
})

const engaged = async (name = 'report-bot'): Promise<string> => {
  const { body } = await stop(broker, 'agent', name, 'dora')
  return body.id
}

t.test('what was being minted has to be over first', async (t) => {
  const id = await engaged()
  const fresh = await release(broker, id, 'bob')
  t.match(fresh, { status: 409, body: { code: 'stop_too_fresh' } })
  const wait = Number(fresh.headers.get('retry-after'))
  t.ok(wait > 55 && wait <= 61, `in ${wait} seconds`)

  // What was put up to be signed a moment before its time is no way round it.
  await ageStops(broker.sql)
  const key = await broker.enrol('bob')
  const token = await broker.operatorToken('bob')
  const asked = await broker.call('POST', `/v1/stops/${id}/challenge`, token)
  const admin = createPool({
    connectionString: broker.sql.superuserUrl,
    applicationName: 'test',
    log: silent,
    max: 1,
  })
  t.teardown(() => admin.end())
  await admin.query('SET session_replication_role = replica')
  await admin.query(`UPDATE writ.stop SET cutoff = clock_timestamp() + interval '1 minute' WHERE id = $1`, [
    id,
  ])
  const { challenge, webauthn } = asked.body
  const proof = key.sign(Buffer.from(webauthn.challenge, 'base64url'))
  const [refused] = await broker.database.query<{ answer: unknown }>(
    'SELECT writ.release_stop($1::jsonb) AS answer',
    [JSON.stringify({ stop_id: id, operator: 'bob', operator_names: ['bob'], challenge, proof })],
  )
  t.match(refused?.answer, { status: 'refused', code: 'stop_too_fresh' }, 'the database says so too')
  await ageStops(broker.sql)
  t.match(await release(broker, id, 'bob'), { body: { signed: 1 } })
  t.match(await release(broker, id, 'carol'), { body: { released: true } })
})

t.test('two different people', async (t) => {
  const id = await engaged()
  await ageStops(broker.sql)
  t.match(await release(broker, id, 'dora'), { status: 403, body: { code: 'operator_role' } })
  t.match(await release(broker, id, 'bob'), { status: 200, body: { released: false, signed: 1, needed: 2 } })
  t.match(await release(broker, id, 'bob'), { status: 409, body: { code: 'already_decided' } })
  t.match(
    await release(broker, id, 'robert'),
    { status: 409, body: { code: 'already_decided' } },
    'one person under two names is one',
  )
  const agent = await broker.agentToken('report-bot')
  t.match(await broker.call('POST', '/v1/credentials', agent, WISH), { body: { code: 'agent_stopped' } })
  const carol = await broker.operatorToken('carol')
  t.match(await broker.call('GET', `/v1/stops/${id}`, carol), {
    body: { signed_by: ['bob'], state: 'engaged' },
  })
  t.match(await release(broker, id, 'carol'), { status: 200, body: { released: true, signed: 2, needed: 2 } })
  t.match(await release(broker, id, 'alice'), { status: 409, body: { code: 'stop_released' } })
  t.match(await release(broker, newId(), 'alice'), { status: 404 })

  const events = await broker.call('GET', '/v1/events?kind=operator.refused', carol)
  const codes = events.body.items.map((item: { body: { operator: string; code: string } }) => [
    item.body.operator,
    item.body.code,
  ])
  for (const one of [
    ['dora', 'operator_role'],
    ['robert', 'already_decided'],
    ['alice', 'stop_released'],
  ])
    t.ok(
      codes.some((code: string[]) => code.join() === one.join()),
      `${one.join()} is on record`,
    )
})

t.test('a signature is for one stop, once, by whoever was asked', async (t) => {
  const [one, two] = [await engaged('report-bot'), await engaged('deploy-bot')]
  await ageStops(broker.sql)
  const [bob, key] = [await broker.operatorToken('bob'), await broker.enrol('bob')]
  const signed = async (id: string, change = {}) => {
    const asked = await broker.call('POST', `/v1/stops/${id}/challenge`, bob)
    const { challenge, webauthn } = asked.body
    return { challenge, proof: key.sign(Buffer.from(webauthn.challenge, 'base64url'), change) }
  }
  const send = (id: string, body: object, token = bob) =>
    broker.call('POST', `/v1/stops/${id}/release`, token, body)

  t.match(await send(one, await signed(two)), { status: 409, body: { code: 'signed_something_else' } })
  t.match(await send(one, await signed(one, { wrongKey: true })), {
    status: 403,
    body: { code: 'signature_invalid' },
  })
  t.match(await send(one, await signed(one, { userVerified: false })), {
    body: { code: 'signature_invalid' },
  })
  const other = await signed(two)
  const mixed = { ...(await signed(one)), proof: other.proof }
  t.match(await send(one, mixed), { status: 403, body: { code: 'signature_invalid' } })
  t.match(
    await send(one, await signed(one), await broker.operatorToken('carol')),
    { status: 403, body: { code: 'key_unknown' } },
    "with somebody else's key",
  )
  const good = await signed(one)
  t.match(await send(one, good), { status: 200, body: { signed: 1 } })
  t.match(await send(one, good), { status: 409 }, 'used up')
  t.match(await send(two, good), { status: 409 }, 'for anything')
  t.match(
    await broker.call('DELETE', '/v1/stops/agent/deploy-bot', bob, await signed(two)),
    { status: 200, body: { released: false, signed: 1 } },
    'by its name',
  )
  t.match(await broker.call('DELETE', '/v1/stops/agent/orders-coder', bob, good), {
    status: 404,
    body: { code: 'not_stopped' },
  })
  for (const id of [one, two]) t.match(await release(broker, id, 'carol'), { body: { released: true } })
})

t.test('where the broker stopped by itself one is enough, but not for a human beside it', async (t) => {
  const [row] = await broker.database.query<{ answer: { id: string } }>(
    'SELECT writ.engage_stop($1::jsonb) AS answer',
    [
      JSON.stringify({
        id: newId(),
        kind: 'agent',
        name: 'report-bot',
        agents: [{ name: 'report-bot', roles: [] }],
        reason: 'too fast',
      }),
    ],
  )
  const own = row?.answer.id ?? ''
  const carol = await broker.operatorToken('carol')
  t.match(await broker.call('GET', `/v1/stops/${own}`, carol), {
    body: { automatic: true, engaged_by: null, approvals_needed: 1, sessions: { state: 'none' } },
  })
  const theirs = await engaged()
  t.not(theirs, own, 'a stop of its own')
  await ageStops(broker.sql)
  t.match(await release(broker, own, 'bob'), { status: 200, body: { released: true, needed: 1 } })
  const agent = await broker.agentToken('report-bot')
  t.match(await broker.call('POST', '/v1/credentials', agent, WISH), { body: { code: 'agent_stopped' } })
  t.match(await release(broker, theirs, 'bob'), { body: { released: false } })
  t.match(await release(broker, theirs, 'carol'), { body: { released: true } })
  t.equal(
    (await broker.call('POST', '/v1/credentials', agent, { ...WISH, scopes: ['reports:read'] })).status,
    200,
  )
})

t.test('a record that is not trusted keeps nobody from stopping, and everybody from releasing', async (t) => {
  const id = await engaged()
  await ageStops(broker.sql)
  const carol = await broker.operatorToken('carol')
  await broker.publishing?.checkpointer.tick()
  const admin = createPool({
    connectionString: broker.sql.superuserUrl,
    applicationName: 'test',
    log: silent,
    max: 1,
  })
  t.teardown(() => admin.end())
  await admin.query('SET session_replication_role = replica')
  const rewrite = (space: string) =>
    admin.query(
      `UPDATE writ.entry SET body = convert_to(rtrim(convert_from(body, 'UTF8')) || $1, 'UTF8'),
         leaf_hash = sha256('\\x00'::bytea || convert_to(rtrim(convert_from(body, 'UTF8')) || $1, 'UTF8')) WHERE idx = 1`,
      [space],
    )
  await rewrite(' ')
  await broker.publishing?.checkpointer.tick()
  const agent = await broker.agentToken('deploy-bot')
  const wish = { ...WISH, scopes: ['releases:read'] }
  t.match(await broker.call('POST', '/v1/credentials', agent, wish), { body: { code: 'log_untrusted' } })
  t.match(await release(broker, id, 'carol'), { status: 503, body: { code: 'log_untrusted' } })
  t.match(await stop(broker, 'agent', 'deploy-bot'), { status: 201, body: { issuance: 'blocked' } })
  t.match(await broker.call('GET', '/v1/stops?state=engaged', carol), {
    body: { items: [{ name: 'deploy-bot' }, { name: 'report-bot' }] },
  })
  await rewrite('')
})
