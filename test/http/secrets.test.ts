import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startTestBroker } from '../support/broker.js'
import { dump } from '../support/dump.js'
import { testServer } from '../support/postgres.js'

const READ = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }
const WRITE = { environment: 'production', scopes: ['orders:write'], reason: 'a test' }

t.test('nothing secret rests: not in logs, database, error bodies', async (t) => {
  const sql = await testServer(t)
  const broker = await startTestBroker(t, { sql })
  const agent = await broker.agentToken('orders-coder')
  const bob = await broker.operatorToken('bob')
  const carol = await broker.operatorToken('carol')
  const nobody = await broker.agentToken('nobody')
  const secrets = [agent, bob, carol, nobody]
  const errors: string[] = []
  const call = async (method: string, path: string, token?: string, body?: unknown) => {
    const answer = await broker.call(method, path, token, body)
    if (answer.status >= 400) errors.push(JSON.stringify(answer.body))
    const { credentials, SecretAccessKey, Token } = answer.body ?? {}
    for (const secret of [
      credentials?.secret_access_key,
      credentials?.session_token,
      SecretAccessKey,
      Token,
    ]) {
      if (typeof secret === 'string') secrets.push(secret)
    }
    return answer
  }

  await call('POST', '/v1/credentials', agent, READ)
  await call('GET', '/v1/aws/credentials/development/orders:read', agent)
  await call('POST', '/v1/credentials', agent, WRITE)
  await call('GET', '/v1/whoami', nobody)
  await call('GET', '/v1/whoami', `${agent}x`)
  await call('GET', `/v1/whoami?token=${agent}`, bob)
  await call('GET', `/${agent}`, agent)
  await call('POST', '/v1/credentials', agent, { ...READ, [agent]: 1 })
  const { body } = await call('POST', '/v1/grant-requests', agent, WRITE)
  await broker.decide(body.id, 'bob', { comment: 'so be it' })
  await call('POST', '/v1/credentials', agent, WRITE)
  await call('GET', '/v1/events', carol)
  broker.localAws.faults.fail('access-denied')
  await call('POST', '/v1/credentials', agent, { ...READ, session: 'refused' })
  const cut = broker.localAws.faults.hold('after')
  const asked = call('POST', '/v1/credentials', agent, { ...READ, session: 'cut' })
  await cut.caught
  cut.drop()
  await asked
  const rows = await dump(sql.superuserUrl)
  await sql.kill9()
  await call('POST', '/v1/credentials', agent, { ...READ, session: 'dead' })
  await sql.restart()

  const passwords = [sql.superuserUrl, sql.ownerUrl, sql.brokerUrl].map((url) => new URL(url).password)
  t.ok(secrets.length >= 8, 'secrets were handed out')
  t.ok(errors.length >= 7, 'errors were answered')
  t.match(rows, 'issuance.issued', 'the dump reads the log')
  const logs = await readdir(sql.dataDir, { recursive: true })
  const serverLog = await Promise.all(
    logs.filter((name) => name.endsWith('.log')).map((name) => readFile(join(sql.dataDir, name), 'utf8')),
  )
  const places = { log: broker.logged.join(''), rows, errors: errors.join(''), postgres: serverLog.join('') }
  t.ok(places.postgres.length > 100, 'the log of the database is looked through too')
  for (const [place, text] of Object.entries(places)) {
    for (const secret of [...secrets, ...passwords]) {
      // A token is secret in its signature; its first two parts are claims, and claims are recorded.
      const needle = secret.split('.')[2] ?? secret
      t.notOk(
        text.includes(needle) || text.includes(encodeURIComponent(needle)),
        `${place} has no ${needle.slice(0, 4)}…`,
      )
    }
    t.notMatch(text, /eyJ[\w-]+\.eyJ/, `${place} has no JWT at all`)
  }
})
