import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { parseVerifierKey } from '../../../server/audit/merkle/keys.js'
import { folder } from '../../../server/audit/publish/folder.js'
import { previewRedaction, redact } from '../../../server/audit/redact.js'
import { verifyExport } from '../../../server/audit/verify/export.js'
import { verifyProof } from '../../../server/audit/verify/proof.js'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import { startTestBroker } from '../../support/broker.js'
import { dump } from '../../support/dump.js'
import { testServer } from '../../support/postgres.js'
import { aDay, administrator, HUMAN, OTHER, owner } from './support.js'

const ORDER = { by: 'dana (privacy)', why: 'request 4711 under article 17' }

t.test('a human is erased, and everything still proves', { timeout: 120_000 }, async (t) => {
  const sql = await testServer(t)
  const broker = await startTestBroker(t, { sql })
  const carol = await broker.operatorToken('carol')
  const day = await aDay(t, broker, HUMAN, 'Philomena')
  const other = await aDay(t, broker, OTHER, 'Zebedee')
  await broker.publishing?.checkpointer.tick()
  const { body: head } = await broker.call('GET', '/v1/log/checkpoint', carol)
  const key = parseVerifierKey(broker.publishing?.verifierKey ?? '')
  const proof = (await broker.call('GET', '/v1/log/proof/entry/5', carol)).body.proof
  const take = async (query: string) =>
    (await broker.call('GET', `/v1/log/entries${query}`, carol)).body.map((line: object) =>
      JSON.stringify(line),
    )
  const before = await take('')
  const verifies = async (lines: readonly string[], why: string) => {
    t.match(await verifyExport(lines, Buffer.from(head.note), [key]), { size: head.size }, why)
  }
  t.match(await dump(sql.superuserUrl), /Philomena/)

  const found = await owner(sql, (client) => previewRedaction(client, { ...ORDER, human: HUMAN }))
  t.match(found, { requests: [day.request], pending: [], version_1: 0, mentioned: [] })
  t.ok(found.entries >= 9 && found.alive >= 1, `${found.entries} entries, ${found.alive} alive`)
  t.match(await dump(sql.superuserUrl), /Philomena/, 'a preview changes nothing')

  const done = await owner(sql, (client) => redact(client, { ...ORDER, human: HUMAN }))
  t.match(done, { entries: found.entries, requests: [day.request], held: 0 })
  const gone = await dump(sql.superuserUrl)
  t.notMatch(gone, /Philomena/, 'nothing of the human is in the database')
  t.match(gone, /Zebedee may/, 'and everything of the others is')
  const admin = await administrator(t, sql)
  t.match(
    await admin.query("SELECT key = 'erased' AS erased FROM writ.denial ORDER BY entry_idx"),
    [{ erased: true }, { erased: false }],
    'nor the hash that named who was refused',
  )
  const again = await owner(sql, (client) => redact(client, { ...ORDER, human: HUMAN }))
  t.match(again, { entries: 0, tables: [] }, 'a second time there is nothing to do, and nothing is recorded')
  t.notOk('log' in again)

  const told = await broker.call('GET', '/v1/events?kind=log.redacted', carol)
  t.equal(told.body.items.length, 1)
  t.match(told.body.items[0], { index: done.log?.[0], body: { ...ORDER, requests: [day.request] } })
  const [first, last] = told.body.items[0].body.erased[0]
  const events = await broker.call('GET', `/v1/events?before=${last + 1}&limit=1`, carol)
  t.match(events.body.items[0], { index: last })
  const intended = await broker.call(
    'GET',
    `/v1/events?issuance=${day.issuances[0]}&kind=issuance.intended`,
    carol,
  )
  t.match(intended.body.items[0], { personal_data: 'erased', personal: null })
  t.ok(first <= intended.body.items[0].index)
  const nobody = { human: null, human_how: null, subject: null, source_ip: null, reason: null, ticket: null }
  t.match((await broker.call('GET', `/v1/issuances/${day.issuances[1]}`, carol)).body.issuance, {
    ...nobody,
    personal_data: 'erased',
  })
  t.match((await broker.call('GET', `/v1/issuances/${other.issuances[1]}`, carol)).body.issuance, {
    human: OTHER,
    personal_data: 'shown',
  })
  t.strictSame(
    (await broker.call('GET', `/v1/issuances?human=${encodeURIComponent(HUMAN)}`, carol)).body.items,
    [],
  )
  const bob = await broker.operatorToken('bob')
  const requests = (await broker.call('GET', '/v1/grant-requests', bob)).body.items
  t.match(requests, [
    { id: other.request, reason: 'Zebedee writes', decisions: [{ comment: 'Zebedee may' }] },
    {
      id: day.request,
      reason: null,
      ticket: null,
      on_behalf_of: null,
      decisions: [{ operator: 'bob', comment: null }],
    },
  ])
  t.match((await broker.call('GET', `/v1/grants?state=revoked`, bob)).body.items, [
    { revoke_reason: 'Zebedee has enough' },
    { revoke_reason: null, revoked_by: 'bob' },
  ])

  await verifies(before, 'an export from before')
  const after = await take('?personal=true')
  await verifies(after, 'an export from after')
  t.match(JSON.parse(after[intended.body.items[0].index] ?? ''), { personal: undefined, salt: undefined })
  t.equal(after.slice(0, before.length).filter((line: string) => line.includes('Philomena')).length, 0)
  t.match(verifyProof(Buffer.from(proof), [key]), { index: 5 }, 'a proof from before')
  await broker.publishing?.checkpointer.tick()
  t.equal(broker.publishing?.checkpointer.trouble(), undefined)
  const published = folder(join(broker.dataDir, 'log'))
  t.ok((await verifyTiles(published.read, [key])).size > (done.log?.[0] ?? 0), 'the published log')

  t.test('what lies beside the log cannot be put back otherwise', async (t) => {
    const { index } = (
      await broker.call('GET', `/v1/events?issuance=${other.issuances[0]}&kind=issuance.intended`, carol)
    ).body.items[0]
    const altered = async (change: string, why: string) => {
      const [row] = await admin.query('SELECT personal, salt FROM writ.entry WHERE idx = $1', [index])
      await admin.query(`UPDATE writ.entry SET ${change} WHERE idx = $1`, [index])
      const shown = await broker.call('GET', `/v1/events?issuance=${other.issuances[0]}`, carol)
      t.match(
        shown.body.items.find((one: { index: number }) => one.index === index),
        { personal_data: 'altered', personal: null },
        why,
      )
      const issuance = await broker.call('GET', `/v1/issuances/${other.issuances[0]}`, carol)
      t.match(issuance.body.issuance, { ...nobody, personal_data: 'altered' }, why)
      const lines = await take('?personal=true')
      await t.rejects(
        verifyExport(lines, Buffer.from(head.note), [key]),
        { code: 'personal_mismatch', index },
        why,
      )
      const values = [index, row?.personal, row?.salt]
      await admin.query('UPDATE writ.entry SET personal = $2, salt = $3 WHERE idx = $1', values)
    }
    await altered(
      `personal = convert_to(replace(convert_from(personal, 'UTF8'), 'Zebedee', 'Philomena'), 'UTF8')`,
      'another name',
    )
    await altered(`salt = decode('000102030405060708090a0b0c0d0e0f', 'hex')`, 'another salt')
    await verifies(await take('?personal=true'), 'and back again')
  })

  t.test('rewriting takes the bytes out of the files', async (t) => {
    const filesWith = async (text: string) => {
      await admin.query('CHECKPOINT')
      const found = spawnSync('grep', ['-rlaE', text, join(sql.dataDir, 'postgres', 'base')], {
        encoding: 'utf8',
      })
      return found.stdout.split('\n').filter((file) => file !== '')
    }
    const remembered = async () =>
      (
        await admin.query(
          "SELECT FROM pg_stats WHERE concat(most_common_vals, histogram_bounds) LIKE '%Zebedee%'",
        )
      ).length
    await admin.query('ANALYZE')
    t.ok((await filesWith('Zebedee')).length > 2)
    t.ok((await remembered()) > 0, 'also among the common values of the planner')
    const done = await owner(sql, (client) =>
      redact(client, { ...ORDER, human: OTHER, why: 'another' }, { rewrite: true }),
    )
    t.ok(done.entries > 5)
    t.notMatch(await dump(sql.superuserUrl), /Zebedee/)
    t.equal(await remembered(), 0)
    // Old rows of the planner's statistics are the superuser's to take away.
    await admin.query('VACUUM FULL pg_catalog.pg_statistic')
    t.strictSame(await filesWith('Zebedee|Philomena'), [], 'not in a file of the database any more')
  })
})
