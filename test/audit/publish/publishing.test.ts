import { PutObjectCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { generateSignerKey, parseSignerKey } from '../../../server/audit/merkle/keys.js'
import { bucketPlace } from '../../../server/audit/publish/bucket.js'
import { folder } from '../../../server/audit/publish/folder.js'
import { publishLog } from '../../../server/audit/publish/publishing.js'
import { verifyTiles } from '../../../server/audit/verify/tiles.js'
import { StartError } from '../../../server/errors.js'
import type { LockedBucket } from '../../../server/types-aws.js'
import { type Ledger, testLedger } from '../../support/ledger.js'
import { add, asSuperuser, key, objectStore, restored, signer } from './support.js'

const quiet = { error: () => undefined }

async function publishing(
  t: Test,
  ledger: Ledger,
  places: { directory?: string; bucket?: LockedBucket },
  by = signer,
) {
  const begun = await publishLog({ database: ledger.broker, signer: by, log: quiet, ...places })
  let closed = false
  const close = async () => {
    if (!closed) await begun.close()
    closed = true
  }
  t.teardown(close)
  return { ...begun, close }
}

const sizeIn = async (place: Pick<ReturnType<typeof folder>, 'read'>) =>
  (await verifyTiles(place.read, [key])).size

t.test('to a folder and a bucket, and what is left at the end as well', async (t) => {
  const ledger = await testLedger(t)
  const { open } = await objectStore(t)
  const directory = t.testdir()
  await add(ledger, 5)
  const both = await publishing(t, ledger, { directory, bucket: await open() })
  t.equal(await both.checkpointer.tick(), 5)
  const reader = bucketPlace(await open())
  t.equal(await sizeIn(reader), 5)
  t.equal(both.failure(), undefined)
  await add(ledger, 5)
  await both.close()
  t.equal(await sizeIn(folder(directory)), 10)
  t.equal(await sizeIn(reader), 10)
})

t.test('to a bucket alone', async (t) => {
  const ledger = await testLedger(t)
  const { open } = await objectStore(t)
  await add(ledger, 5)
  const alone = await publishing(t, ledger, { bucket: await open() })
  t.equal(await alone.checkpointer.tick(), 5)
  t.equal(await sizeIn(alone.published), 5, 'what the routes read')
  await add(ledger, 5)
  await alone.close()
  t.equal(await sizeIn(bucketPlace(await open())), 10)
})

t.test('what a reader of ours saw is not what the writer looked at', async (t) => {
  const ledger = await testLedger(t)
  const { open, s3 } = await objectStore(t)
  const real = await open()
  let meanwhile = async (): Promise<unknown> => undefined
  const bucket: LockedBucket = {
    ...real,
    write: async (path, ...rest) => {
      if (path !== 'checkpoint') await meanwhile()
      return real.write(path, ...rest)
    },
  }
  const alone = await publishing(t, ledger, { bucket })
  await add(ledger, 5)
  meanwhile = async () => {
    await s3.send(new PutObjectCommand({ Bucket: 'log', Key: 'a/log/checkpoint', Body: 'foreign' }))
    await alone.published.read('checkpoint')
  }
  await alone.checkpointer.tick()
  t.match(alone.failure(), /has another checkpoint by now/)
  t.equal((await real.read('checkpoint'))?.data.toString(), 'foreign', 'not swapped unseen')
})

t.test('to nowhere is no way to begin', async (t) => {
  const ledger = await testLedger(t)
  await t.rejects(publishLog({ database: ledger.broker, signer, log: quiet }), StartError)
})

t.test('a bucket that is out of reach stops nothing, is told, and gets the rest later', async (t) => {
  const ledger = await testLedger(t)
  const { open, aws } = await objectStore(t)
  const directory = t.testdir()
  const both = await publishing(t, ledger, { directory, bucket: await open() })
  await both.checkpointer.tick()
  for (let n = 0; n < 3; n++) {
    await add(ledger, 400)
    aws.faults.fail('internal', { action: 'GetObject', times: 3 })
    await both.checkpointer.tick()
    t.match(both.failure(), /^s3:\/\/log\/a\/log does not give checkpoint/)
    t.equal(both.checkpointer.trouble(), undefined, 'it goes on serving')
    t.equal(await sizeIn(folder(directory)), (n + 1) * 400, 'and publishing to the folder')
  }
  await both.checkpointer.tick()
  t.equal(both.failure(), undefined)
  t.equal(await sizeIn(bucketPlace(await open())), 1200)
})

t.test('at the start it has to answer: it may hold what the database forgot', async (t) => {
  const ledger = await testLedger(t)
  const { open, aws } = await objectStore(t)
  for (const places of [{ directory: t.testdir() }, {}]) {
    const bucket = await open()
    let closed = 0
    const counted = { ...bucket, close: () => void closed++ }
    aws.faults.fail('access-denied', { action: 'GetObject' })
    await t.rejects(publishing(t, ledger, { ...places, bucket: counted }), {
      name: 'StartError',
      message: /^WRIT_LOG_BUCKET cannot be compared with the database: s3:.*AccessDenied\.$/,
    })
    t.equal(closed, 1, 'nothing is left open')
  }
})

t.test('a restored database stops the start by the bucket, and a running one by either', async (t) => {
  const ledger = await testLedger(t)
  const { open } = await objectStore(t)
  await add(ledger, 5)
  const both = await publishing(t, ledger, { directory: t.testdir(), bucket: await open() })
  await both.checkpointer.tick()
  await add(ledger, 5)
  await both.checkpointer.tick()
  await asSuperuser(t, ledger, restored(5))
  await t.rejects(publishing(t, ledger, { bucket: await open() }), {
    name: 'StartError',
    message: /10 entries were published, and the database has checkpoints up to 5/,
  })
  await both.checkpointer.tick()
  t.match(both.checkpointer.trouble(), /10 entries were published/)
})

t.test('trouble in the bucket alone is trouble', async (t) => {
  const ledger = await testLedger(t)
  const { open, s3 } = await objectStore(t)
  await add(ledger, 5)
  const both = await publishing(t, ledger, { directory: t.testdir(), bucket: await open() })
  await both.checkpointer.tick()
  const forged = { Bucket: 'log', Key: 'a/log/tile/0/000.p/5', Body: Buffer.alloc(5 * 32) }
  await s3.send(new PutObjectCommand(forged))
  await both.checkpointer.tick()
  t.match(both.checkpointer.trouble(), /^s3:\/\/log\/a\/log: entry 0 is not the one/)
})

t.test('a bucket and a key that do not belong together stop the start in one sentence', async (t) => {
  const ledger = await testLedger(t)
  const { open } = await objectStore(t)
  await add(ledger, 5)
  const one = await publishing(t, ledger, { bucket: await open() })
  await one.checkpointer.tick()
  const other = parseSignerKey(generateSignerKey(signer.name))
  await t.rejects(publishing(t, ledger, { directory: t.testdir(), bucket: await open() }, other), {
    name: 'StartError',
    message: /cannot be gone on from.*must belong together/,
  })
})
