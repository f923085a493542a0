import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import t from 'tap'
import { allow, BROKER_ACCOUNT, narrow, OTHER_ROLE, refusal, world } from './support.js'

const get = async (s3: S3Client, Key: string, Bucket = 'orders'): Promise<string> =>
  (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString() ?? ''

t.test('objects come and go, whatever their keys', async (t) => {
  const { s3, session, clock } = await world(t)
  const client = s3(await session())
  t.equal(await get(client, 'a.txt'), 'alpha')
  for (const Key of [
    "a b+c&d=é/日本 <x> 'q'.txt",
    'per%20cent',
    'a//b',
    '.hidden',
    '*?',
    'tab\tcontrol\u0001',
    '😀',
  ]) {
    const Body = `body of ${Key}`
    await client.send(
      new PutObjectCommand({
        Bucket: 'orders',
        Key,
        Body,
        ContentType: 'text/plain',
        Metadata: { by: 'me' },
      }),
    )
    t.equal(await get(client, Key), Body, Key)
    const head = await client.send(new HeadObjectCommand({ Bucket: 'orders', Key }))
    t.match(head, {
      ContentLength: Buffer.byteLength(Body),
      ContentType: 'text/plain',
      Metadata: { by: 'me' },
      LastModified: clock.now(),
    })
    const { Contents = [] } = await client.send(
      new ListObjectsV2Command({ Bucket: 'orders', EncodingType: 'url', Prefix: Key }),
    )
    t.equal(decodeURIComponent(Contents[0]?.Key ?? ''), Key)
    await client.send(new DeleteObjectCommand({ Bucket: 'orders', Key }))
    t.equal(await refusal(get(client, Key)), 'NoSuchKey 404')
  }
  await client.send(new DeleteObjectCommand({ Bucket: 'orders', Key: 'never' }))
})

t.test('keys in a listing are escaped', async (t) => {
  const { s3 } = await world(t)
  const Key = `<Key>&"'\u0001]]>`
  await s3().send(new PutObjectCommand({ Bucket: 'orders', Key, Body: '' }))
  const { Contents = [], KeyCount } = await s3().send(
    new ListObjectsV2Command({ Bucket: 'orders', Prefix: '<' }),
  )
  t.equal(KeyCount, 1)
  t.equal(Contents[0]?.Key, Key)
})

t.test('buckets', async (t) => {
  const { s3, session } = await world(t)
  const client = s3(await session())
  const { Buckets = [] } = await client.send(new ListBucketsCommand({}))
  t.same(
    Buckets.map((one) => one.Name),
    ['orders'],
    'those of the account',
  )
  await client.send(new HeadBucketCommand({ Bucket: 'orders' }))
  t.equal(await refusal(client.send(new HeadBucketCommand({ Bucket: 'nowhere' }))), 'NotFound 404')
  t.equal(await refusal(get(client, 'a', 'nowhere')), 'NoSuchBucket 404')
  t.equal(await refusal(get(client, 'a.txt', 'foreign')), 'AccessDenied 403', 'of another account')
  const other = s3(await session({ RoleArn: OTHER_ROLE }))
  t.equal(await get(other, 'a.txt', 'foreign'), 'elsewhere')
  t.equal(await refusal(get(other, 'a.txt')), 'AccessDenied 403')
  t.equal(await get(s3(), 'a.txt', 'foreign'), 'elsewhere', 'the broker may')
})

t.test('listing: prefix, delimiter, pages', async (t) => {
  const keys = ['a', 'b/1', 'b/2', 'b/c/3', 'd', '\uffee', '😀']
  const objects = Object.fromEntries(keys.map((key) => [key, key]))
  const { s3 } = await world(t, { buckets: [{ name: 'orders', account: BROKER_ACCOUNT, objects }] })
  const list = async (more: object): Promise<string[][]> => {
    const pages: string[][] = []
    let ContinuationToken: string | undefined
    do {
      const page = await s3().send(new ListObjectsV2Command({ Bucket: 'orders', ContinuationToken, ...more }))
      const names = [
        ...(page.Contents ?? []).map((one) => one.Key),
        ...(page.CommonPrefixes ?? []).map((one) => one.Prefix),
      ]
      t.equal(page.KeyCount, names.length)
      pages.push(names.map(String))
      ContinuationToken = page.NextContinuationToken
      t.equal(page.IsTruncated, ContinuationToken !== undefined)
    } while (ContinuationToken !== undefined)
    return pages
  }
  t.same(await list({}), [keys], 'in UTF-8 order')
  t.same(await list({ Prefix: 'b/' }), [['b/1', 'b/2', 'b/c/3']])
  t.same(await list({ Delimiter: '/' }), [['a', 'd', '\uffee', '😀', 'b/']])
  t.same(await list({ Delimiter: '/', Prefix: 'b/' }), [['b/1', 'b/2', 'b/c/']])
  t.same(await list({ MaxKeys: 2 }), [['a', 'b/1'], ['b/2', 'b/c/3'], ['d', '\uffee'], ['😀']])
  t.same(await list({ MaxKeys: 1, Delimiter: '/' }), [['a'], ['b/'], ['d'], ['\uffee'], ['😀']])
  t.same(await list({ StartAfter: 'b/2', MaxKeys: 10 }), [['b/c/3', 'd', '\uffee', '😀']])
  t.same(await list({ MaxKeys: 0 }), [[]])
  t.equal(await refusal(list({ ContinuationToken: 'nonsense' })), 'InvalidArgument 400')
})

t.test('a missing key is 403 to those who may not list', async (t) => {
  const { s3, session } = await world(t)
  const blind = s3(await session({ Policy: narrow(allow('s3:GetObject', 'arn:aws:s3:::orders/*')) }))
  t.equal(await get(blind, 'a.txt'), 'alpha')
  t.equal(await refusal(get(blind, 'missing')), 'AccessDenied 403')
  t.equal(
    await refusal(blind.send(new HeadObjectCommand({ Bucket: 'orders', Key: 'missing' }))),
    'Unknown 403',
  )
  const seeing = s3(
    await session({
      Policy: narrow(
        allow('s3:GetObject', 'arn:aws:s3:::orders/*'),
        allow('s3:ListBucket', 'arn:aws:s3:::orders'),
      ),
    }),
  )
  t.equal(await refusal(get(seeing, 'missing')), 'NoSuchKey 404')
  t.equal(
    await refusal(seeing.send(new HeadObjectCommand({ Bucket: 'orders', Key: 'missing' }))),
    'NotFound 404',
  )
})

t.test('each call needs its own action', async (t) => {
  const { s3, session } = await world(t)
  const commands = {
    's3:GetObject': new GetObjectCommand({ Bucket: 'orders', Key: 'a.txt' }),
    's3:PutObject': new PutObjectCommand({ Bucket: 'orders', Key: 'new.txt', Body: 'x' }),
    's3:DeleteObject': new DeleteObjectCommand({ Bucket: 'orders', Key: 'new.txt' }),
    's3:ListBucket': new ListObjectsV2Command({ Bucket: 'orders' }),
    's3:ListAllMyBuckets': new ListBucketsCommand({}),
  }
  for (const action of Object.keys(commands)) {
    const client = s3(await session({ Policy: narrow(allow(action)) }))
    for (const [needed, command] of Object.entries(commands)) {
      const answer = await refusal(client.send(command as GetObjectCommand))
      t.equal(answer, needed === action ? 'not refused' : 'AccessDenied 403', `${needed} with ${action}`)
    }
  }
})

t.test('what is not there says so and changes nothing', async (t) => {
  const { s3 } = await world(t)
  t.equal(
    await refusal(s3().send(new GetObjectAclCommand({ Bucket: 'orders', Key: 'a.txt' }))),
    'NotImplemented 501',
  )
  const copy = new CopyObjectCommand({ Bucket: 'orders', Key: 'copy', CopySource: 'orders/a.txt' })
  t.equal(await refusal(s3().send(copy)), 'NotImplemented 501')
  const held = new PutObjectCommand({
    Bucket: 'orders',
    Key: 'a.txt',
    Body: 'x',
    ObjectLockLegalHoldStatus: 'ON',
  })
  t.equal(await refusal(s3().send(held)), 'NotImplemented 501')
  t.equal(await get(s3(), 'a.txt'), 'alpha')
})

t.test('objects have a largest size', async (t) => {
  const { s3 } = await world(t)
  const put = (size: number) =>
    s3().send(new PutObjectCommand({ Bucket: 'orders', Key: 'big', Body: Buffer.alloc(size) }))
  await put(5 * 1024 * 1024)
  t.equal(await refusal(put(5 * 1024 * 1024 + 1)), 'EntityTooLarge 400')
})
