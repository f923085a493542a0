import { type Answer, AwsFault, s3Answer } from './answer.js'
import { authorize, callerContext, refusalOf } from './authorize.js'
import type { Call } from './request.js'
import { listObjects } from './s3-list.js'
import {
  checkConditions,
  getLockConfiguration,
  getRetention,
  lockHeaders,
  putRetention,
  refuseRemoval,
  retentionFor,
} from './s3-lock.js'
import type { S3Target } from './s3-target.js'
import {
  getVersioning,
  hide,
  listVersions,
  putVersioning,
  removeVersion,
  store,
  storedObject,
  versionHeaders,
  versionOf,
} from './s3-versions.js'
import { header, query } from './signature.js'
import type { State, StoredBucket, StoredObject } from './state.js'
import { el } from './xml.js'

/** Objects are kept in memory: this bounds what one of them takes. */
export const MAX_OBJECT_BYTES = 5 * 1024 * 1024

export function answerS3(state: State, call: Call, target: S3Target): Answer {
  if (target.operation === 'ListBuckets') return listBuckets(state, call)
  const bucket = state.buckets.get(target.bucket)
  if (bucket === undefined) throw new AwsFault('NoSuchBucket', 404, 'The specified bucket does not exist')
  checkAccess(state, call, target, bucket)
  const { operation, key } = target
  switch (operation) {
    case 'HeadBucket':
      return { status: 200, headers: { 'x-amz-bucket-region': call.claim.region }, body: '' }
    case 'ListObjectsV2':
      return listObjects(bucket, call.raw)
    case 'ListObjectVersions':
      return listVersions(bucket, query(call.raw, 'prefix') ?? '')
    case 'GetBucketVersioning':
      return getVersioning(bucket)
    case 'PutBucketVersioning':
      return putVersioning(bucket, call.body)
    case 'GetObjectLockConfiguration':
      return getLockConfiguration(bucket)
    case 'PutObject':
      return putObject(state, call, bucket, target)
    case 'DeleteObject':
      return deleteObject(state, call, bucket, target)
    case 'GetObjectRetention':
      return getRetention(bucket, find(state, call, bucket, target))
    case 'PutObjectRetention': {
      const object = find(state, call, bucket, target)
      return putRetention(bucket, object, call, state.now(), mayBypass(state, call, bucket, key))
    }
    case 'GetObject':
    case 'HeadObject': {
      const object = find(state, call, bucket, target)
      return { status: 200, headers: objectHeaders(object), body: object.body }
    }
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
  { action, key, operation }: Pick<S3Target, 'action' | 'key' | 'operation'>,
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

/** Throws NoSuchKey, NoSuchVersion, or AccessDenied to those who may not know what there is. */
function find(state: State, call: Call, bucket: StoredBucket, { key, versionId }: S3Target): StoredObject {
  if (versionId !== undefined) {
    const version = versionOf(bucket, key, versionId)
    if (version.deleteMarker)
      throw new AwsFault(
        'MethodNotAllowed',
        405,
        'The specified method is not allowed against this resource.',
      )
    return version
  }
  const object = bucket.objects.get(key)
  if (object !== undefined) return object
  // Who may not list may not learn that a key is missing either.
  const resource = `arn:aws:s3:::${bucket.name}`
  const context = contextOf(state, call, bucket)
  if (refusalOf(call.caller, { action: 's3:ListBucket', resource, context }) !== undefined) throw denied()
  throw new AwsFault('NoSuchKey', 404, 'The specified key does not exist.')
}

function objectHeaders(object: StoredObject): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': object.contentType,
    etag: object.etag,
    'last-modified': object.modifiedAt.toUTCString(),
    ...versionHeaders(object),
    ...lockHeaders(object),
  }
  for (const [name, value] of Object.entries(object.metadata)) headers[name] = value
  return headers
}

function putObject(state: State, call: Call, bucket: StoredBucket, target: S3Target): Answer {
  const { key, operation } = target
  if (call.body.length > MAX_OBJECT_BYTES)
    throw new AwsFault('EntityTooLarge', 400, 'Your proposed upload exceeds the maximum allowed size')
  if (Buffer.byteLength(key) > 1024) throw new AwsFault('KeyTooLongError', 400, 'Your key is too long')
  // Setting a retention, and comparing with what is there, are rights of their own.
  if (header(call.raw, 'x-amz-object-lock-mode') !== undefined)
    checkAccess(state, call, { action: 's3:PutObjectRetention', key, operation }, bucket)
  if (header(call.raw, 'if-match') !== undefined)
    checkAccess(state, call, { action: 's3:GetObject', key, operation }, bucket)
  const retention = retentionFor(bucket, call.raw, state.now())
  checkConditions(call.raw, bucket.objects.get(key))
  const metadata = Object.entries(call.raw.headers).filter(([name]) => name.startsWith('x-amz-meta-'))
  const object = storedObject(Buffer.from(call.body), state.now(), {
    contentType: header(call.raw, 'content-type') ?? 'binary/octet-stream',
    metadata: Object.fromEntries(metadata.map(([name, values = []]) => [name, values.join(',')])),
    ...(retention === undefined ? {} : { retention }),
  })
  const stored = store(bucket, key, object)
  return { status: 200, headers: { etag: stored.etag, ...versionHeaders(stored) }, body: '' }
}

function deleteObject(state: State, call: Call, bucket: StoredBucket, target: S3Target): Answer {
  const { key, versionId } = target
  if (versionId === undefined) return hide(bucket, key, state.now())
  const version = versionOf(bucket, key, versionId)
  refuseRemoval(version, state.now(), mayBypass(state, call, bucket, key))
  return removeVersion(bucket, key, version)
}

/** Asked for by its header; throws AccessDenied to those who may not. */
function mayBypass(state: State, call: Call, bucket: StoredBucket, key: string): boolean {
  if (header(call.raw, 'x-amz-bypass-governance-retention')?.toLowerCase() !== 'true') return false
  const action = 's3:BypassGovernanceRetention'
  checkAccess(state, call, { action, key, operation: 'DeleteObject' }, bucket)
  return true
}
