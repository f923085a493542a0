import { type Answer, AwsFault, s3Answer } from './answer.js'
import { encode, query, type RawRequest } from './signature.js'
import type { StoredBucket, StoredObject } from './state.js'
import { el, type Xml } from './xml.js'

export const listParameters: ReadonlySet<string> = new Set([
  'list-type',
  'prefix',
  'delimiter',
  'max-keys',
  'continuation-token',
  'start-after',
  'encoding-type',
  'fetch-owner',
])

type Entry =
  | { readonly kind: 'key'; readonly name: string; readonly object: StoredObject }
  | { readonly kind: 'prefix'; readonly name: string }

/** S3 API, "ListObjectsV2": keys in UTF-8 order, those that share text up to the delimiter rolled into one entry. */
export function listObjects(bucket: StoredBucket, request: RawRequest): Answer {
  const prefix = query(request, 'prefix') ?? ''
  const delimiter = query(request, 'delimiter') ?? ''
  const limit = readMaxKeys(query(request, 'max-keys'))
  const token = query(request, 'continuation-token')
  const after =
    token === undefined ? { kind: 'key', name: query(request, 'start-after') ?? '' } : readToken(token)
  const entries: Entry[] = []
  let more = false
  for (const entry of entriesOf(bucket, prefix, delimiter)) {
    const passed =
      entry.kind === after.kind ? compare(entry.name, after.name) <= 0 : compare(entry.name, after.name) < 0
    if (passed) continue
    if (entries.length === limit) {
      more = limit > 0
      break
    }
    entries.push(entry)
  }
  const url = query(request, 'encoding-type') === 'url'
  const text = (name: string): string => (url ? encode(name).replaceAll('%2F', '/') : name)
  const last = entries.at(-1)
  const optional: [string, string | undefined][] = [
    ['ContinuationToken', token],
    ['NextContinuationToken', more && last !== undefined ? writeToken(last) : undefined],
    ['StartAfter', query(request, 'start-after')],
    ['EncodingType', url ? 'url' : undefined],
    ['Delimiter', delimiter === '' ? undefined : text(delimiter)],
  ]
  return s3Answer(
    'ListBucketResult',
    el('Name', bucket.name),
    el('Prefix', text(prefix)),
    el('KeyCount', entries.length),
    el('MaxKeys', limit),
    el('IsTruncated', String(more)),
    ...optional.flatMap(([name, value]) => (value === undefined ? [] : [el(name, value)])),
    ...entries.map((entry) => describe(entry, text)),
  )
}

function* entriesOf(bucket: StoredBucket, prefix: string, delimiter: string): Generator<Entry> {
  let group: string | undefined
  for (const name of [...bucket.objects.keys()].filter((key) => key.startsWith(prefix)).sort(compare)) {
    const cut = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length)
    const object = bucket.objects.get(name)
    if (cut < 0 && object !== undefined) yield { kind: 'key', name, object }
    if (cut < 0) continue
    const common = name.slice(0, cut + delimiter.length)
    if (common !== group) yield { kind: 'prefix', name: common }
    group = common
  }
}

const describe = (entry: Entry, text: (name: string) => string): Xml =>
  entry.kind === 'prefix'
    ? el('CommonPrefixes', el('Prefix', text(entry.name)))
    : el(
        'Contents',
        el('Key', text(entry.name)),
        el('LastModified', entry.object.modifiedAt.toISOString()),
        el('ETag', entry.object.etag),
        el('Size', entry.object.body.length),
        el('StorageClass', 'STANDARD'),
      )

/** JavaScript sorts by UTF-16, S3 by UTF-8: they differ beyond the basic plane. */
const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

function readMaxKeys(text: string | undefined): number {
  if (text !== undefined && !/^\d{1,9}$/.test(text))
    throw new AwsFault('InvalidArgument', 400, 'Provided max-keys not an integer or within integer range')
  return Math.min(Number(text ?? '1000'), 1000)
}

const writeToken = ({ kind, name }: Entry): string => Buffer.from(`${kind}:${name}`).toString('base64url')

function readToken(token: string): { readonly kind: string; readonly name: string } {
  const [, kind, name] = /^(key|prefix):(.*)$/s.exec(Buffer.from(token, 'base64url').toString()) ?? []
  if (kind === undefined || name === undefined)
    throw new AwsFault('InvalidArgument', 400, 'The continuation token provided is incorrect')
  return { kind, name }
}
