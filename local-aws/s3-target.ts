import { AwsFault } from './answer.js'
import type { Call } from './request.js'
import { listParameters } from './s3-list.js'
import { query } from './signature.js'

/** The IAM action each call is authorised as. Service Authorization Reference, "Amazon S3". */
const ACTIONS = {
  ListBuckets: 's3:ListAllMyBuckets',
  ListObjectsV2: 's3:ListBucket',
  ListObjectVersions: 's3:ListBucketVersions',
  HeadBucket: 's3:ListBucket',
  GetBucketVersioning: 's3:GetBucketVersioning',
  PutBucketVersioning: 's3:PutBucketVersioning',
  GetObjectLockConfiguration: 's3:GetBucketObjectLockConfiguration',
  GetObject: 's3:GetObject',
  HeadObject: 's3:GetObject',
  PutObject: 's3:PutObject',
  DeleteObject: 's3:DeleteObject',
  GetObjectRetention: 's3:GetObjectRetention',
  PutObjectRetention: 's3:PutObjectRetention',
} as const

export type Operation = keyof typeof ACTIONS

/** Naming a version is another right. */
const OF_A_VERSION: Partial<Record<Operation, string>> = {
  GetObject: 's3:GetObjectVersion',
  HeadObject: 's3:GetObjectVersion',
  DeleteObject: 's3:DeleteObjectVersion',
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'GET service': 'ListBuckets',
  'GET bucket': 'ListObjectsV2',
  'HEAD bucket': 'HeadBucket',
  'GET bucket?versions': 'ListObjectVersions',
  'GET bucket?versioning': 'GetBucketVersioning',
  'PUT bucket?versioning': 'PutBucketVersioning',
  'GET bucket?object-lock': 'GetObjectLockConfiguration',
  'GET object': 'GetObject',
  'HEAD object': 'HeadObject',
  'PUT object': 'PutObject',
  'DELETE object': 'DeleteObject',
  'GET object?retention': 'GetObjectRetention',
  'PUT object?retention': 'PutObjectRetention',
}

const SUBRESOURCES = ['versions', 'versioning', 'object-lock', 'retention']

const OPTIONS: Partial<Record<Operation, ReadonlySet<string>>> = {
  ListObjectsV2: listParameters,
  ListObjectVersions: new Set(['prefix', 'encoding-type']),
  GetObject: new Set(['versionId']),
  HeadObject: new Set(['versionId']),
  DeleteObject: new Set(['versionId']),
  GetObjectRetention: new Set(['versionId']),
  PutObjectRetention: new Set(['versionId']),
}

export interface S3Target {
  readonly operation: Operation
  readonly action: string
  readonly bucket: string
  readonly key: string
  readonly versionId?: string
}

export const notImplemented = (what: string): AwsFault =>
  new AwsFault('NotImplemented', 501, `Local AWS does not implement ${what}`)

/** Path-style only: `/bucket/key`. Throws NotImplemented for what would be another call on AWS. */
export function s3Target({ raw }: Pick<Call, 'raw'>): S3Target {
  const [, rawBucket = '', rawKey = ''] = /^\/([^/]*)\/?(.*)$/s.exec(raw.path) ?? []
  const bucket = decode(rawBucket)
  const key = decode(rawKey)
  const place = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object'
  const named = raw.query.flatMap(([name]) => (SUBRESOURCES.includes(name) ? [`?${name}`] : []))
  const operation = OPERATIONS[`${raw.method} ${place}${named.join('')}`]
  if (operation === undefined) throw notImplemented(`${raw.method} on a ${place}${named.join('')}`)
  // `?acl` or `?policy` make another call of it: never answered as if they were not there.
  for (const [name] of raw.query)
    if (
      !/^(X-Amz-.*|x-id)$/.test(name) &&
      !SUBRESOURCES.includes(name) &&
      OPTIONS[operation]?.has(name) !== true
    )
      throw notImplemented(`the parameter ${name}`)
  if (operation === 'ListObjectsV2' && query(raw, 'list-type') !== '2')
    throw notImplemented('ListObjects version 1')
  for (const name of ['x-amz-copy-source', 'x-amz-acl', 'x-amz-tagging', 'x-amz-object-lock-legal-hold'])
    if (raw.headers[name] !== undefined) throw notImplemented(`the header ${name}`)
  if (operation !== 'PutObject')
    for (const name of ['if-match', 'if-none-match'])
      if (raw.headers[name] !== undefined) throw notImplemented(`the header ${name} here`)
  const versionId = query(raw, 'versionId')
  return versionId === undefined
    ? { operation, action: ACTIONS[operation], bucket, key }
    : { operation, action: OF_A_VERSION[operation] ?? ACTIONS[operation], bucket, key, versionId }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new AwsFault('InvalidURI', 400, "Couldn't parse the specified URI.")
  }
}
