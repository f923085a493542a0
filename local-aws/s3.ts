import { createHash } from 'node:crypto'
import { type Answer, AwsFault, s3Answer } from './answer.js'
import { authorize, callerContext, refusalOf } from './authorize.js'
import type { Call } from './request.js'
import { listObjects, listParameters } from './s3-list.js'
import { header } from './signature.js'
import type { State, StoredBucket, StoredObject } from './state.js'
import { el } from './xml.js'

/** Objects are kept in memory: this bounds what one of them takes. */
export const MAX_OBJECT_BYTES = 5 * 1024 * 1024

type Operation =
  | 'ListBuckets'
  | 'ListObjectsV2'
  | 'HeadBucket'
  | 'GetObject'
  | 'HeadObject'
  | 'PutObject'
  | 'DeleteObject'

/** The IAM action each call is authorised as. Service Authorization Reference, "Amazon S3". */
const ACTIONS: Readonly<Record<Operation, string>> = {
  ListBuckets: 's3:ListAllMyBuckets',
  ListObjectsV2: 's3:ListBucket',
  HeadBucket: 's3:ListBucket',
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject',
  PutObject: 's3:PutObject',
  DeleteObject: 's3:DeleteObject',
}

const BY_METHOD: Readonly<Record<'service' | 'bucket' | 'object', Readonly<Record<string, Operation>>>> = {
  service: { GET: 'ListBuckets' },
  bucket: { GET: 'ListObjectsV2', HEAD: 'HeadBucket' },
  object: { GET: 'GetObject', HEAD: 'HeadObject', PUT: 'PutObject', DELETE: 'DeleteObject' },
}

export interface S3Target {
  readonly operation: Operation
  readonly action: string
  readonly bucket: string
  readonly key: string
}

const notImplemented = (what: string): AwsFault =>
  new AwsFault('NotImplemented', 501, `Local AWS does not implement ${what}`)

/** Path-style only: `/bucket/key`. Throws NotImplemented for what would be another call on AWS. */
export function s3Target({ raw }: Pick<Call, 'raw'>): S3Target {
  const [, rawBucket = '', rawKey = ''] = /^\/([^/]*)\/?(.*)$/s.exec(raw.path) ?? []
  const bucket = decode(rawBucket)
  const key = decode(rawKey)
  const place = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object'
  const operation = BY_METHOD[place][raw.method]
  if (operation === undefined) throw notImplemented(`${raw.method} on a ${place}`)
  // `?acl` or `?policy` make another call of it: never answered as if they were not there.
  for (const [name] of raw.query)
    if (!/^(X-Amz-.*|x-id)$/.test(name) && !(operation === 'ListObjectsV2' && listParameters.has(name)))
      throw notImplemented(`the parameter ${name}`)
  if (
    operation === 'ListObjectsV2' &&
    !raw.query.some(([name, value]) => name === 'list-type' && value === '2')
  )
    throw notImplemented('ListObjects version 1')
  for (const name of ['x-amz-copy-source', 'x-amz-acl', 'x-amz-tagging', 'if-match', 'if-none-match'])
    if (raw.headers[name] !== undefined) throw notImplemented(`the header ${name}`)
  return { operation, action: ACTIONS[operation], bucket, key }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new AwsFault('InvalidURI', 400, "Couldn't parse the specified URI.")
  }
}

export function answerS3(state: State, call: Call, target: S3Target): Answer {
  if (target.operation === 'ListBuckets') return listBuckets(state, call)
  const bucket = state.buckets.get(target.bucket)
  if (bucket === undefined) throw new AwsFault('NoSuchBucket', 404, 'The specified bucket does not exist')
  checkAccess(state, call, target, bucket)
  switch (target.operation) {
    case 'HeadBucket':
      return { status: 200, headers: { 'x-amz-bucket-region': call.claim.region }, body: '' }
    case 'ListObjectsV2':
      return listObjects(bucket, call.raw)
    case 'PutObject':
      return putObject(state, call, bucket, target.key)
    case 'DeleteObject':
      bucket.objects.delete(target.key)
      return { status: 204, headers: {}, body: '' }
    case 'GetObject':
    case 'HeadObject':
      return getObject(state, call, bucket, target.key)
  }
}

const contextOf = (state: State, call: Call, bucket: StoredBucket | undefined) =>
  callerContext(state, call.caller, {
    region: call.claim.region,
    sourceIp: call.sourceIp,
    resourceAccount: bucket?.account,
  })

const denied = (): AwsFault => new AwsFault('AccessDenied', 403, 'Access Denied')

function checkAccess(
  state: State,
  call: Call,
  { action, key, operation }: S3Target,
  bucket: StoredBucket,
): void {
  // No bucket policies here, and only one could let another account in.
  if (call.caller.kind === 'session' && call.caller.account !== bucket.account) throw denied()
  const asked = Object.fromEntries(
    call.raw.query
      .filter(([name]) => operation === 'ListObjectsV2' && ['prefix', 'delimiter', 'max-keys'].includes(name))
      .map(([name, value]) => [`s3:${name}`, [value]]),
  )
  const resource = key === '' ? `arn:aws:s3:::${bucket.name}` : `arn:aws:s3:::${bucket.name}/${key}`
  authorize(call.caller, { action, resource, context: { ...contextOf(state, call, bucket), ...asked } })
}

function listBuckets(state: State, call: Call): Answer {
  authorize(call.caller, {
    action: 's3:ListAllMyBuckets',
    resource: '*',
    context: contextOf(state, call, undefined),
  })
  const own = [...state.buckets.values()].filter(
    (bucket) => call.caller.kind === 'broker' || bucket.account === call.caller.account,
  )
  const buckets = own
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((one) => el('Bucket', el('Name', one.name), el('CreationDate', one.createdAt.toISOString())))
  return s3Answer(
    'ListAllMyBucketsResult',
    el('Owner', el('ID', call.caller.account)),
    el('Buckets', ...buckets),
  )
}

function getObject(state: State, call: Call, bucket: StoredBucket, key: string): Answer {
  const object = bucket.objects.get(key)
  if (object === undefined) {
    // Who may not list may not learn that a key is missing either.
    const resource = `arn:aws:s3:::${bucket.name}`
    const context = contextOf(state, call, bucket)
    if (refusalOf(call.caller, { action: 's3:ListBucket', resource, context }) !== undefined) throw denied()
    throw new AwsFault('NoSuchKey', 404, 'The specified key does not exist.')
  }
  return { status: 200, headers: objectHeaders(object), body: object.body }
}

function objectHeaders(object: StoredObject): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': object.contentType,
    etag: object.etag,
    'last-modified': object.modifiedAt.toUTCString(),
  }
  for (const [name, value] of Object.entries(object.metadata)) headers[name] = value
  return headers
}

export function storedObject(
  body: Buffer,
  modifiedAt: Date,
  about: Partial<StoredObject> = {},
): StoredObject {
  const etag = `"${createHash('md5').update(body).digest('hex')}"`
  return { body, etag, contentType: 'binary/octet-stream', metadata: {}, modifiedAt, ...about }
}

function putObject(state: State, call: Call, bucket: StoredBucket, key: string): Answer {
  if (call.body.length > MAX_OBJECT_BYTES)
    throw new AwsFault('EntityTooLarge', 400, 'Your proposed upload exceeds the maximum allowed size')
  if (Buffer.byteLength(key) > 1024) throw new AwsFault('KeyTooLongError', 400, 'Your key is too long')
  const metadata = Object.entries(call.raw.headers).filter(([name]) => name.startsWith('x-amz-meta-'))
  const object = storedObject(Buffer.from(call.body), state.now(), {
    contentType: header(call.raw, 'content-type') ?? 'binary/octet-stream',
    metadata: Object.fromEntries(metadata.map(([name, values = []]) => [name, values.join(',')])),
  })
  bucket.objects.set(key, object)
  return { status: 200, headers: { etag: object.etag }, body: '' }
}
