import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { asOwner } from '../../server/db/owner.js'
import { createPool } from '../../server/db/pool.js'
import { smallPartitions } from '../audit/retention/support.js'
import { startTestBroker } from '../support/broker.js'
import { silent, testServer } from '../support/postgres.js'
import { command } from './support.js'

const REDACT = ['audit', 'redact', '--by', 'dana', '--why', 'case 4711', '--json']

t.test('erasing and archiving from the command line', { timeout: 120_000 }, async (t) => {
  // The data folder of an embedded database, as that of `npm start`: nothing needs to be configured.
  const sql = await testServer(t)
  await asOwner(sql.ownerUrl, silent, (owner) => smallPartitions(owner, 10, 20))
  const broker = await startTestBroker(t, { sql })
  const { writ, folder } = command(t)
  const local = { env: { WRIT_DATA_DIR: sql.dataDir } }
  const owned = { env: { WRIT_MIGRATE_DATABASE_URL: sql.ownerUrl } }
  const carol = await broker.operatorToken('carol')
  const read = { environment: 'development', scopes: ['orders:read'] }
  const issue = async (human: string, session: string) => {
    const agent = await broker.agentToken('orders-coder', { claims: { human } })
    const wish = { ...read, reason: `for ${human}`, session }
    t.equal((await broker.call('POST', '/v1/credentials', agent, wish)).status, 200)
  }
  for (let i = 0; i < 8; i++) await issue(i % 2 === 0 ? 'Philomena Quux' : 'Zebedee Vance', `session-${i}`)
  const asked = await broker.call(
    'POST',
    '/v1/grant-requests',
    await broker.agentToken('orders-coder', { claims: { human: 'Philomena Quux' } }),
    { environment: 'production', scopes: ['orders:write'], reason: 'hers' },
  )

  t.test('redact', async (t) => {
    const human = ['--human', 'Philomena Quux']
    t.match(await writ([...REDACT, ...human, '--dry-run'], local), {
      code: 0,
      json: { dry_run: true, entries: 9, pending: [asked.body.id], alive: 4 },
    })
    const pending = await writ([...REDACT, ...human, '--yes'], local)
    t.match(pending, { code: 7, json: { code: 'requests_pending', requests: [asked.body.id] } })
    const agent = await broker.agentToken('orders-coder')
    t.equal((await broker.call('DELETE', `/v1/grant-requests/${asked.body.id}`, agent)).status, 200)
    t.match(
      await writ([...REDACT, ...human], local),
      { code: 2, json: { detail: /no terminal/ } },
      'asks first',
    )
    t.match(
      await writ([...REDACT.slice(0, 4), '--why', 'for Philomena Quux', ...human, '--yes', '--json'], local),
      { code: 2, json: { detail: /names the person/ } },
    )
    t.match(await writ([...REDACT, '--yes'], local), { code: 2, json: { detail: /whose data/ } })
    t.match(await writ([...REDACT, ...human, '--entry', '5-3', '--yes'], local), { code: 2 })
    const done = await writ([...REDACT, ...human, '--yes'], local)
    t.match(done, { code: 0, json: { dry_run: false, requests: [asked.body.id], version_1: 0 } }, done.stderr)
    t.match(await writ([...REDACT, ...human, '--yes'], owned), { code: 0, json: { entries: 0 } })
    const one = await writ([...REDACT.slice(0, -1), '--entry', '5', '--dry-run'], owned)
    t.match(one, { code: 0, stdout: /Would erase:\s+\d entries, 0 grant requests/ })
    const issuances = await broker.call('GET', '/v1/issuances', carol)
    t.equal(issuances.body.items.filter((each: { reason: unknown }) => each.reason === null).length, 4)
  })

  t.test('who may not', async (t) => {
    const brokers = { env: { WRIT_MIGRATE_DATABASE_URL: sql.brokerUrl } }
    t.match(await writ([...REDACT, '--human', 'x', '--yes'], brokers), {
      code: 1,
      json: { detail: /member of writ_owner/ },
    })
    t.match(await writ([...REDACT, '--human', 'x', '--yes'], { env: { DATABASE_URL: sql.brokerUrl } }), {
      code: 1,
      json: { detail: /WRIT_MIGRATE_DATABASE_URL is missing/ },
    })
    t.match(await writ([...REDACT, '--human', 'x', '--yes'], { env: { WRIT_DATA_DIR: folder } }), {
      code: 1,
      json: { detail: /No broker is running/ },
    })
  })

  t.test('archive, and verify what came out', async (t) => {
    await broker.publishing?.checkpointer.tick()
    const admin = createPool({
      connectionString: sql.superuserUrl,
      applicationName: 'test',
      log: silent,
      max: 1,
    })
    t.teardown(() => admin.end())
    await admin.query('SET session_replication_role = replica')
    const out = join(folder, 'archive')
    const log = join(broker.dataDir, 'log')
    const key = broker.publishing?.verifierKey ?? ''
    const archive = ['audit', 'archive', '--older-than', '400d', '--out', out, '--by', 'dana', '--json']
    const given = ['--log', log, '--key', key]
    t.match(await writ([...archive, ...given, '--dry-run'], local), {
      code: 0,
      json: { archived: [], kept: [{ from: 0, to: 10, why_not: 'young' }, { why_not: 'young' }] },
    })
    await admin.query("UPDATE writ.entry SET at = at - interval '401 days'")
    t.match(await writ([...archive, ...given], local), { code: 2, json: { detail: /no terminal/ } })
    t.match(await writ([...archive, '--yes'], owned), { code: 2 }, 'the log is not known')
    t.notOk(existsSync(out))
    const done = await writ([...archive, ...given, '--yes'], owned)
    t.match(
      done,
      {
        code: 0,
        json: {
          archived: [
            { from: 0, to: 10 },
            { from: 10, to: 20 },
          ],
          kept: [],
        },
      },
      done.stderr,
    )
    t.match(await writ([...archive, ...given, '--yes'], owned), { code: 0, json: { archived: [] } })

    await broker.publishing?.checkpointer.tick()
    const client = { env: { WRIT_URL: broker.url, WRIT_OPERATOR_TOKEN: carol } }
    const file = join(folder, 'log.ndjson')
    const exported = await writ(['audit', 'export', '--out', file, '--json'], client)
    t.match(exported, { code: 0, json: { from: 20 } }, exported.stderr)
    const verify = (...args: string[]) => writ(['audit', 'verify', ...args, '--key', key, '--json'])
    const rest = [file, '--checkpoint', `${file}.checkpoint`]
    const whole = await verify(out, ...rest)
    t.match(
      whole,
      { code: 0, json: { verified: 'export', archives: 2, from: 0, sessions_on_grants: 0 } },
      whole.stdout,
    )
    t.equal(whole.json.size, exported.json.covered)
    t.match(await verify(out), { code: 0, json: { verified: 'archives', to: 20 } })
    const manifests = readdirSync(out).filter((name) => name.endsWith('.json'))
    const second = join(out, manifests[1] ?? '')
    t.match(await verify(second), { code: 0, json: { from: 10, to: 20 } }, 'one by itself')
    t.match(
      await verify(...rest),
      { code: 9, json: { code: 'entry_missing' } },
      'an export without what came before',
    )
    t.match(await verify(...rest, '--tiles', log), { code: 0, json: { from: 20 } })
    t.match(await verify(second, ...rest, '--tiles', log), { code: 0, json: { from: 10, archives: 1 } })
    t.match(await verify(second, '--tiles', folder), { code: 9, json: { code: 'file_missing' } })
    t.match(await verify(join(out, manifests[0] ?? ''), ...rest), {
      code: 9,
      json: { code: 'entry_missing', index: 10 },
    })
    const manifest = JSON.parse(readFileSync(second, 'utf8'))
    writeFileSync(second, JSON.stringify({ ...manifest, sha256: '0'.repeat(64) }))
    t.match(await verify(second), { code: 9, json: { code: 'export_malformed' } })
    t.match(await verify(file, file, ...rest.slice(1)), { code: 2 })
  })
})
