import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { archivePartition } from '../../../server/audit/archive/archive.js'
import { writeArchive } from '../../../server/audit/archive/write.js'
import { folder } from '../../../server/audit/publish/folder.js'
import { logStore } from '../../../server/audit/publish/store.js'
import { redact } from '../../../server/audit/redact.js'
import type { Queryable } from '../../../server/db/pool.js'
import { dump } from '../../support/dump.js'
import { failsWith } from '../../support/fails.js'
import { intentItem, READ_ROLE } from '../../support/items.js'
import { writer } from '../publish/support.js'
import {
  archiveNext,
  archiveStage,
  BY,
  crashInDetach,
  goesOn,
  order,
  plan,
  saysArchived,
  superuser,
  tables,
} from './support.js'

t.test('old partitions become archives, one after the other', { timeout: 60_000 }, async (t) => {
  const stage = await archiveStage(t, 350)
  const planned = await plan(stage)
  t.match(planned.partitions, [
    { name: 'entry_s0', from: 0, to: 100, why_not: undefined },
    { name: 'entry_s1', from: 100, to: 200, why_not: undefined },
    { name: 'entry_s2', from: 200, to: 300, why_not: undefined },
  ])
  const first = await archiveNext(stage)
  t.match(first, { partition: 'entry_s0', from: 0, to: 100, index: 350 })
  t.strictSame(await saysArchived(stage), [[0, 100, BY]])
  t.strictSame(await tables(stage, 'writ_archive'), ['entry_s0'])
  const gone = await stage.broker.query('SELECT FROM writ.entry WHERE idx < 100')
  t.equal(gone.length, 0)
  await goesOn(t, stage, 100)
  t.match(await archiveNext(stage), { partition: 'entry_s1', from: 100, to: 200 })
  await goesOn(t, stage, 200)
  t.strictSame(await readdir(stage.out), [
    'writ-log-000000000000-000000000099.json',
    'writ-log-000000000000-000000000099.ndjson.gz',
    'writ-log-000000000100-000000000199.json',
    'writ-log-000000000100-000000000199.ndjson.gz',
  ])
  t.notMatch(await readFile(join(stage.out, 'writ-log-000000000000-000000000099.json'), 'utf8'), /Mia/)
})

t.test('what is not ready stays', { timeout: 60_000 }, async (t) => {
  const stage = await archiveStage(t, 150)
  const why = async (seconds = 0) => (await plan(stage, seconds)).partitions.map((one) => one.why_not)
  t.strictSame(await why(3600), ['young'])
  await stage.add(100)
  t.strictSame(await why(), [undefined, 'unpublished'])
  await stage.restart().tick()
  t.strictSame(await why(), [undefined, undefined])

  const open = intentItem({ role_arn: READ_ROLE })
  const [verdict] = await stage.append(open)
  await stage.add(100)
  await stage.restart().tick()
  t.match(verdict, { index: 250 })
  t.strictSame(await why(), [undefined, undefined, 'open'], 'an intent without an outcome')
  await stage.append({
    op: 'outcome',
    issuance_id: open.issuance_id,
    state: 'failed',
    error_code: 'aws_refused',
  })
  t.strictSame(await why(), [undefined, undefined, undefined])

  await stage.broker.query("SELECT writ.begin_webhook('siem')")
  const admin = await superuser(t, stage)
  await admin.query('UPDATE writ.webhook SET next_idx = 120')
  t.strictSame(await why(), [undefined, 'webhook', 'webhook'], 'what a webhook has not had')
  await admin.query('UPDATE writ.webhook SET disabled_at = now()')
  t.strictSame(await why(), [undefined, undefined, undefined], 'a disabled one keeps nothing')
  const [{ at } = { at: '' }] = await admin.query<{ at: string }>(
    'SELECT at::text FROM writ.entry WHERE idx = 199',
  )
  await admin.query("UPDATE writ.entry SET at = now() + interval '1 day' WHERE idx = 199")
  t.strictSame(await why(), [undefined, 'young', 'earlier'], 'nothing leaves before what came earlier')
  await admin.query('UPDATE writ.entry SET at = $1::timestamptz WHERE idx = 199', [at])
  await admin.query('UPDATE writ.webhook SET disabled_at = NULL')

  const { log, before, partitions } = await plan(stage)
  const [, second] = partitions
  if (second === undefined) throw new Error('no second')
  await t.rejects(
    archivePartition(stage.owner, { log, before }, order(stage), second),
    /stays after all: not_next/,
  )
  t.equal(await stage.first(), 0)
  await archiveNext(stage)
  await t.rejects(
    archivePartition(stage.owner, { log, before }, order(stage), second),
    /stays after all: webhook/,
  )
  t.strictSame(await saysArchived(stage), [[0, 100, BY]])
})

t.test('an archive that is not what was published is never recorded', { timeout: 60_000 }, async (t) => {
  const stage = await archiveStage(t, 350)
  const admin = await superuser(t, stage)
  const change = (from: string, to: string) =>
    admin.query(`UPDATE writ.entry SET body = convert_to(replace(convert_from(body, 'UTF8'), '${from}', '${to}'), 'UTF8'),
       leaf_hash = sha256('\\x00'::bytea || convert_to(replace(convert_from(body, 'UTF8'), '${from}', '${to}'), 'UTF8'))
     WHERE idx = 42`)
  await change('orders-coder', 'report-coder')
  await t.rejects(archiveNext(stage), { code: 'entry_mismatch', index: 42 })
  t.equal(await stage.first(), 0)
  t.strictSame(await tables(stage, 'writ_archive'), [])
  await change('report-coder', 'orders-coder')
  await t.rejects(archiveNext(stage), { code: 'entry_mismatch' }, 'nor is what is there written over')

  await admin.query('DELETE FROM writ.entry WHERE idx = 150')
  const { log, partitions } = await plan(stage)
  await t.rejects(
    writeArchive(stage.owner, log, order(stage), partitions[1] ?? { from: 0, to: 0 }),
    /entry 150 is not in the database/,
  )
  t.strictSame(
    (await readdir(stage.out)).filter((name) => name.includes('100-')),
    ['writ-log-000000000100-000000000199.ndjson.gz.part'],
  )
})

t.test('only the log can say that entries went for good reason', { timeout: 60_000 }, async (t) => {
  const stage = await archiveStage(t, 350)
  await stage.owner.query('ALTER TABLE writ.entry DETACH PARTITION writ.entry_s0')
  await stage.owner.query('UPDATE writ.log_start SET first = 100')
  await t.rejects(stage.restart().start(), /begins at entry 100, and the log says nothing of that/)

  const other = await archiveStage(t, 350)
  await archiveNext(other)
  const admin = await superuser(t, other)
  await admin.query('DELETE FROM writ.entry WHERE idx = 101')
  const one = other.restart()
  for (let i = 0; i < 30 && one.trouble() === undefined; i++) await one.tick()
  t.match(one.trouble(), /none at 101|is not the one/, 'a loss behind the beginning is one')
})

t.test('what is archived between two looks is no loss', async (t) => {
  const stage = await archiveStage(t, 350)
  await archiveNext(stage)
  const store = logStore(stage.broker)
  let before = true
  const slow = writer(
    {
      ...store,
      begin: async () => (before ? { first: 0, archived: 0 } : store.begin()),
      bodies: async (from, most) => {
        before = false
        return store.bodies(from, most)
      },
    },
    stage.published,
  )
  for (let i = 0; i < 20; i++) {
    before = true
    await slow.start()
  }
  t.strictSame(slow.troubles, [])
})

t.test('a log that begins anew cannot be built without the archived entries, and says so', async (t) => {
  const stage = await archiveStage(t, 150)
  await archiveNext(stage)
  const store = logStore(stage.broker)
  const anew = writer({ ...store, latest: async () => undefined }, folder(`${stage.logFolder}-anew`))
  await t.rejects(anew.start(), /The entries before 100 are archived/)
  await t.rejects(anew.tick(), /The entries before 100 are archived/)

  await stage.owner.query('ALTER TABLE writ_archive.entry_s0 SET SCHEMA writ')
  await stage.owner.query(
    'ALTER TABLE writ.entry ATTACH PARTITION writ.entry_s0 FOR VALUES FROM (0) TO (100)',
  )
  await stage.owner.query('UPDATE writ.log_start SET first = 0')
  await goesOn(t, stage, 0)
  await anew.start()
})

t.test('the broker can neither detach nor move the beginning', async (t) => {
  const stage = await archiveStage(t, 150)
  const refused = (sql: string) => failsWith(t, stage.broker.query(sql), '42501', sql)
  await refused('ALTER TABLE writ.entry DETACH PARTITION writ.entry_s0')
  await refused('UPDATE writ.log_start SET first = 100')
  await refused("SELECT writ.record_archive('{}')")
  await refused("SELECT writ.archivable('infinity', 100)")
  await archiveNext(stage)
  await refused('SELECT FROM writ_archive.entry_s0')
  await refused('CREATE TABLE writ_archive.x (y integer)')
})

t.test('erasing reaches partitions that a crash left half detached', async (t) => {
  const stage = await archiveStage(t, 250)
  const left = async (table: string) => {
    const rows = await stage.owner.query(
      `SELECT FROM ${table} WHERE num_nonnulls(personal, salt, human, source_ip) > 0`,
    )
    return rows.length
  }
  const reader = await superuser(t, stage)
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await reader.query('SELECT count(*) FROM writ.entry')
  await crashInDetach(t, stage, 'entry_s1')
  await reader.query('COMMIT')
  await stage.owner.query('ALTER TABLE writ.entry DETACH PARTITION writ.entry_s0')
  t.equal(await left('writ.entry_s0'), 100)
  t.match(await redact(stage.owner, { by: BY, why: 'asked to', human: 'Mia' }), { entries: 250, held: 0 })
  t.equal(await left('writ.entry_s0'), 0)
  t.equal(await left('writ.entry_s1'), 0)
})

t.test('held rows are those that somebody still sees', async (t) => {
  const stage = await archiveStage(t, 150)
  // A session tells its counts once a second. As on a busy machine: just before the erasure, then after VACUUM.
  const tell = () => stage.owner.query('SELECT pg_stat_force_next_flush() FROM writ.log_start')
  const busy: Queryable = {
    query: async (text, values) => {
      if (text.includes('writ.redact')) await tell()
      const rows = await stage.owner.query<never>(text, values)
      if (text.startsWith('ANALYZE')) await tell()
      return rows
    },
  }
  t.match(await redact(busy, { by: BY, why: 'asked to', human: 'Mia' }), { entries: 150, held: 0 })

  await stage.add(50)
  const reader = await superuser(t, stage)
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await reader.query('SELECT count(*) FROM writ.entry')
  t.match(await redact(busy, { by: BY, why: 'asked to', human: 'Mia' }), { entries: 50, held: 50 })
  await reader.query('COMMIT')
})

t.test('erasing reaches partitions that are detached and not dropped yet', async (t) => {
  const stage = await archiveStage(t, 150)
  await archiveNext(stage)
  const done = await redact(stage.owner, { by: BY, why: 'asked to', human: 'Mia' })
  t.match(done, { entries: 150 })
  const rows = await stage.owner.query(
    'SELECT FROM writ_archive.entry_s0 WHERE num_nonnulls(personal, salt, human, source_ip) > 0',
  )
  t.equal(rows.length, 0)
  t.notMatch(await dump(stage.superuserUrl), /Mia/)
})
