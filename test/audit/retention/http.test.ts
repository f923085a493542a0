import { join } from 'node:path'
import t from 'tap'
import { archivePartition, planArchive } from '../../../server/audit/archive/archive.js'
import { parseVerifierKey } from '../../../server/audit/merkle/keys.js'
import { folder } from '../../../server/audit/publish/folder.js'
import { verifyProof } from '../../../server/audit/verify/proof.js'
import { asOwner } from '../../../server/db/owner.js'
import { startTestBroker } from '../../support/broker.js'
import { silent, testDatabase } from '../../support/postgres.js'
import { smallPartitions } from './support.js'

t.test('a broker whose first entries are archived', { timeout: 120_000 }, async (t) => {
  const sql = await testDatabase(t)
  await asOwner(sql.ownerUrl, silent, (owner) => smallPartitions(owner, 10, 20))
  const broker = await startTestBroker(t, { sql })
  const agent = await broker.agentToken('orders-coder')
  const carol = await broker.operatorToken('carol')
  const issue = async (reason: string) => {
    const wish = { environment: 'development', scopes: ['orders:read'], reason, session: reason }
    const answer = await broker.call('POST', '/v1/credentials', agent, wish)
    t.equal(answer.status, 200)
    return answer.body.issuance as string
  }
  const issuances: string[] = []
  for (let i = 0; i < 12; i++) issuances.push(await issue(`number-${i}`))
  await broker.publishing?.checkpointer.tick()
  const key = parseVerifierKey(broker.publishing?.verifierKey ?? '')
  const archived = await asOwner(sql.ownerUrl, silent, async (owner) => {
    const plan = await planArchive(owner, folder(join(broker.dataDir, 'log')).read, [key], 0)
    const [first] = plan.partitions
    if (first === undefined) throw new Error('nothing to archive')
    const order = { by: 'dana', directory: t.testdir(), personal: true }
    return archivePartition(owner, plan, order, first)
  })
  t.match(archived, { from: 0, to: 10 })

  const old = await broker.call('GET', '/v1/log/entries?from=9', carol)
  t.match(old, { status: 410, body: { code: 'entries_archived', detail: /before 10 are archived/ } })
  const lines = (await broker.call('GET', '/v1/log/entries', carol)).body
  t.equal(lines[0].index, 10, 'by default from the first that is there')
  const { body: proof } = await broker.call('GET', '/v1/log/proof/entry/3', carol)
  t.match(verifyProof(Buffer.from(proof.proof), [key]), { index: 3 }, 'proofs come from the tiles')
  t.equal((await broker.call('GET', '/v1/log/proof/inclusion/3', carol)).status, 200)
  t.equal((await broker.call('GET', '/v1/log/proof/consistency/5', carol)).status, 200)

  const all = (await broker.call('GET', '/v1/issuances?limit=50', carol)).body.items
  t.equal(all.length, issuances.length, 'every issuance is still listed')
  t.match(all.at(-1), {
    issuance: issuances[0],
    state: 'issued',
    personal_data: 'archived',
    reason: null,
    subject: null,
  })
  t.match(all[0], { issuance: issuances.at(-1), personal_data: 'shown' })
  const one = await broker.call('GET', `/v1/issuances/${issuances[0]}`, carol)
  t.match(one, { status: 200, body: { issuance: { personal_data: 'archived' }, events: [] } })
  const told = await broker.call('GET', '/v1/events?kind=log.archived', carol)
  t.match(told.body.items, [{ body: { by: 'dana', from: 0, to: 10, origin: 'writ.localhost/log' } }])

  await issue('afterwards')
  for (let i = 0; i < 5; i++) await broker.publishing?.checkpointer.tick()
  t.equal(broker.publishing?.checkpointer.trouble(), undefined)
  t.equal((await broker.call('GET', '/readyz')).status, 200)
})
