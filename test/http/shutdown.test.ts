import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { startTestBroker } from '../support/broker.js'

t.test('a shutdown finishes what is under way, records it, and takes nothing new', async (t) => {
  const broker = await startTestBroker(t)
  const token = await broker.agentToken('orders-coder')
  const wish = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }

  // A connection that is open already: a new one is refused by the system, this one must hear why.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const onOpenConnection = async () => {
    const asked = request(`${broker.url}/healthz`, { agent })
    asked.end()
    const [response] = await once(asked, 'response')
    let body = ''
    for await (const chunk of response) body += chunk
    return { status: response.statusCode, body: JSON.parse(body) }
  }
  const slow = broker.localAws.faults.hold('before')
  const asked = broker.call('POST', '/v1/credentials', token, wish)
  const pending = await broker.call('POST', '/v1/grant-requests', token, {
    environment: 'production',
    scopes: ['orders:write'],
    reason: 'a test',
  })
  const waiting = broker.call('GET', `/v1/grant-requests/${pending.body.id}?wait=25`, token)
  await slow.caught

  const busy = onOpenConnection()
  t.match(await busy, { status: 200, body: { ok: true } })
  const closed = broker.app.close()
  t.match(await waiting, { status: 200, body: { state: 'pending' } }, 'a long poll ends early')
  slow.release()
  t.match(await asked, { status: 200 }, 'what was under way is answered')
  await closed
  await t.rejects(fetch(`${broker.url}/healthz`), 'and nothing new is taken')
  const rows = await broker.database.query<{ state: string }>('SELECT state FROM writ.issuance')
  t.strictSame(rows, [{ state: 'issued' }])
})

t.test('a shutdown waits for nobody who was connected and asked nothing', async (t) => {
  const broker = await startTestBroker(t)
  const silent = connect(Number(new URL(broker.url).port), '127.0.0.1')
  t.teardown(() => silent.destroy())
  await once(silent, 'connect')
  // Answered after it was accepted: connections are taken in their order.
  await broker.call('GET', '/healthz')
  const ended = once(silent, 'close')
  const began = performance.now()
  await broker.app.close()
  await ended
  t.ok(performance.now() - began < 10_000, 'Node by itself would wait for a minute and more')
})
