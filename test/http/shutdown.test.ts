import { once } from 'node:events'
import { Agent, request } from 'node:http'
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
