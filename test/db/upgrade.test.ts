import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { leafHash } from '../../server/audit/merkle/hash.js'
import { findIssuance } from '../../server/audit/review/issuances.js'
import { listEvents, listIssuances } from '../../server/audit/review/lists.js'
import { Walk } from '../../server/audit/verify/walk.js'
import { migrate } from '../../server/db/migrate.js'
import { createPool } from '../../server/db/pool.js'
import { newId } from '../../server/issuance/id.js'
import { MIGRATIONS } from '../../server/wiring/database.js'
import { intentItem, READ_ROLE, ROLES, requestArgument } from '../support/items.js'
import { silent, testDatabase } from '../support/postgres.js'

t.test('a log of version 1 goes on as version 2, and every old entry stays byte for byte', async (t) => {
  const { brokerUrl, ownerUrl } = await testDatabase(t, { migrated: false })
  const released = join(t.testdir({}), 'released')
  mkdirSync(released)
  for (const file of readdirSync(MIGRATIONS).filter((name) => name < '007')) {
    copyFileSync(join(MIGRATIONS, file), join(released, file))
  }
  await migrate({ ownerUrl, directory: released, log: silent })
  const broker = createPool({ connectionString: brokerUrl, applicationName: 'test', log: silent })
  t.teardown(() => broker.end())
  await broker.query('SELECT writ.register_roles($1::jsonb)', [JSON.stringify(ROLES)])

  const before = { ...intentItem({ role_arn: READ_ROLE, issuance_id: newId() }), ...PERSONAL_V1 }
  const failed = newId()
  const append = (...items: object[]) =>
    broker.query('SELECT writ.append($1::jsonb)', [JSON.stringify(items)])
  await append(before, { op: 'outcome', issuance_id: before.issuance_id, state: 'issued', ...ISSUED })
  await append(
    { ...before, issuance_id: failed },
    { op: 'outcome', issuance_id: failed, state: 'failed', error_code: 'x' },
  )
  await append({ ...before, issuance_id: newId() })
  const request = requestArgument({ human: 'ann', human_how: 'verified' })
  await broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(request)])
  const bodies = () =>
    broker.query<{ body: Buffer; leaf_hash: Buffer }>('SELECT body, leaf_hash FROM writ.entry ORDER BY idx')
  const old = await bodies()

  await migrate({ ownerUrl, directory: MIGRATIONS, log: silent })
  await append(intentItem({ role_arn: READ_ROLE }))
  const all = await bodies()
  t.strictSame(all.slice(0, old.length), old)
  const walk = new Walk()
  for (const { body, leaf_hash } of all) {
    t.ok(leafHash(body).equals(leaf_hash))
    walk.next(body)
  }
  t.equal(walk.size, old.length + 1, 'and one log')
  t.match(JSON.parse(String(all.at(-1)?.body)), { v: 2 })
  t.match(JSON.parse(String(all[0]?.body)), { v: 1, human: 'ann' })

  const issued = await findIssuance(broker, before.issuance_id)
  t.match(issued, {
    human: 'ann',
    source_ip: '192.0.2.9',
    reason: 'old',
    personal_data: 'shown',
    state: 'issued',
  })
  const found = await listIssuances(broker, { human: 'ann' }, { limit: 10 })
  t.equal(found.items.length, 3, 'old ones are found by what was said of people')
  t.match(await listIssuances(broker, { state: 'failed' }, { limit: 10 }), { items: [{ issuance: failed }] })
  const requests = await listEvents(broker, { kind: 'grant_request.opened' }, { limit: 1 })
  t.match(requests.items[0]?.body, { v: 1, human: 'ann', reason: 'a test' })

  // What was open when the broker was stopped for the upgrade is closed by the sweep of the new version.
  const [open] = await broker.query<{ n: number }>("SELECT writ.sweep('10 seconds') AS n")
  t.equal(open?.n, 0, 'not before its time')
  const [room] = await broker.query<{ until: string }>('SELECT writ.partitioned_until() AS until')
  t.equal(Number(room?.until), 3_000_000)
})

const PERSONAL_V1 = {
  human: 'ann',
  human_how: 'verified',
  issuer: 'https://issuer.example.com',
  subject: 'agent:orders-coder',
  source_ip: '192.0.2.9',
  reason: 'old',
  payload: { human: 'ann', reason: 'old', tier: 'production' },
}
const ISSUED = { access_key_id: 'ASIAEXAMPLE', expires_at: '2999-01-01T00:00:00Z' }
