import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { bucketPlace } from '../../../server/audit/publish/bucket.js'
import { folder } from '../../../server/audit/publish/folder.js'
import { logStore } from '../../../server/audit/publish/store.js'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import type { LockedBucket } from '../../../server/types-aws.js'
import { type Ledger, testLedger } from '../../support/ledger.js'
import { add, asSuperuser, Crash, copier, dying, key, objectStore, restored, writer } from './support.js'

/** A log in a folder and the bucket beside it, with what copies from one to the other. */
async function places(t: Test) {
  const ledger = await testLedger(t)
  const store = logStore(ledger.broker)
  const { open, s3, aws } = await objectStore(t)
  const bucket = await open()
  const root = t.testdir()
  const source = folder(root)
  const first = writer(store, source)
  await first.start()
  const grow = async (n: number) => {
    await add(ledger, n)
    return first.tick()
  }
  const copy = (target: LockedBucket = bucket) => copier(store, source, bucketPlace(target))
  const published = async () => (await verifyTiles(bucketPlace(bucket).read, [key])).size
  return { ledger, store, s3, aws, bucket, root, source, first, grow, copy, published }
}

t.test('what is in the folder gets into the bucket', async (t) => {
  const { grow, copy, published, source, bucket } = await places(t)
  const mirror = copy()
  await mirror.start()
  t.equal(await mirror.tick(true), 0, 'nothing yet')
  for (const n of [1, 300, 255, 600]) {
    const size = await grow(n)
    t.equal(await mirror.tick(false), n, 'another replica is the writer')
    t.equal(await mirror.tick(true), 0)
    t.equal(await published(), size)
  }
  t.same((await bucket.read('checkpoint'))?.data, await source.read('checkpoint'))
  const again = copy()
  await again.start()
  t.equal(await again.tick(true), 0)
  t.strictSame([mirror.troubles, again.troubles], [[], []])
})

t.test('out of reach for a while, then caught up without a gap', async (t) => {
  const { grow, copy, published, aws, first } = await places(t)
  const mirror = copy()
  await mirror.start()
  await grow(10)
  await mirror.tick(true)
  for (const n of [700, 800, 900, 1000, 1100]) {
    await grow(n)
    // As often as a call is tried.
    aws.faults.fail('internal', { action: 'GetObject', times: 3 })
    await t.rejects(mirror.tick(true), /s3:\/\/log\/a\/log does not give checkpoint/)
  }
  t.equal(first.trouble(), undefined)
  t.equal(mirror.trouble(), undefined)
  t.equal(await published(), 10)
  const sizes: number[] = []
  for (let left = 1; left > 0; ) {
    left = await mirror.tick(true, 1)
    sizes.push(await published())
    t.equal(left, 4510 - (sizes.at(-1) ?? 0))
  }
  t.equal(sizes.at(-1), 4510)
  t.ok(sizes.length >= 4, `in steps, each of them whole: ${sizes}`)
  t.strictSame(mirror.troubles, [])
})

t.test('crashes at each write, persisted and not', async (t) => {
  const { grow, copy, published, bucket } = await places(t)
  let points = 0
  for (const when of ['before', 'after'] as const) {
    for (let n = 0, crashed = true; crashed; n++) {
      const size = await grow(300)
      const dead = copy(dying(bucket, n, when))
      await dead.start()
      crashed = await dead.tick(true).then(
        () => false,
        (error: unknown) => error instanceof Crash || Promise.reject(error),
      )
      if (crashed) points++
      // Whatever was left behind: a checkpoint there names nothing but what is there.
      const before = (await bucket.read('checkpoint')) === undefined ? undefined : await published()
      t.ok(before === undefined || before <= size)
      const next = copy()
      await next.start()
      t.equal(await next.tick(true), 0)
      t.equal(await published(), size)
      t.strictSame(next.troubles, [])
    }
  }
  t.ok(points >= 10, `${points} points`)
})

t.test('a database that is older than the bucket, whatever the folder says', async (t) => {
  const { grow, copy, ledger, store, bucket, root, source } = await places(t)
  await grow(20)
  const kept = await readFile(join(root, 'checkpoint'))
  const running = copy()
  await running.tick(true)
  await grow(10)
  await running.tick(true)
  await asSuperuser(t, ledger, restored(20))
  await writeFile(join(root, 'checkpoint'), kept)
  const first = writer(store, source)
  await first.start()
  t.equal(first.trouble(), undefined, 'database and folder agree')
  await t.rejects(copy().start(), {
    name: 'StartError',
    message: /s3:\/\/log: 30 entries were published, and the database has checkpoints up to 20: it is older/,
  })
  await running.tick(true)
  t.match(running.trouble(), /it is older/)
  const at = (await bucket.read('checkpoint'))?.etag
  t.equal(await running.tick(true), 0)
  t.equal((await bucket.read('checkpoint'))?.etag, at, 'and nothing more is published')
})

t.test('another history', async (t) => {
  const { grow, copy, bucket } = await places(t)
  await grow(30)
  await copy().tick(true)
  const other = await places(t)
  const across = (places: { ledger: Ledger; source: ReturnType<typeof folder> }) =>
    copier(logStore(places.ledger.broker), places.source, bucketPlace(bucket))
  await t.rejects(across(other).start(), /the database knows of none/)
  await other.grow(30)
  await t.rejects(across(other).start(), /two different trees of 30 entries were signed/)
  await other.grow(30)
  await t.rejects(across(other).start(), /does not continue the 30 published/)
})

t.test('a folder that was changed does not get into the bucket', async (t) => {
  const { grow, copy, published, bucket, root, source } = await places(t)
  await grow(10)
  const mirror = copy()
  await mirror.tick(true)
  await grow(10)
  const path = join(root, 'tile/entries/000.p/20')
  const bundle = (await source.read('tile/entries/000.p/20')) ?? Buffer.alloc(0)
  bundle.writeUInt8(0x20, bundle.length - 2)
  await writeFile(path, bundle)
  await t.rejects(mirror.tick(true), { name: 'ProofError', code: 'root_mismatch' })
  t.equal(await published(), 10)
  t.equal(await bucket.read('tile/entries/000.p/20'), undefined, 'not one byte of it')
})

t.test('other bytes in the bucket', async (t) => {
  await t.test('where something is to be written', async (t) => {
    const { grow, copy, bucket } = await places(t)
    await grow(10)
    await bucket.write('tile/0/000.p/10', Buffer.from('forged'), 'absent')
    const mirror = copy()
    await mirror.tick(true)
    t.match(mirror.trouble(), /s3:\/\/log: tile\/0\/000\.p\/10 was published .* with other content/)
    t.equal(await bucket.read('checkpoint'), undefined)
  })
  await t.test('over what was published', async (t) => {
    const { grow, copy, s3, bucket } = await places(t)
    await grow(300)
    const mirror = copy()
    await mirror.tick(true)
    const { etag } = (await bucket.read('checkpoint')) ?? {}
    await grow(10)
    const at = { Bucket: 'log', Key: 'a/log/tile/0/001.p/44' }
    await s3.send(new PutObjectCommand({ ...at, Body: Buffer.alloc(44 * 32) }))
    await mirror.tick(true)
    t.match(mirror.trouble(), /entry 256 is not the one that was published/)
    t.equal((await bucket.read('checkpoint'))?.etag, etag, 'nothing is built upon it')
    await t.rejects(copy().start(), /entry 256 is not/)
  })
  await t.test('hidden', async (t) => {
    const { grow, copy, s3 } = await places(t)
    await grow(10)
    const mirror = copy()
    await mirror.tick(true)
    await s3.send(new DeleteObjectCommand({ Bucket: 'log', Key: 'a/log/tile/0/000.p/10' }))
    await t.rejects(mirror.tick(true), { name: 'ProofError', code: 'file_missing' })
    t.equal(mirror.trouble(), undefined, 'which is told, and is no rewrite')
  })
})

t.test('two that copy at once', async (t) => {
  const { grow, copy, published } = await places(t)
  const mirrors = [copy(), copy()]
  for (const n of [5, 300, 700]) {
    const size = await grow(n)
    const results = await Promise.allSettled(mirrors.map((mirror) => mirror.tick(true)))
    t.ok(results.some(({ status }) => status === 'fulfilled'))
    for (const result of results)
      if (result.status === 'rejected') t.match(result.reason, { name: 'Superseded' })
    t.equal(await published(), size)
  }
  for (const mirror of mirrors) t.strictSame(mirror.troubles, [])
})
