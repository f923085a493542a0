import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { finishDetaching } from '../../../server/audit/archive/archive.js'
import { detach, recordArchive } from '../../../server/audit/archive/detach.js'
import { checkArchive, writeArchive } from '../../../server/audit/archive/write.js'
import { databaseError } from '../../support/postgres.js'
import {
  type ArchiveStage,
  archiveNext,
  archiveStage,
  BY,
  goesOn,
  order,
  plan,
  saysArchived,
  superuser,
  tables,
} from './support.js'

t.test('a crash at any point', { timeout: 120_000 }, async (t) => {
  const begun = async () => {
    const stage = await archiveStage(t, 150)
    const planned = await plan(stage)
    const [partition] = planned.partitions
    if (partition === undefined) throw new Error('nothing to archive')
    const record = async () => {
      const archive = await writeArchive(stage.owner, planned.log, order(stage), partition)
      const { origin, size, root } = await checkArchive(archive, planned.log)
      const { before } = planned
      await recordArchive(stage.owner, {
        name: 'entry_s0',
        by: BY,
        origin,
        size,
        root: root.toString('base64'),
        before,
      })
    }
    return { stage, record, file: join(stage.out, 'writ-log-000000000000-000000000099'), planned, partition }
  }
  /** As it is after the whole, told once. */
  const whole = async (t: Test, stage: ArchiveStage) => {
    t.strictSame(await saysArchived(stage), [[0, 100, BY]])
    t.strictSame(await tables(stage, 'writ_archive'), ['entry_s0'])
    t.notOk((await tables(stage, 'writ')).includes('entry_s0'))
    t.strictSame((await plan(stage)).unfinished, [])
    await goesOn(t, stage, 100)
  }

  t.test('half an entries file', async (t) => {
    const { stage, file } = await begun()
    await writeFile(`${file}.ndjson.gz.part`, 'half')
    await archiveNext(stage)
    await whole(t, stage)
  })
  t.test('the entries, but no manifest', async (t) => {
    const { stage, file, planned, partition } = await begun()
    await writeArchive(stage.owner, planned.log, order(stage), partition)
    await writeFile(`${file}.json.part`, await readFile(`${file}.json`, 'utf8'))
    await rm(`${file}.json`)
    await truncate(`${file}.ndjson.gz`, 100)
    await archiveNext(stage)
    await whole(t, stage)
  })
  t.test('the archive, and nothing in the database', async (t) => {
    const { stage, planned, partition } = await begun()
    await writeArchive(stage.owner, planned.log, order(stage), partition)
    await goesOn(t, stage, 0)
    await archiveNext(stage)
    t.strictSame(await saysArchived(stage), [[0, 100, BY]])
  })
  t.test('recorded, and still attached', async (t) => {
    const { stage, record } = await begun()
    await record()
    await goesOn(t, stage, 100)
    t.strictSame((await plan(stage)).unfinished, ['entry_s0'])
    t.strictSame(await finishDetaching(stage.owner), ['entry_s0'])
    await whole(t, stage)
  })
  t.test('half detached', async (t) => {
    const { stage, record } = await begun()
    await record()
    // A reader that does not end: detaching has committed once and waits for it.
    const reader = await superuser(t, stage)
    await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
    await reader.query('SELECT count(*) FROM writ.entry')
    await t.rejects(detach(stage.owner, 'entry_s0', 300), databaseError({ sqlState: '57014' }))
    t.match(await stage.owner.query("SELECT detaching FROM writ.entry_partition WHERE name = 'entry_s0'"), [
      { detaching: true },
    ])
    await goesOn(t, stage, 100)
    t.match(
      await stage.owner.query('SELECT writ.make_partitions(8) AS made'),
      [{ made: 6 }],
      'partitions are still made',
    )
    await reader.query('COMMIT')
    t.strictSame((await plan(stage)).unfinished, ['entry_s0'])
    await finishDetaching(stage.owner)
    await whole(t, stage)
  })
  t.test('detached, and not put away', async (t) => {
    const { stage, record } = await begun()
    await record()
    await stage.owner.query('ALTER TABLE writ.entry DETACH PARTITION writ.entry_s0')
    await goesOn(t, stage, 100)
    t.strictSame(await finishDetaching(stage.owner), ['entry_s0'])
    await whole(t, stage)
  })
  t.test('not recorded: detached by hand, which is a loss', async (t) => {
    const { stage } = await begun()
    await stage.owner.query('ALTER TABLE writ.entry DETACH PARTITION writ.entry_s0')
    const one = stage.restart()
    await t.rejects(one.start(), /the database has none at 0/)
  })
})
