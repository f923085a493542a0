import { Readable } from 'node:stream'
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import t from 'tap'
import { readPayload } from '../../local-aws/payload.js'
import { isSigned, readClaim } from '../../local-aws/signature.js'
import { chunked, send, signer } from './sign.js'
import { BROKER_KEYS, world } from './support.js'

t.test('bodies in chunks', async (t) => {
  const w = await world(t)
  const signed = signer(w)
  const streaming = (
    kind: string,
    framed: (seed: string) => string,
    length: number,
    extra: Record<string, string> = {},
  ) => {
    const headers = {
      'content-encoding': 'aws-chunked',
      'x-amz-content-sha256': kind,
      'x-amz-decoded-content-length': String(length),
      ...extra,
    }
    const request = signed({ method: 'PUT', path: '/orders/chunked', headers }, 's3', { payloadHash: kind })
    return { ...request, body: framed(request.signature) }
  }
  const stored = () => send(w.aws.url, signed({ method: 'GET', path: '/orders/chunked' }, 's3'))
  const secret = { keys: BROKER_KEYS, at: w.clock.now() }
  const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
  const plain = streaming(SIGNED, (seed) => chunked(['one ', 'two'], undefined, seed, secret), 7)
  t.equal(await send(w.aws.url, plain), '')
  t.equal(await stored(), 'one two')
  const changed = { ...plain, body: plain.body.replace('two', 'TWO') }
  t.equal(await send(w.aws.url, changed), '403 SignatureDoesNotMatch', 'a chunk changed')
  const dropped = { ...plain, body: plain.body.replace(/^4;[^\n]+\n[^\n]+\n/, '') }
  t.equal(await send(w.aws.url, dropped), '403 SignatureDoesNotMatch', 'a chunk dropped')
  const bare = { ...plain, body: plain.body.replace(/;chunk-signature=[0-9a-f]+/g, '') }
  t.equal(await send(w.aws.url, bare), '403 SignatureDoesNotMatch', 'signatures taken away')
  t.equal(
    await send(w.aws.url, { ...plain, body: plain.body.slice(0, -90) }),
    '400 IncompleteBody',
    'cut off',
  )
  const short = streaming(SIGNED, (seed) => chunked(['one'], undefined, seed, secret), 7)
  t.equal(await send(w.aws.url, short), '400 IncompleteBody', 'another length than announced')

  // CRC-32 of "one two", base64 of its four bytes.
  const crc = 'x-amz-checksum-crc32:zQeJLw=='
  const trailing = streaming(`${SIGNED}-TRAILER`, (seed) => chunked(['one two'], crc, seed, secret), 7, {
    'x-amz-trailer': 'x-amz-checksum-crc32',
  })
  t.equal(await send(w.aws.url, trailing), '')
  const otherTrailer = { ...trailing, body: trailing.body.replace('zQeJLw', 'zQeJLv') }
  t.equal(await send(w.aws.url, otherTrailer), '403 SignatureDoesNotMatch', 'a trailer changed')
  const noTrailer = { ...trailing, body: trailing.body.replace(/x-amz-[\s\S]*$/, '\r\n') }
  t.equal(await send(w.aws.url, noTrailer), '403 SignatureDoesNotMatch', 'a trailer taken away')

  const UNSIGNED = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'
  const unsigned = streaming(UNSIGNED, () => `7\r\none two\r\n0\r\n${crc}\r\n\r\n`, 7)
  t.equal(await send(w.aws.url, unsigned), '')
  const corrupt = streaming(UNSIGNED, () => `7\r\none tvo\r\n0\r\n${crc}\r\n\r\n`, 7)
  t.equal(await send(w.aws.url, corrupt), '400 BadDigest')
  t.equal(await stored(), 'one two')
})

t.test('a stream from the SDK', async (t) => {
  const { s3 } = await world(t)
  const Body = Readable.from([Buffer.from('one '), Buffer.from('two')])
  await s3().send(new PutObjectCommand({ Bucket: 'orders', Key: 'stream', Body, ContentLength: 7 }))
  const { Body: stored } = await s3().send(new GetObjectCommand({ Bucket: 'orders', Key: 'stream' }))
  t.equal(await stored?.transformToString(), 'one two')
})

t.test("AWS's own example of a chunked upload", (t) => {
  // S3 API, "sigv4-streaming" and "sigv4-streaming-trailers".
  const secret = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
  const names = (more: string[]) =>
    [
      'content-encoding',
      'host',
      'x-amz-content-sha256',
      'x-amz-date',
      'x-amz-decoded-content-length',
      'x-amz-storage-class',
      ...more,
    ].sort()
  const example = (
    kind: string,
    seed: string,
    more: Record<string, string>,
    signatures: string[],
    end: string,
  ) => {
    const framed = [65_536, 1024, 0].map((size, n) => {
      const data = size === 0 ? '' : `${'a'.repeat(size)}\r\n`
      return `${size.toString(16)};chunk-signature=${signatures[n]}\r\n${data}`
    })
    const headers: Record<string, string> = {
      'content-encoding': 'aws-chunked',
      host: 's3.amazonaws.com',
      'x-amz-content-sha256': kind,
      'x-amz-date': '20130524T000000Z',
      'x-amz-decoded-content-length': '66560',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      ...more,
      authorization: `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=${names(Object.keys(more)).join(';')},Signature=${seed}`,
    }
    const request = {
      method: 'PUT',
      path: '/examplebucket/chunkObject.txt',
      query: [],
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]])),
      body: Buffer.from(`${framed.join('')}${end}\r\n`),
    }
    const claim = readClaim(request)
    if (claim === undefined) throw new Error('no claim')
    return { signed: isSigned(request, claim, kind, secret), read: () => readPayload(request, claim, secret) }
  }
  const plain = example(
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
    { 'content-length': '66824' },
    [
      'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
      '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
      'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    ],
    '',
  )
  t.ok(plain.signed)
  t.equal(plain.read().length, 66_560)
  const trailing = example(
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
    '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
    { 'x-amz-trailer': 'x-amz-checksum-crc32c' },
    [
      'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
      '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
      '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    ],
    'x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n',
  )
  t.ok(trailing.signed)
  t.throws(
    trailing.read,
    { code: 'NotImplemented' },
    'every signature holds; only CRC-32C is not computed here',
  )
  t.end()
})
