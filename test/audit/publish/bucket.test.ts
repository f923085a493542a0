import { DeleteObjectCommand, ListObjectVersionsCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import t from 'tap'
import { bucketPlace } from '../../../server/audit/publish/bucket.js'
import { type LogStore, logStore } from '../../../server/audit/publish/store.js'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import type { LockedBucket } from '../../../server/types-aws.js'
import { testLedger } from '../../support/ledger.js'
import { add, asSuperuser, Crash, dying, key, objectStore, restored, writer } from './support.js'

const reader = (bucket: LockedBucket) => bucketPlace(bucket).read

t.test('a bucket alone: published, verified, gone on from', async (t) => {
  const ledger = await testLedger(t)
  const { open, s3 } = await objectStore(t)
  const bucket = await open()
  const one = writer(logStore(ledger.broker), bucketPlace(bucket))
  await one.start()
  for (const n of [1, 300, 255, 600]) {
    await add(ledger, n)
    await one.tick()
    t.match(await verifyTiles(reader(bucket), [key]), { size: one.size() })
  }
  t.equal(one.size(), 1156)
  const again = writer(logStore(ledger.broker), bucketPlace(bucket), 'two')
  await again.start()
  t.equal(again.size(), 1156)
  t.strictSame(one.troubles, [])
  const { Versions = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket: 'log' }))
  const keys = Versions.map((one) => one.Key ?? '').filter((name) => !name.endsWith('/checkpoint'))
  t.equal(new Set(keys).size, keys.length, 'all but the checkpoint once')
  t.equal(Versions.length - keys.length, 4, 'and each checkpoint stays as a version')
})

t.test('crashes at each write, persisted and not', async (t) => {
  const ledger = await testLedger(t)
  const { open } = await objectStore(t)
  const bucket = await open()
  const store = logStore(ledger.broker)
  const goOn = async (size: number) => {
    const next = writer(store, bucketPlace(bucket))
    await next.start()
    t.equal(await next.tick(), size)
    t.match(await verifyTiles(reader(bucket), [key]), { size })
    t.strictSame(next.troubles, [])
  }
  let size = 0
  let writes = 0
  for (const when of ['before', 'after'] as const) {
    for (let n = 0, crashed = true; crashed; n++) {
      await add(ledger, 300)
      size += 300
      const one = writer(store, bucketPlace(dying(bucket, n, when)))
      await one.start()
      crashed = await one.tick().then(
        () => false,
        (error: unknown) => error instanceof Crash || Promise.reject(error),
      )
      if (crashed) writes++
      await goOn(size)
    }
  }
  t.ok(writes >= 10, `${writes} points`)
  for (const persisted of [false, true]) {
    await add(ledger, 300)
    size += 300
    const record: LogStore['record'] = async (...args) => {
      if (persisted) await store.record(...args)
      throw new Crash()
    }
    const one = writer({ ...store, record }, bucketPlace(bucket))
    await one.start()
    await t.rejects(one.tick(), { name: 'Crash' })
    await goOn(size)
  }
})

t.test('a restored database shows through the bucket alone', async (t) => {
  const ledger = await testLedger(t)
  const { open } = await objectStore(t)
  const bucket = await open()
  await add(ledger, 20)
  const one = writer(logStore(ledger.broker), bucketPlace(bucket))
  await one.start()
  await one.tick()
  await add(ledger, 10)
  await one.tick()
  await asSuperuser(t, ledger, restored(20))
  await t.rejects(writer(logStore(ledger.broker), bucketPlace(bucket)).start(), /it is older/)
  await one.tick()
  t.match(one.trouble(), /older|has 20/, 'and to the one that runs')
  const empty = await testLedger(t)
  await t.rejects(writer(logStore(empty.broker), bucketPlace(bucket)).start(), /the database knows of none/)
})

t.test(
  'restored before the checkpoint left, after its tiles did: other bytes at the same place',
  async (t) => {
    const ledger = await testLedger(t)
    const { open } = await objectStore(t)
    const bucket = await open()
    await add(ledger, 20)
    const one = writer(logStore(ledger.broker), bucketPlace(bucket))
    await one.start()
    await one.tick()
    await add(ledger, 10)
    const dead = writer(logStore(ledger.broker), bucketPlace(dying(bucket, 1, 'before')))
    await dead.start()
    await t.rejects(dead.tick(), { name: 'Crash' })
    await asSuperuser(t, ledger, restored(20))
    await add(ledger, 10)
    const next = writer(logStore(ledger.broker), bucketPlace(bucket))
    await next.start()
    t.equal(await next.tick(), 20)
    t.match(next.trouble(), /tile\/.* was published in s3:\/\/log\/a\/log with other content/)
    t.match(await verifyTiles(reader(bucket), [key]), { size: 20 })
  },
)

t.test('two writers: one wins, the other looks again', async (t) => {
  const ledger = await testLedger(t)
  const { open } = await objectStore(t)
  const bucket = await open()
  const store = logStore(ledger.broker)
  await add(ledger, 5)
  const one = writer(store, bucketPlace(bucket))
  const two = writer(store, bucketPlace(bucket))
  await one.start()
  await two.start()
  t.equal(await one.tick(), 5)
  await add(ledger, 5)
  t.equal(await two.tick(), 10, 'the same holder, so nothing but the bucket keeps them apart')
  await add(ledger, 5)

  // One stands still between the database and the bucket, and wakes up when the other has gone on.
  let wake: () => void = () => undefined
  const awake = new Promise<void>((resolve) => {
    wake = resolve
  })
  let asleep: () => void = () => undefined
  const sleeping = new Promise<void>((resolve) => {
    asleep = resolve
  })
  const record: LogStore['record'] = async (...args) => {
    const done = await store.record(...args)
    asleep()
    await awake
    return done
  }
  const slow = writer({ ...store, record }, bucketPlace(bucket))
  await slow.start()
  const late = slow.tick()
  await sleeping
  t.equal(await two.tick(), 15)
  await add(ledger, 5)
  t.equal(await two.tick(), 20)
  wake()
  await t.rejects(late, { name: 'Superseded' })
  t.match(await verifyTiles(reader(bucket), [key]), { size: 20 }, 'its 15 did not come over 20')
  t.equal(await slow.tick(), 20)
  t.strictSame([one.troubles, two.troubles, slow.troubles], [[], [], []])
})

t.test('somebody with the broker’s key interferes', async (t) => {
  const ledger = await testLedger(t)
  const { open, s3 } = await objectStore(t)
  const bucket = await open()
  await add(ledger, 5)
  const one = writer(logStore(ledger.broker), bucketPlace(bucket))
  await one.start()
  await one.tick()
  const old = (await bucket.read('checkpoint'))?.data ?? Buffer.alloc(0)
  await add(ledger, 5)
  await one.tick()
  const at = { Bucket: 'log', Key: 'a/log/checkpoint' }

  await s3.send(new PutObjectCommand({ ...at, Body: old }))
  t.match(await verifyTiles(reader(bucket), [key]), { size: 5 })
  await one.tick()
  t.match(await verifyTiles(reader(bucket), [key]), { size: 10 }, 'an older checkpoint is put right')

  await s3.send(new DeleteObjectCommand(at))
  t.equal(await bucket.read('checkpoint'), undefined)
  await one.tick()
  t.match(await verifyTiles(reader(bucket), [key]), { size: 10 }, 'so is one that was hidden')

  await s3.send(new PutObjectCommand({ ...at, Body: 'nonsense' }))
  await t.rejects(one.tick(), { name: 'ProofError' }, 'what is not ours is told')
  t.equal(one.trouble(), undefined)
  await t.rejects(writer(logStore(ledger.broker), bucketPlace(bucket)).start(), { name: 'ProofError' })
  const { Versions = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket: 'log', Prefix: at.Key }))
  t.equal(Versions.length, 6, 'and every one of them can still be seen')
})
