import { createHash } from 'node:crypto'
import { type Answer, AwsFault, s3Answer } from './answer.js'
import { notImplemented } from './s3-target.js'
import { awsId, type LocalBucket, type StoredBucket, type StoredObject } from './state.js'
import { el } from './xml.js'

export function newBucket(local: LocalBucket, at: Date): StoredBucket {
  const { name, account, objects = {}, versioning = false, objectLock } = local
  const bucket: StoredBucket = {
    name,
    account,
    createdAt: at,
    objects: new Map(),
    ...(versioning || objectLock !== undefined ? { versions: new Map() } : {}),
    ...(objectLock === undefined ? {} : { objectLock }),
  }
  for (const [key, text] of Object.entries(objects)) store(bucket, key, storedObject(Buffer.from(text), at))
  return bucket
}

export function storedObject(
  body: Buffer,
  modifiedAt: Date,
  about: Partial<StoredObject> = {},
): StoredObject {
  const etag = `"${createHash('md5').update(body).digest('hex')}"`
  return { body, etag, contentType: 'binary/octet-stream', metadata: {}, modifiedAt, ...about }
}

/** Where there are versions, an overwrite is a new one: nothing that was there is touched. */
export function store(bucket: StoredBucket, key: string, object: StoredObject): StoredObject {
  const kept = bucket.versions === undefined ? object : { ...object, versionId: awsId('', 32) }
  bucket.versions?.set(key, [kept, ...(bucket.versions.get(key) ?? [])])
  show(bucket, key, kept)
  return kept
}

function show(bucket: StoredBucket, key: string, newest: StoredObject | undefined): void {
  if (newest === undefined || newest.deleteMarker) bucket.objects.delete(key)
  else bucket.objects.set(key, newest)
}

/** Throws NoSuchVersion. */
export function versionOf(bucket: StoredBucket, key: string, versionId: string): StoredObject {
  const found = bucket.versions?.get(key)?.find((one) => one.versionId === versionId)
  if (found === undefined) throw new AwsFault('NoSuchVersion', 404, 'The specified version does not exist.')
  return found
}

/** S3 API, "DeleteObject": without a version, a marker hides the object and removes nothing. */
export function hide(bucket: StoredBucket, key: string, at: Date): Answer {
  if (bucket.versions === undefined) {
    bucket.objects.delete(key)
    return { status: 204, headers: {}, body: '' }
  }
  const marker = store(bucket, key, storedObject(Buffer.alloc(0), at, { deleteMarker: true }))
  return { status: 204, headers: versionHeaders(marker), body: '' }
}

export function removeVersion(bucket: StoredBucket, key: string, version: StoredObject): Answer {
  const left = bucket.versions?.get(key)?.filter((one) => one !== version) ?? []
  bucket.versions?.set(key, left)
  show(bucket, key, left[0])
  return { status: 204, headers: versionHeaders(version), body: '' }
}

export function versionHeaders({ versionId, deleteMarker }: StoredObject): Record<string, string> {
  return {
    ...(versionId === undefined ? {} : { 'x-amz-version-id': versionId }),
    ...(deleteMarker === undefined ? {} : { 'x-amz-delete-marker': 'true' }),
  }
}

export const getVersioning = (bucket: StoredBucket): Answer =>
  s3Answer('VersioningConfiguration', ...(bucket.versions === undefined ? [] : [el('Status', 'Enabled')]))

export function putVersioning(bucket: StoredBucket, body: Buffer): Answer {
  const status = /<Status>(\w+)<\/Status>/.exec(body.toString('utf8'))?.[1]
  if (status !== 'Enabled' && bucket.objectLock !== undefined)
    throw new AwsFault(
      'InvalidBucketState',
      409,
      'An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.',
    )
  if (status !== 'Enabled') throw notImplemented('suspending versioning')
  bucket.versions ??= new Map(
    [...bucket.objects].map(([key, object]) => [key, [{ ...object, versionId: 'null' }]]),
  )
  return { status: 200, headers: {}, body: '' }
}

/** S3 API, "ListObjectVersions", in one page. */
export function listVersions(bucket: StoredBucket, prefix: string): Answer {
  const rows = [...(bucket.versions ?? [])]
    .filter(([key]) => key.startsWith(prefix))
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .flatMap(([key, versions]) => versions.map((one, at) => ({ key, one, latest: at === 0 })))
  if (rows.length > 1000) throw notImplemented('more than one page of versions')
  return s3Answer(
    'ListVersionsResult',
    el('Name', bucket.name),
    el('Prefix', prefix),
    el('IsTruncated', 'false'),
    ...rows.map(({ key, one, latest }) =>
      el(
        one.deleteMarker ? 'DeleteMarker' : 'Version',
        el('Key', key),
        el('VersionId', one.versionId ?? 'null'),
        el('IsLatest', String(latest)),
        el('LastModified', one.modifiedAt.toISOString()),
        ...(one.deleteMarker ? [] : [el('ETag', one.etag), el('Size', one.body.length)]),
      ),
    ),
  )
}
