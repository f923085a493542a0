import { randomBytes } from 'node:crypto'
import {
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import t from 'tap'
import { StartError } from '../../../server/errors.js'
import { objectStore } from './support.js'

t.test('a bucket that does not lock is refused, in one sentence', async (t) => {
  const { open, aws } = await objectStore(t)
  for (const bucket of ['versioned', 'plain']) {
    await t.rejects(open({ bucket }), {
      name: 'StartError',
      message: new RegExp(`has no object lock.*s3://${bucket}/a/log\\.`),
    })
  }
  await t.rejects(open({ bucket: 'nowhere' }), {
    name: 'StartError',
    message: /cannot be asked.*NoSuchBucket/,
  })
  aws.faults.fail('access-denied', { action: 'GetObjectLockConfiguration' })
  await t.rejects(open(), {
    name: 'StartError',
    message: /AccessDenied.*s3:GetBucketObjectLockConfiguration/,
  })
  const wrong = { accessKeyId: 'AKIAWRONGWRONGWRONG0', secretAccessKey: 'hunter2' }
  const error = await open({}, { credentials: wrong }).catch((error: unknown) => error)
  t.ok(error instanceof StartError)
  t.notMatch(String(error), /hunter2/)
  await aws.close()
  await t.rejects(open(), StartError, 'nor is one that does not answer')
})

t.test('what is written is locked, also against the key that wrote it', async (t) => {
  const { open, s3 } = await objectStore(t)
  const bucket = await open({ retainDays: 3 })
  const before = Date.now()
  const data = randomBytes(100)
  t.type(await bucket.write('tile/0/000', data, 'absent'), 'string')
  t.same((await bucket.read('tile/0/000'))?.data, data)
  t.equal(await bucket.read('tile/0/001'), undefined)

  const at = { Bucket: 'log', Key: 'a/log/tile/0/000' }
  const { Retention } = await s3.send(new GetObjectRetentionCommand(at))
  t.equal(Retention?.Mode, 'COMPLIANCE')
  const days = ((Retention?.RetainUntilDate?.getTime() ?? 0) - before) / 86_400_000
  t.ok(days > 2.99 && days < 3.01, `${days} days`)
  const versions = await s3.send(new ListObjectVersionsCommand({ Bucket: 'log' }))
  t.equal(versions.Versions?.length, 1)
  const VersionId = versions.Versions?.[0]?.VersionId
  for (const BypassGovernanceRetention of [false, true]) {
    const removal = s3.send(new DeleteObjectCommand({ ...at, VersionId, BypassGovernanceRetention }))
    await t.rejects(removal, { name: 'AccessDenied' })
  }
})

t.test('written once, or from exactly what was read', async (t) => {
  const { open } = await objectStore(t)
  const bucket = await open()
  const etag = await bucket.write('checkpoint', Buffer.from('one'), 'absent')
  t.equal(await bucket.write('checkpoint', Buffer.from('two'), 'absent'), undefined)
  t.equal(await bucket.write('checkpoint', Buffer.from('two'), { etag: '"other"' }), undefined)
  t.equal(await bucket.write('missing', Buffer.from('two'), { etag: '"other"' }), undefined)
  t.match(await bucket.read('checkpoint'), { data: Buffer.from('one'), etag })
  t.type(await bucket.write('checkpoint', Buffer.from('two'), { etag: etag ?? '' }), 'string')
  t.equal(await bucket.write('checkpoint', Buffer.from('three'), { etag: etag ?? '' }), undefined)
})

t.test('errors, lost answers and hanging stores', async (t) => {
  const { open, aws } = await objectStore(t)
  const bucket = await open({}, { timeoutMs: 300 })
  aws.faults.fail('internal', { action: 'PutObject' })
  t.type(await bucket.write('once', Buffer.from('x'), 'absent'), 'string', 'is tried again')
  aws.faults.fail('access-denied', { action: 'PutObject' })
  await t.rejects(bucket.write('denied', Buffer.from('x'), 'absent'), {
    message: 's3://log/a/log does not take denied: AccessDenied',
  })
  aws.faults.fail('access-denied', { action: 'GetObject' })
  await t.rejects(bucket.read('once'), { message: /does not give once: AccessDenied/ })
  const held = aws.faults.hold('after', 'PutObject')
  t.equal(
    await bucket.write('lost', Buffer.from('x'), 'absent'),
    undefined,
    'the second attempt met the first',
  )
  held.drop()
  t.same((await bucket.read('lost'))?.data, Buffer.from('x'))
  const holds = [1, 2, 3].map(() => aws.faults.hold('before', 'GetObject'))
  await t.rejects(bucket.read('lost'), /TimeoutError/, 'never longer than its time')
  for (const one of holds) one.drop()
})

t.test('a conflict of two writers is tried again', async (t) => {
  const { open, s3 } = await objectStore(t)
  const [one, two] = [await open(), await open()]
  const results = await Promise.all(
    [one, two, one, two].map((bucket, n) => bucket.write('raced', Buffer.from(String(n)), 'absent')),
  )
  t.equal(results.filter((etag) => etag !== undefined).length, 1)
  const versions = await s3.send(new ListObjectVersionsCommand({ Bucket: 'log' }))
  t.equal(versions.Versions?.length, 1)
  // Whoever does not ask may overwrite: that is a new version, and the first one stays.
  await s3.send(new PutObjectCommand({ Bucket: 'log', Key: 'a/log/raced', Body: 'forged' }))
  t.equal((await s3.send(new ListObjectVersionsCommand({ Bucket: 'log' }))).Versions?.length, 2)
})
