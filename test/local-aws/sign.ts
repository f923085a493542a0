import { createHash, createHmac } from 'node:crypto'
import { request } from 'node:http'
import { BROKER_KEYS, type Keys, type World } from './support.js'

/** A SigV4 signer of its own, so that the verifier is not tested against itself. */
export interface Unsigned {
  readonly method: string
  /** Already percent-encoded. */
  readonly path: string
  readonly query?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

export interface Signed extends Unsigned {
  readonly headers: Readonly<Record<string, string>>
  readonly signature: string
}

export interface SignFor {
  readonly keys: Keys
  readonly at: Date
  readonly host: string
  readonly service: string
  /** Default: the hash of the body. */
  readonly payloadHash?: string
  /** Headers left out of the signature. */
  readonly leaveOut?: readonly string[]
  /** Day of the credential scope, where it is not that of `at`. */
  readonly scopeAt?: Date
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')

export const scopeOf = (at: Date, service: string): string =>
  `${amzDate(at).slice(0, 8)}/eu-west-1/${service}/aws4_request`
export const amzDate = (at: Date): string => at.toISOString().replace(/[-:]|\.\d+/g, '')

export function signText(text: string, secret: string, at: Date, service: string): string {
  const key = scopeOf(at, service)
    .split('/')
    .reduce<string | Buffer>((sofar, part) => hmac(sofar, part), `AWS4${secret}`)
  return hmac(key, text).toString('hex')
}

export function sign(
  unsigned: Unsigned,
  { keys, at, host, service, payloadHash, leaveOut = [], scopeAt = at }: SignFor,
): Signed {
  const hash = payloadHash ?? sha256(unsigned.body ?? '')
  const headers: Record<string, string> = { host, 'x-amz-date': amzDate(at), ...unsigned.headers }
  if (service === 's3') headers['x-amz-content-sha256'] ??= hash
  if (keys.sessionToken !== undefined) headers['x-amz-security-token'] ??= keys.sessionToken
  const names = Object.keys(headers)
    .filter((name) => !leaveOut.includes(name))
    .sort()
  const query = (unsigned.query ?? '').split('&').sort().join('&')
  const canonical = [
    unsigned.method,
    unsigned.path,
    query,
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    hash,
  ].join('\n')
  const scope = scopeOf(scopeAt, service)
  const text = ['AWS4-HMAC-SHA256', amzDate(at), scope, sha256(canonical)].join('\n')
  const signature = signText(text, keys.secretAccessKey, scopeAt, service)
  const authorization = `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  return { ...unsigned, headers: { ...headers, authorization }, signature }
}

/** Signs for a world, as its broker and by its clock unless told otherwise. */
export const signer =
  ({ aws, clock }: World) =>
  (unsigned: Unsigned, service: string, more: Partial<SignFor> = {}): Signed =>
    sign(unsigned, { keys: BROKER_KEYS, at: clock.now(), host: new URL(aws.url).host, service, ...more })

/** Sends exactly this; answers `<status> <error code>`, or the body when all went well. */
export function send(url: string, { method, path, query, headers, body }: Unsigned): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const options = { hostname, port, method, path: query ? `${path}?${query}` : path, headers }
    const outgoing = request(options, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => {
        const text = Buffer.concat(parts).toString()
        const code = /<Code>(\w+)<\/Code>/.exec(text)?.[1]
        resolve((response.statusCode ?? 0) < 300 ? text : `${response.statusCode} ${code}`)
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** aws-chunked: every chunk signed onto the one before, and a signed trailer when there is one. */
export function chunked(
  chunks: readonly string[],
  trailer: string | undefined,
  seed: string,
  { keys, at }: Pick<SignFor, 'keys' | 'at'>,
): string {
  let previous = seed
  const next = (kind: string, ...rest: string[]): string => {
    const text = [`AWS4-HMAC-SHA256-${kind}`, amzDate(at), scopeOf(at, 's3'), previous, ...rest].join('\n')
    previous = signText(text, keys.secretAccessKey, at, 's3')
    return previous
  }
  const framed = [...chunks, ''].map((chunk) => {
    const head = `${Buffer.byteLength(chunk).toString(16)};chunk-signature=${next('PAYLOAD', sha256(''), sha256(chunk))}\r\n`
    return chunk === '' ? head : `${head}${chunk}\r\n`
  })
  const end =
    trailer === undefined
      ? ''
      : `${trailer}\r\nx-amz-trailer-signature:${next('TRAILER', sha256(`${trailer}\n`))}\r\n`
  return `${framed.join('')}${end}\r\n`
}
