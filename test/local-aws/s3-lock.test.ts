import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import type { LocalBucket } from '../../local-aws/state.js'
import { allow, BROKER_ACCOUNT, BROKER_KEYS, narrow, refusal, world } from './support.js'

const LOG: LocalBucket = { name: 'log', account: BROKER_ACCOUNT, objectLock: true }

const locked = (t: Test, more: readonly LocalBucket[] = []) => world(t, { buckets: [LOG, ...more] })

const day = (from: Date, days: number): Date => new Date(from.getTime() + days * 86_400_000)

const put = (s3: S3Client, Key: string, Body: string, more: Partial<PutObjectCommandInput> = {}) =>
  s3.send(new PutObjectCommand({ Bucket: 'log', Key, Body, ...more }))

const get = async (s3: S3Client, Key: string, VersionId?: string): Promise<string> =>
  (await s3.send(new GetObjectCommand({ Bucket: 'log', Key, VersionId }))).Body?.transformToString() ?? ''

const remove = (s3: S3Client, Key: string, VersionId?: string, BypassGovernanceRetention?: boolean) =>
  s3.send(new DeleteObjectCommand({ Bucket: 'log', Key, VersionId, BypassGovernanceRetention }))

t.test('an overwrite is a new version, a deletion a marker', async (t) => {
  const { s3 } = await locked(t)
  const one = await put(s3(), 'a', 'one')
  const two = await put(s3(), 'a', 'two')
  t.ok(one.VersionId && two.VersionId && one.VersionId !== two.VersionId)
  t.equal(await get(s3(), 'a'), 'two')
  t.equal(await get(s3(), 'a', one.VersionId), 'one')
  const marker = await remove(s3(), 'a')
  t.equal(marker.DeleteMarker, true)
  t.equal(await refusal(get(s3(), 'a')), 'NoSuchKey 404')
  t.equal(await refusal(get(s3(), 'a', marker.VersionId)), 'MethodNotAllowed 405')
  t.equal(await refusal(get(s3(), 'a', 'never')), 'NoSuchVersion 404')
  const list = await s3().send(new ListObjectVersionsCommand({ Bucket: 'log', Prefix: 'a' }))
  t.match(list.Versions, [
    { Key: 'a', VersionId: two.VersionId, IsLatest: false },
    { Key: 'a', VersionId: one.VersionId, IsLatest: false },
  ])
  t.match(list.DeleteMarkers, [{ Key: 'a', VersionId: marker.VersionId, IsLatest: true }])
  await remove(s3(), 'a', marker.VersionId)
  t.equal(await get(s3(), 'a'), 'two', 'without the marker it is back')
  await remove(s3(), 'a', two.VersionId)
  t.equal(await get(s3(), 'a'), 'one', 'what is not retained can go')
})

t.test('the configuration of a bucket', async (t) => {
  const { s3 } = await locked(t, [
    { name: 'plain', account: BROKER_ACCOUNT },
    { name: 'versions', account: BROKER_ACCOUNT, versioning: true },
    { name: 'default', account: BROKER_ACCOUNT, objectLock: { mode: 'GOVERNANCE', days: 3 } },
  ])
  const lock = (Bucket: string) => s3().send(new GetObjectLockConfigurationCommand({ Bucket }))
  const versioning = (Bucket: string) => s3().send(new GetBucketVersioningCommand({ Bucket }))
  t.match(await lock('log'), { ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' } })
  t.match(await lock('default'), {
    ObjectLockConfiguration: { Rule: { DefaultRetention: { Mode: 'GOVERNANCE', Days: 3 } } },
  })
  t.equal(await refusal(lock('plain')), 'ObjectLockConfigurationNotFoundError 404')
  t.equal(await refusal(lock('versions')), 'ObjectLockConfigurationNotFoundError 404')
  t.equal((await versioning('log')).Status, 'Enabled')
  t.equal((await versioning('plain')).Status, undefined)
  const set = (Bucket: string, Status: 'Enabled' | 'Suspended') =>
    s3().send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }))
  t.equal(await refusal(set('log', 'Suspended')), 'InvalidBucketState 409')
  await set('plain', 'Enabled')
  t.equal((await versioning('plain')).Status, 'Enabled')
})

t.test('a retained version is refused to everybody until its time', async (t) => {
  const { s3, clock } = await locked(t)
  const until = day(clock.now(), 10)
  const retention = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until } as const
  const { VersionId } = await put(s3(), 'a', 'one', retention)
  t.match(await s3().send(new HeadObjectCommand({ Bucket: 'log', Key: 'a' })), retention)
  t.equal(await refusal(remove(s3(), 'a', VersionId)), 'AccessDenied 403')
  t.equal(await refusal(remove(s3(), 'a', VersionId, true)), 'AccessDenied 403', 'no bypass')
  t.equal(await refusal(put(s3(), 'a', 'two')), 'not refused', 'another version beside it')
  await remove(s3(), 'a')
  t.equal(await get(s3(), 'a', VersionId), 'one', 'hidden, and there')
  clock.forward(10 * 86_400 - 1)
  t.equal(await refusal(remove(s3(), 'a', VersionId)), 'AccessDenied 403')
  clock.forward(1)
  t.equal(await refusal(remove(s3(), 'a', VersionId)), 'not refused')
})

t.test('COMPLIANCE is only made longer, GOVERNANCE is lifted by those who may', async (t) => {
  const { s3, session, clock } = await locked(t)
  const retain = (s3: S3Client, Key: string, Mode: 'COMPLIANCE' | 'GOVERNANCE', days: number, by?: boolean) =>
    s3.send(
      new PutObjectRetentionCommand({
        Bucket: 'log',
        Key,
        Retention: { Mode, RetainUntilDate: day(clock.now(), days) },
        BypassGovernanceRetention: by,
      }),
    )
  const lockFor = (ObjectLockMode: 'COMPLIANCE' | 'GOVERNANCE') => ({
    ObjectLockMode,
    ObjectLockRetainUntilDate: day(clock.now(), 10),
  })
  await put(s3(), 'c', 'x', lockFor('COMPLIANCE'))
  for (const bypass of [false, true]) {
    t.equal(await refusal(retain(s3(), 'c', 'COMPLIANCE', 9, bypass)), 'AccessDenied 403', 'shorter')
    t.equal(await refusal(retain(s3(), 'c', 'GOVERNANCE', 20, bypass)), 'AccessDenied 403', 'weaker')
  }
  await retain(s3(), 'c', 'COMPLIANCE', 11)
  const { Retention } = await s3().send(new GetObjectRetentionCommand({ Bucket: 'log', Key: 'c' }))
  t.match(Retention, { Mode: 'COMPLIANCE', RetainUntilDate: day(clock.now(), 11) })

  const { VersionId } = await put(s3(), 'g', 'x', lockFor('GOVERNANCE'))
  t.equal(await refusal(retain(s3(), 'g', 'GOVERNANCE', 1)), 'AccessDenied 403')
  t.equal(await refusal(remove(s3(), 'g', VersionId)), 'AccessDenied 403')
  // Another account's bucket is out of reach anyway; the session is of the broker's own.
  const without = s3(
    await session({ Policy: narrow(allow(['s3:DeleteObjectVersion', 's3:PutObjectRetention'])) }),
  )
  t.equal(await refusal(remove(without, 'g', VersionId, true)), 'AccessDenied 403')
  await retain(s3(), 'g', 'GOVERNANCE', 1, true)
  await remove(s3(), 'g', VersionId, true)
  t.equal(await refusal(get(s3(), 'g')), 'NoSuchKey 404')
})

t.test('what a retention takes', async (t) => {
  const { s3, session, clock } = await locked(t, [
    { name: 'versions', account: BROKER_ACCOUNT, versioning: true },
  ])
  const until = day(clock.now(), 1)
  const good = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: until } as const
  t.equal(await refusal(put(s3(), 'a', 'x', { ...good, Bucket: 'versions' })), 'InvalidRequest 400')
  t.equal(await refusal(put(s3(), 'a', 'x', { ObjectLockMode: 'COMPLIANCE' })), 'InvalidArgument 400')
  t.equal(
    await refusal(put(s3(), 'a', 'x', { ...good, ObjectLockRetainUntilDate: clock.now() })),
    'InvalidArgument 400',
  )
  const narrowed = s3(await session({ Policy: narrow(allow('s3:PutObject')) }))
  t.equal(await refusal(put(narrowed, 'a', 'x', good)), 'AccessDenied 403', 'a right of its own')
  t.equal(await refusal(put(narrowed, 'a', 'x')), 'not refused')
})

t.test('a retention needs a checksum', async (t) => {
  const { s3, clock, aws } = await locked(t, [
    { name: 'default', account: BROKER_ACCOUNT, objectLock: { mode: 'COMPLIANCE', days: 1 } },
  ])
  const { S3Client: Client } = await import('@aws-sdk/client-s3')
  const bare = new Client({
    region: 'eu-west-1',
    credentials: BROKER_KEYS,
    endpoint: aws.url,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    systemClockOffset: clock.now().getTime() - Date.now(),
  })
  t.teardown(() => bare.destroy())
  const until = { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: day(clock.now(), 1) } as const
  t.equal(await refusal(put(bare, 'a', 'x')), 'not refused')
  t.equal(await refusal(put(bare, 'a', 'x', until)), 'InvalidRequest 400')
  t.equal(await refusal(put(bare, 'a', 'x', { Bucket: 'default' })), 'InvalidRequest 400')
  // SHA-256 of `x`, then of something else.
  const right = 'LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE='
  t.equal(await refusal(put(bare, 'a', 'x', { ...until, ChecksumSHA256: right })), 'not refused')
  t.equal(await refusal(put(bare, 'a', 'y', { ...until, ChecksumSHA256: right })), 'BadDigest 400')
  t.equal(await refusal(put(s3(), 'b', 'x', { Bucket: 'default' })), 'not refused')
  const by = await s3().send(new HeadObjectCommand({ Bucket: 'default', Key: 'b' }))
  t.match(by, until, 'the default of the bucket')
})

t.test('conditional writes', async (t) => {
  const { s3, session } = await locked(t)
  const { ETag } = await put(s3(), 'a', 'one', { IfNoneMatch: '*' })
  t.equal(await refusal(put(s3(), 'a', 'two', { IfNoneMatch: '*' })), 'PreconditionFailed 412')
  t.equal(await refusal(put(s3(), 'a', 'two', { IfMatch: '"other"' })), 'PreconditionFailed 412')
  t.equal(await refusal(put(s3(), 'missing', 'x', { IfMatch: '"any"' })), 'NoSuchKey 404')
  const blind = s3(await session({ Policy: narrow(allow('s3:PutObject')) }))
  t.equal(
    await refusal(put(blind, 'a', 'two', { IfMatch: ETag })),
    'AccessDenied 403',
    'comparing is reading',
  )
  t.equal(await get(s3(), 'a'), 'one')
  await put(s3(), 'a', 'two', { IfMatch: ETag })
  t.equal(await refusal(put(s3(), 'a', 'three', { IfMatch: ETag })), 'PreconditionFailed 412', 'once')
  await remove(s3(), 'a')
  t.equal(
    await refusal(put(s3(), 'a', 'three', { IfMatch: '"any"' })),
    'NoSuchKey 404',
    'a marker is nothing',
  )
  t.equal(await refusal(put(s3(), 'a', 'three', { IfNoneMatch: '*' })), 'not refused')
  const both = await Promise.all(
    [1, 2, 3, 4].map((n) => refusal(put(s3(), 'raced', String(n), { IfNoneMatch: '*' }))),
  )
  t.equal(both.filter((one) => one === 'not refused').length, 1, 'one of several wins')
})

t.test('faults strike S3 as well', async (t) => {
  const { s3, aws } = await locked(t)
  aws.faults.fail('internal', { action: 'PutObject' })
  t.match(await refusal(put(s3(), 'a', 'x')), / 500$/)
  const held = aws.faults.hold('after', 'PutObject')
  const lost = refusal(put(s3(), 'a', 'x'))
  await held.caught
  held.drop()
  t.not(await lost, 'not refused')
  t.equal(await get(s3(), 'a'), 'x', 'done, and the answer lost')
})
