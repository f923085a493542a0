import { createHash } from 'node:crypto'
import zlib from 'node:zlib'
import { AwsFault } from './answer.js'
import { type Claim, equal, header, hmac, type RawRequest, scope, sha256, signingKey } from './signature.js'

const UNSIGNED = 'UNSIGNED-PAYLOAD'
const STREAMING = /^STREAMING-(UNSIGNED-PAYLOAD-TRAILER|AWS4-HMAC-SHA256-PAYLOAD(-TRAILER)?)$/

/**
 * The hash that was signed: the body's own, or S3's words for "not hashed" and "hashed in chunks".
 * Undefined when the header states a hash that the body does not have.
 */
export function signedPayloadHash(request: RawRequest, claim: Claim): string | undefined {
  const stated = header(request, 'x-amz-content-sha256')
  const actual = sha256(request.body)
  if (claim.service === 's3') {
    if (stated === undefined) return claim.expires === undefined ? undefined : UNSIGNED
    if (stated === UNSIGNED || STREAMING.test(stated)) return stated
  }
  return stated === undefined || stated === actual ? actual : undefined
}

/** The body without its aws-chunked framing, every chunk signature and checksum verified. Only for verified claims. */
export function readPayload(request: RawRequest, claim: Claim, secret: string): Buffer {
  const kind = header(request, 'x-amz-content-sha256') ?? ''
  if (!STREAMING.test(kind)) {
    verifyChecksums(request.body, (name) => header(request, name))
    return request.body
  }
  const signer = kind.includes('HMAC') ? chunkSigner(claim, secret) : undefined
  const { data, trailers } = decode(request.body, signer, kind.endsWith('-TRAILER'))
  if (header(request, 'x-amz-decoded-content-length') !== String(data.length))
    throw new AwsFault('IncompleteBody', 400, 'The decoded body has another length than its header says')
  verifyChecksums(data, (name) => trailers.get(name) ?? header(request, name))
  return data
}

interface ChunkSigner {
  readonly verifyChunk: (data: Buffer, signature: string | undefined) => void
  readonly verifyTrailer: (canonical: string, signature: string | undefined) => void
}

/** Each signature covers the one before it, so chunks can be neither changed, dropped nor swapped. S3 API, "sigv4-streaming". */
function chunkSigner(claim: Claim, secret: string): ChunkSigner {
  const key = signingKey(claim, secret)
  let previous = claim.signature
  const verify = (kind: string, rest: string[], signature: string | undefined): void => {
    const text = [`AWS4-HMAC-SHA256-${kind}`, claim.timestamp, scope(claim), previous, ...rest].join('\n')
    if (signature === undefined || !equal(signature, hmac(key, text).toString('hex')))
      throw new AwsFault('SignatureDoesNotMatch', 403, 'A chunk signature does not match')
    previous = signature
  }
  return {
    verifyChunk: (data, signature) => verify('PAYLOAD', [sha256(''), sha256(data)], signature),
    verifyTrailer: (canonical, signature) => verify('TRAILER', [sha256(canonical)], signature),
  }
}

function decode(body: Buffer, signer: ChunkSigner | undefined, hasTrailer: boolean) {
  const broken = (): AwsFault => new AwsFault('IncompleteBody', 400, 'The aws-chunked body is broken')
  const parts: Buffer[] = []
  let at = 0
  const line = (): string => {
    const end = body.indexOf('\r\n', at)
    if (end < 0) throw broken()
    const text = body.toString('latin1', at, end)
    at = end + 2
    return text
  }
  for (;;) {
    const [, size, signature] = /^([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line()) ?? []
    if (size === undefined) throw broken()
    const length = Number.parseInt(size, 16)
    const data = body.subarray(at, at + length)
    if (data.length !== length) throw broken()
    signer?.verifyChunk(data, signature)
    at += length
    if (length === 0) break
    parts.push(data)
    if (line() !== '') throw broken()
  }
  const trailers = new Map<string, string>()
  while (at < body.length) {
    const text = line().trim()
    if (text === '') break
    const colon = text.indexOf(':')
    if (colon < 1 || !hasTrailer) throw broken()
    trailers.set(text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim())
  }
  if (at < body.length) throw broken()
  const signature = trailers.get('x-amz-trailer-signature')
  trailers.delete('x-amz-trailer-signature')
  if (hasTrailer)
    signer?.verifyTrailer([...trailers].map((pair) => `${pair.join(':')}\n`).join(''), signature)
  return { data: Buffer.concat(parts), trailers }
}

const hash = (algorithm: string) => (data: Buffer) => createHash(algorithm).update(data).digest('base64')

const CHECKSUMS: Readonly<Record<string, (data: Buffer) => string>> = {
  'content-md5': hash('md5'),
  'x-amz-checksum-sha1': hash('sha1'),
  'x-amz-checksum-sha256': hash('sha256'),
  'x-amz-checksum-crc32': (data) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(zlib.crc32(data))
    return bytes.toString('base64')
  },
}

function verifyChecksums(data: Buffer, stated: (name: string) => string | undefined): void {
  for (const [name, compute] of Object.entries(CHECKSUMS)) {
    const value = stated(name)
    if (value !== undefined && value !== compute(data))
      throw new AwsFault('BadDigest', 400, `The ${name} you specified did not match what we received`)
  }
  for (const name of ['x-amz-checksum-crc32c', 'x-amz-checksum-crc64nvme'])
    if (stated(name) !== undefined)
      throw new AwsFault('NotImplemented', 501, `Local AWS does not verify ${name}`)
}
