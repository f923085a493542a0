import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { sweep } from '../../server/audit/store.js'
import { createPool } from '../../server/db/pool.js'
import { WritError } from '../../server/errors.js'
import { startTestBroker } from '../support/broker.js'
import { silent, type TestDatabase, testDatabase, testServer } from '../support/postgres.js'

const WISH = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }

/** Issuances as the record has them, after a sweep that finds every open intent old enough. */
async function settled(sql: TestDatabase): Promise<readonly { state: string; error_code: string | null }[]> {
  const admin = createPool({
    connectionString: sql.superuserUrl,
    applicationName: 'writ test',
    log: silent,
    max: 1,
  })
  const broker = createPool({
    connectionString: sql.brokerUrl,
    applicationName: 'writ test',
    log: silent,
    max: 1,
  })
  try {
    // Only a superuser can age a row: that is the point of the triggers.
    await admin.query('SET session_replication_role = replica')
    await admin.query(
      "UPDATE writ.intent SET at = at - interval '1 hour', not_after = not_after - interval '1 hour'",
    )
    await sweep(broker, 60)
    return await broker.query('SELECT state, error_code FROM writ.issuance ORDER BY entry_idx')
  } finally {
    await admin.end()
    await broker.end()
  }
}

t.test('AWS fails', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  let n = 0
  const ask = () => broker.call('POST', '/v1/credentials', agent, { ...WISH, session: `s${n++}` })
  const { faults, calls } = broker.localAws
  const attempts = () => calls.filter((call) => call.action === 'sts:AssumeRole').length

  faults.fail('throttling', { times: 2 })
  t.equal((await ask()).status, 200, 'throttled twice: tried again')
  faults.fail('throttling', { times: 3 })
  const throttled = await ask()
  t.match(throttled, { status: 503, body: { code: 'aws_throttled' } })
  t.ok(Number(throttled.headers.get('retry-after')) > 0)

  const before = attempts()
  faults.fail('access-denied')
  t.match(await ask(), { status: 403, body: { code: 'aws_refused' } })
  t.equal(attempts() - before, 1, 'a refusal is final')

  faults.fail('internal', { times: 3 })
  t.match(await ask(), { status: 503, body: { code: 'aws_unavailable' } })

  const cut = faults.hold('after')
  const asked = ask()
  await cut.caught
  cut.drop()
  t.match(await asked, { status: 503, body: { code: 'aws_unavailable' } }, 'minted, and the answer lost')

  t.strictSame(
    (await settled(broker.sql)).map((row) => [row.state, row.error_code]),
    [
      ['issued', null],
      ['failed', 'aws_throttled'],
      ['failed', 'aws_refused'],
      ['failed', 'aws_unavailable'],
      ['failed', 'aws_unavailable'],
    ],
  )
})

t.test('AWS answers after the sweep gave the issuance up', async (t) => {
  const broker = await startTestBroker(t)
  const slow = broker.localAws.faults.hold('after')
  const asked = broker.call('POST', '/v1/credentials', await broker.agentToken('orders-coder'), WISH)
  await slow.caught
  t.match(await settled(broker.sql), [{ state: 'abandoned' }])
  slow.release()
  t.match(await asked, { status: 503, body: { code: 'aws_unavailable' } }, 'the session reaches nobody')
})

t.test('a grant revoked while AWS is minting', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const bob = await broker.operatorToken('bob')
  const wish = { environment: 'production', scopes: ['orders:write'], reason: 'a test' }
  const { body } = await broker.call('POST', '/v1/grant-requests', agent, { ...wish, uses: 5 })
  const granted = await broker.decide(body.id, 'bob')
  const slow = broker.localAws.faults.hold('after')
  const asked = broker.call('POST', '/v1/credentials', agent, wish)
  await slow.caught
  const revoke = `/v1/grants/${granted.body.grant_id}/revoke`
  t.match(await broker.call('POST', revoke, bob, { reason: 'stop' }), {
    status: 200,
    body: { state: 'revoked' },
  })
  slow.release()
  t.match(await asked, { status: 403, body: { code: 'grant_revoked' } }, 'is not delivered')
  t.match(await settled(broker.sql), [{ state: 'issued' }], 'and is recorded, because it exists')
})

t.test('PostgreSQL dies', async (t) => {
  const sql = await testServer(t)
  const broker = await startTestBroker(t, { sql })
  const agent = await broker.agentToken('orders-coder')
  let n = 0
  const ask = () => broker.call('POST', '/v1/credentials', agent, { ...WISH, session: `s${n++}` })
  const unavailable = { status: 503, body: { code: 'record_unavailable' } }
  t.equal((await ask()).status, 200)

  await sql.kill9()
  t.match(await ask(), unavailable, 'before A: nothing is asked of AWS')
  t.equal(broker.localAws.calls.filter((call) => call.action === 'sts:AssumeRole').length, 1)
  t.match(await broker.call('GET', '/readyz'), { status: 503, body: { checks: { database: { ok: false } } } })
  await sql.restart()
  t.equal((await ask()).status, 200, 'and it recovers by itself')

  const between = broker.localAws.faults.hold('after')
  const asked = ask()
  await between.caught
  await sql.kill9()
  between.release()
  t.match(await asked, unavailable, 'between A and B: minted, not recorded, not delivered')
  await sql.restart()
  t.match(
    (await settled(sql)).map((row) => row.state),
    ['issued', 'issued', 'abandoned'],
  )
})

t.test('the answer of the database is lost, the row is there or not', async (t) => {
  for (const [op, persisted, states] of [
    ['intent', true, ['abandoned']],
    ['intent', false, []],
    ['outcome', true, ['issued']],
    ['outcome', false, ['abandoned']],
  ] as const) {
    await t.test(`${op}, ${persisted ? 'persisted' : 'not persisted'}`, async (t) => {
      const broker = await startTestBroker(t, {
        issue: (deps) => ({
          ...deps,
          record: async (item) => {
            if (item.op !== op) return deps.record(item)
            if (persisted) await deps.record(item)
            throw new WritError('record_unavailable', 'The connection was lost.')
          },
        }),
      })
      const agent = await broker.agentToken('orders-coder')
      const answer = await broker.call('POST', '/v1/credentials', agent, WISH)
      t.match(answer, { status: 503, body: { code: 'record_unavailable' } })
      t.strictSame(
        (await settled(broker.sql)).map((row) => row.state),
        states,
      )
    })
  }
})

t.test('the process is killed', async (t) => {
  for (const [point, states] of [
    ['before-a', []],
    ['after-a', ['abandoned']],
    ['before-b', ['abandoned']],
    ['after-b', ['issued']],
  ] as const) {
    await t.test(point, async (t) => {
      const sql = await testDatabase(t)
      t.equal(await askDoomed(t, point, sql), 'no answer')
      t.strictSame(
        (await settled(sql)).map((row) => row.state),
        states,
      )
    })
  }
})

async function askDoomed(t: Test, point: string, sql: TestDatabase): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'writ-doomed-'))
  t.teardown(() => rm(dataDir, { recursive: true, force: true }))
  const script = fileURLToPath(new URL('../support/doomed.js', import.meta.url))
  const child = spawn(process.execPath, [script, point, sql.brokerUrl, dataDir], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(child, 'exit')
  const [line] = await once(child.stdout, 'data')
  const { port, token } = JSON.parse(String(line))
  const answer = await fetch(`http://127.0.0.1:${port}/v1/credentials`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(WISH),
  }).then(
    (response) => `answered ${response.status}`,
    () => 'no answer',
  )
  const [, signal] = await ended
  t.equal(signal, 'SIGKILL')
  return answer
}
