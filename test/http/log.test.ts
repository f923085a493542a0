import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { openCheckpoint } from '../../server/audit/merkle/checkpoint.js'
import { parseSignerKey, parseVerifierKey } from '../../server/audit/merkle/keys.js'
import { verifyConsistency, verifyInclusion } from '../../server/audit/merkle/proof.js'
import { folder } from '../../server/audit/publish/folder.js'
import { publishLog } from '../../server/audit/publish/publishing.js'
import { verifyProof } from '../../server/audit/verify/proof.js'
import { verifyTiles } from '../../server/audit/verify/tiles.js'
import { createPool } from '../../server/db/pool.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'
import { silent } from '../support/postgres.js'

const WISH = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }

async function published(broker: TestBroker, carol: string, least: number) {
  for (;;) {
    await broker.publishing?.checkpointer.tick()
    const { body } = await broker.call('GET', '/v1/log/checkpoint', carol)
    if (body.size >= least) return body as { origin: string; size: number; note: string }
  }
}

t.test('a credential can be proven to somebody who has the public key and nothing else', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const carol = await broker.operatorToken('carol')
  const first = await published(broker, carol, 1)
  const issued = await broker.call('POST', '/v1/credentials', agent, WISH)
  const { entry } = issued.body
  const head = await published(broker, carol, entry + 1)

  const { body: told } = await broker.call('GET', '/v1/log/key', carol)
  const key = parseVerifierKey(told.verifier_key)
  const { size, root } = openCheckpoint(Buffer.from(head.note), [key], told.origin)
  t.equal(size, head.size)

  const { body: one } = await broker.call('GET', `/v1/log/proof/entry/${entry}`, carol)
  const proven = verifyProof(Buffer.from(one.proof), [key])
  t.match(JSON.parse(proven.body.toString('utf8')), {
    kind: 'issuance.issued',
    issuance_id: issued.body.issuance,
    access_key_id: issued.body.credentials.access_key_id,
  })
  const hashes = (list: string[]) => list.map((hash) => Buffer.from(hash, 'base64'))
  const { body: inclusion } = await broker.call('GET', `/v1/log/proof/inclusion/${entry}`, carol)
  const events = await broker.call('GET', `/v1/events?issuance=${issued.body.issuance}`, carol)
  const leaf = Buffer.from(
    events.body.items.find((item: { index: number }) => item.index === entry).leaf_hash,
    'hex',
  )
  verifyInclusion(
    leaf,
    entry,
    inclusion.size,
    hashes(inclusion.hashes),
    inclusion.size === size ? root : Buffer.alloc(0),
  )
  const old = openCheckpoint(Buffer.from(first.note), [key])
  const { body: consistency } = await broker.call('GET', `/v1/log/proof/consistency/${old.size}`, carol)
  verifyConsistency(old.size, consistency.size, hashes(consistency.hashes), old.root, root)

  const whole = await broker.call('GET', '/v1/log/entries', carol)
  t.strictSame(
    whole.body.map((line: { index: number }) => line.index),
    [...Array(whole.body.length).keys()],
    'an export is every entry, in order',
  )
  t.ok(whole.body.length >= size)
  const part = await broker.call('GET', '/v1/log/entries?from=1&to=3', carol)
  t.strictSame(part.body, whole.body.slice(1, 3))
  const taken = await broker.call('GET', '/v1/events?kind=log.exported', carol)
  t.match(taken.body.items[0].body, { operator: 'carol', from: 1, to: 3 }, 'and is recorded')

  t.match(await broker.call('GET', '/v1/log/proof/inclusion/99999', carol), { status: 404 })
  t.match(await broker.call('GET', '/v1/log/proof/inclusion/-1', carol), { status: 422 })
  t.match(await broker.call('GET', '/v1/log/proof/consistency/0', carol), { status: 422 })
  for (const path of [
    '..%2f..%2flocal-issuer.json',
    '../local-issuer.json',
    'checkpoint',
    '0/000.p/0',
    '0/x',
  ]) {
    t.match(await broker.call('GET', `/v1/log/tile/${path}`, carol), { status: 404 }, `${path} is no tile`)
  }
  const read = folder(join(broker.dataDir, 'log')).read
  t.match(await verifyTiles(read, [key]), { origin: told.origin })
})

t.test('after a rewrite nothing is issued, and readiness says why', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const carol = await broker.operatorToken('carol')
  await broker.call('POST', '/v1/credentials', agent, WISH)
  const granted = await broker.grant('bob', {
    agent: 'orders-coder',
    environment: 'production',
    scopes: ['orders:write'],
    reason: 'a test',
  })
  const wish = { environment: 'production', scopes: ['orders:write'], reason: 'a test' }
  const pending = await broker.call('POST', '/v1/grant-requests', agent, wish)
  await published(broker, carol, 3)
  const admin = createPool({
    connectionString: broker.sql.superuserUrl,
    applicationName: 'test',
    log: silent,
    max: 1,
  })
  t.teardown(() => admin.end())
  await admin.query('SET session_replication_role = replica')
  await admin.query(
    `UPDATE writ.entry SET body = body || ' ', leaf_hash = sha256('\\x00'::bytea || body || ' ') WHERE idx = 1`,
  )
  await broker.publishing?.checkpointer.tick()
  const refused = { status: 503, body: { code: 'log_untrusted' } }
  t.match(await broker.call('POST', '/v1/credentials', agent, WISH), refused)
  t.match(await broker.call('POST', '/v1/credentials', agent, { ...WISH, scopes: ['nothing'] }), refused)
  t.match(
    await broker.call('POST', '/v1/grant-requests', agent, { ...wish, reason: 'more' }),
    refused,
    'nothing is asked for',
  )
  const bob = await broker.operatorToken('bob')
  t.match(await broker.decide(pending.body.id, 'bob'), refused, 'or approved')
  t.match(await broker.grant('bob', { ...wish, agent: 'orders-coder' }), refused, 'or granted')
  t.match(
    await broker.call('POST', `/v1/grants/${granted.body.grant_id}/revoke`, bob, { reason: 'r' }),
    { status: 200, body: { state: 'revoked' } },
    'but what was granted can be taken back',
  )
  const ready = await broker.call('GET', '/readyz')
  t.match(ready, {
    status: 503,
    body: { ready: false, checks: { log: { ok: false, detail: /entry 1 is not/ } } },
  })
})

t.test('a folder and a key that do not belong together stop the start in one sentence', async (t) => {
  const one = await startTestBroker(t)
  await one.publishing?.checkpointer.tick()
  const two = await startTestBroker(t)
  const key = await readFile(join(two.dataDir, 'log-key'), 'utf8')
  const signer = parseSignerKey(key.trim())
  const directory = join(one.dataDir, 'log')
  await t.rejects(publishLog({ database: one.database, signer, directory, log: silent }), {
    name: 'StartError',
    message: /must belong together/,
  })
})
