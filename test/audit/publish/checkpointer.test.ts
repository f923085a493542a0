import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { signCheckpoint } from '../../../server/audit/merkle/checkpoint.js'
import { generateSignerKey, parseSignerKey } from '../../../server/audit/merkle/keys.js'
import { folder, type Published } from '../../../server/audit/publish/folder.js'
import { type LogStore, logStore } from '../../../server/audit/publish/store.js'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import { testLedger } from '../../support/ledger.js'
import { add, asSuperuser, Crash, key, signer, writer } from './support.js'

t.test('publishes what is new, and anybody can verify it', async (t) => {
  const ledger = await testLedger(t)
  const root = t.testdir()
  const published = folder(root)
  const one = writer(logStore(ledger.broker), published)
  await one.start()
  t.equal(await one.tick(), 0, 'nothing yet')
  for (const n of [1, 1, 300, 255, 1, 600]) {
    await add(ledger, n)
    await one.tick()
    t.match(await verifyTiles(published.read, [key]), { size: one.size() })
  }
  t.equal(one.size(), 1158)

  const again = writer(logStore(ledger.broker), published, 'two')
  await again.start()
  t.equal(again.size(), 1158, 'another process goes on where it was')
  t.strictSame(one.troubles, [])
})

t.test('a rewrite of the database is noticed', async (t) => {
  const ledger = await testLedger(t)
  const published = folder(t.testdir())
  const one = writer(logStore(ledger.broker), published)
  await one.start()
  await add(ledger, 40)
  await one.tick()
  await asSuperuser(
    t,
    ledger,
    `UPDATE writ.entry SET body = convert_to(replace(convert_from(body, 'UTF8'), 'intended', 'invented'), 'UTF8'),
       leaf_hash = sha256('\\x00'::bytea || convert_to(replace(convert_from(body, 'UTF8'), 'intended', 'invented'), 'UTF8'))
     WHERE idx = 17`,
  )
  await one.tick()
  t.match(one.trouble(), /entry 17 is not the one that was published/)
  await t.rejects(writer(logStore(ledger.broker), published).start(), /entry 17/, 'and at the next start')
})

t.test('a restore of an older database is noticed', async (t) => {
  const ledger = await testLedger(t)
  const published = folder(t.testdir())
  await add(ledger, 20)
  const one = writer(logStore(ledger.broker), published)
  await one.start()
  await one.tick()

  t.test('the newest entries gone, checkpoints and all', async (t) => {
    await add(ledger, 10)
    await one.tick()
    await asSuperuser(
      t,
      ledger,
      `DELETE FROM writ.entry WHERE idx >= 20; DELETE FROM writ.checkpoint WHERE size > 20;
       UPDATE writ.log_head SET size = 20`,
    )
    await t.rejects(writer(logStore(ledger.broker), published).start(), /it is older/)
    await one.tick()
    t.match(one.trouble(), /older|has 20/, 'by the one that runs as well')
  })
  t.test('an empty database in its place', async (t) => {
    const empty = await testLedger(t)
    await t.rejects(writer(logStore(empty.broker), published).start(), /the database knows of none/)
  })
  t.test('refilled past the published size', async (t) => {
    const other = await testLedger(t)
    await add(other, 20)
    const forged = writer(logStore(other.broker), folder(t.testdir()))
    await forged.start()
    await forged.tick()
    await add(other, 60)
    await forged.tick()
    const start = writer(logStore(other.broker), published).start()
    await t.rejects(start, /does not continue the 30 published/)
  })
})

t.test('nothing is published past a gap', async (t) => {
  const ledger = await testLedger(t)
  const published = folder(t.testdir())
  await add(ledger, 10)
  await asSuperuser(t, ledger, 'DELETE FROM writ.entry WHERE idx = 5')
  const one = writer(logStore(ledger.broker), published)
  await one.start()
  t.equal(await one.tick(), 5)
  t.equal(await one.tick(), 5)
  t.match(await verifyTiles(published.read, [key]), { size: 5 })
})

t.test('what is published cannot be changed unnoticed either', async (t) => {
  const ledger = await testLedger(t)
  const root = t.testdir()
  await add(ledger, 10)
  const one = writer(logStore(ledger.broker), folder(root))
  await one.start()
  await one.tick()
  const other = parseSignerKey(generateSignerKey(signer.name))
  const forged = signCheckpoint({ origin: signer.name, size: 9, root: Buffer.alloc(32), extensions: [] }, [
    other,
  ])
  await writeFile(join(root, 'checkpoint'), forged)
  await t.rejects(
    writer(logStore(ledger.broker), folder(root)).start(),
    { code: /note|sign|key/ },
    'by another key',
  )
})

t.test('crashes, at each point', async (t) => {
  for (const point of [
    'before tiles',
    'between tiles',
    'before the database',
    'after the database',
  ] as const) {
    await t.test(point, async (t) => {
      const ledger = await testLedger(t)
      const real = folder(t.testdir())
      let writes = 0
      const published: Published = {
        read: real.read,
        write: async (path, data) => {
          if (point === 'before tiles') throw new Crash()
          if (point === 'between tiles' && ++writes === 2) throw new Crash()
          if (point === 'after the database' && path === 'checkpoint') throw new Crash()
          await real.write(path, data)
        },
      }
      const store = logStore(ledger.broker)
      const crashing: LogStore = {
        ...store,
        record: point === 'before the database' ? () => Promise.reject(new Crash()) : store.record,
      }
      await add(ledger, 300)
      const one = writer(crashing, published)
      await one.start()
      await t.rejects(one.tick(), { name: 'Crash' })
      const next = writer(store, real)
      await next.start()
      await add(ledger, 5)
      t.equal(await next.tick(), 305)
      t.match(await verifyTiles(real.read, [key]), { size: 305 })
      t.equal(next.trouble(), undefined)
    })
  }
})

t.test('two replicas: one writes, and one that was stopped cannot come back', async (t) => {
  const ledger = await testLedger(t)
  const published = folder(t.testdir())
  const store = logStore(ledger.broker)
  await add(ledger, 5)
  const one = writer(store, published, 'one')
  const two = writer(store, published, 'two')
  await one.start()
  await two.start()
  t.equal(await one.tick(), 5)
  await add(ledger, 5)
  t.equal(await two.tick(), 5, 'the lease is taken')
  t.equal(await one.tick(), 10)

  const fence = await store.claim('one', 1)
  t.ok(fence !== undefined)
  // The database's clock ends the lease; there is nothing to await but it.
  while ((await store.claim('two', 10)) === undefined) await delay(50)
  const peaks: string[] = []
  const late = { size: 10_000, root: Buffer.alloc(32), peaks, note: 'late' }
  t.equal(await store.record(fence ?? 0, signer.name, late), false, 'its fence is no longer the one')
  await add(ledger, 5)
  t.equal(await two.tick(), 15)
  t.equal(await one.tick(), 15, 'and it follows')
  t.strictSame([one.troubles, two.troubles], [[], []])
})

t.test('a folder that cannot be written stops nothing but the publishing', async (t) => {
  const ledger = await testLedger(t)
  const root = join(t.testdir(), 'log')
  await add(ledger, 5)
  const one = writer(logStore(ledger.broker), folder(root))
  await one.start()
  await writeFile(root, 'a file where the folder should be')
  await t.rejects(one.tick(), { code: /ENOTDIR|EEXIST/ })
  t.equal(one.trouble(), undefined)
  await rm(root)
  t.equal(await one.tick(), 5)
})
