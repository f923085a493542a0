import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { AwsFault } from './answer.js'

/** A request as it came in: nothing decoded, nothing normalised. */
export interface RawRequest {
  readonly method: string
  /** Path as sent, without the query. */
  readonly path: string
  /** Percent-decoded pairs in the order sent; `+` stays a plus, as SigV4 has it. */
  readonly query: readonly (readonly [string, string])[]
  /** Lower-case names; a header sent twice has two values. */
  readonly headers: Readonly<Record<string, readonly string[] | undefined>>
  readonly body: Buffer
}

/** What a request says about its own signature. Nothing of it is proven yet. */
export interface Claim {
  readonly accessKeyId: string
  /** `YYYYMMDD` */
  readonly date: string
  readonly region: string
  readonly service: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
  /** `YYYYMMDDTHHMMSSZ` */
  readonly timestamp: string
  readonly token?: string | undefined
  /** Presigned URLs only: seconds it holds. */
  readonly expires?: number | undefined
}

const ALGORITHM = 'AWS4-HMAC-SHA256'

export const header = (request: RawRequest, name: string): string | undefined =>
  request.headers[name]?.join(',')
export const query = (request: RawRequest, name: string): string | undefined =>
  request.query.find(([key]) => key === name)?.[1]

const incomplete = (what: string): AwsFault => new AwsFault('IncompleteSignature', 400, what)

/** Reads the Authorization header or a presigned query; undefined when there is neither. Throws IncompleteSignature. */
export function readClaim(request: RawRequest): Claim | undefined {
  const authorization = request.headers.authorization
  const presigned = query(request, 'X-Amz-Signature')
  if (authorization === undefined)
    return presigned === undefined ? undefined : readPresigned(request, presigned)
  if (presigned !== undefined || authorization.length !== 1) throw incomplete('Only one signature is allowed')
  const [, credential = '', signedHeaders = '', signature = ''] =
    /^AWS4-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
      authorization[0] ?? '',
    ) ?? []
  if (signature === '') throw incomplete(`Authorization header is not ${ALGORITHM}`)
  return {
    ...readScope(credential),
    signedHeaders: signedHeaders.split(';'),
    signature,
    timestamp: readTimestamp(header(request, 'x-amz-date')),
    token: header(request, 'x-amz-security-token'),
  }
}

function readPresigned(request: RawRequest, signature: string): Claim {
  const expires = Number(query(request, 'X-Amz-Expires'))
  if (!/^[0-9a-f]{64}$/.test(signature) || query(request, 'X-Amz-Algorithm') !== ALGORITHM)
    throw incomplete(`The query is not signed with ${ALGORITHM}`)
  if (!Number.isInteger(expires) || expires < 1 || expires > 604_800)
    throw incomplete('X-Amz-Expires must be 1 to 604800 seconds')
  return {
    ...readScope(query(request, 'X-Amz-Credential') ?? ''),
    signedHeaders: (query(request, 'X-Amz-SignedHeaders') ?? '').split(';'),
    signature,
    timestamp: readTimestamp(query(request, 'X-Amz-Date')),
    token: query(request, 'X-Amz-Security-Token'),
    expires,
  }
}

function readScope(credential: string): Pick<Claim, 'accessKeyId' | 'date' | 'region' | 'service'> {
  const [, accessKeyId, date, region, service] =
    /^([A-Z0-9]{16,128})\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9]+)\/aws4_request$/.exec(credential) ?? []
  if (accessKeyId === undefined || date === undefined || region === undefined || service === undefined)
    throw incomplete('Credential must be KEY/DATE/REGION/SERVICE/aws4_request')
  return { accessKeyId, date, region, service }
}

function readTimestamp(text: string | undefined): string {
  if (text === undefined || !/^\d{8}T\d{6}Z$/.test(text))
    throw incomplete('X-Amz-Date is missing or malformed')
  return text
}

/** Milliseconds since 1970 of a `YYYYMMDDTHHMMSSZ`. */
export const timestampMs = (timestamp: string): number =>
  Date.parse(timestamp.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'))

/**
 * Whether the secret's holder signed exactly this request with this payload hash.
 * IAM User Guide, "Create a signed AWS API request".
 */
export function isSigned(request: RawRequest, claim: Claim, payloadHash: string, secret: string): boolean {
  const unsigned = Object.keys(request.headers).filter(
    (name) => name.startsWith('x-amz-') && !claim.signedHeaders.includes(name),
  )
  // A header that carries meaning and is not signed could be changed on the way.
  if (!claim.signedHeaders.includes('host') || unsigned.length > 0) return false
  const canonical = canonicalRequest(request, claim, payloadHash)
  const text = [ALGORITHM, claim.timestamp, scope(claim), sha256(canonical)].join('\n')
  return equal(claim.signature, hmac(signingKey(claim, secret), text).toString('hex'))
}

function canonicalRequest(request: RawRequest, claim: Claim, payloadHash: string): string {
  // S3 signs the path as sent; every other service signs it encoded once more.
  const path = claim.service === 's3' ? request.path : request.path.split('/').map(encode).join('/')
  const pairs = request.query
    .filter(([key]) => key !== 'X-Amz-Signature')
    .map(([key, value]) => [encode(key), encode(value)] as const)
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map((pair) => pair.join('='))
  const headers = claim.signedHeaders.map((name) => {
    const values = (request.headers[name] ?? []).map((value) => value.trim().replace(/ +/g, ' '))
    return `${name}:${values.join(',')}\n`
  })
  const parts = [
    request.method,
    path,
    pairs.join('&'),
    headers.join(''),
    claim.signedHeaders.join(';'),
    payloadHash,
  ]
  return parts.join('\n')
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** RFC 3986: everything but unreserved characters. */
export const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)

export const scope = ({ date, region, service }: Claim): string => `${date}/${region}/${service}/aws4_request`

export function signingKey({ date, region, service }: Claim, secret: string): Buffer {
  const day = hmac(`AWS4${secret}`, date)
  return hmac(hmac(hmac(day, region), service), 'aws4_request')
}

export const hmac = (key: string | Buffer, text: string): Buffer =>
  createHmac('sha256', key).update(text).digest()
export const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')

/** Compares digests, so neither the time taken nor a length tells where two texts differ. */
export const equal = (a: string, b: string): boolean =>
  timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())
