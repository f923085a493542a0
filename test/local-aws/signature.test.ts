import { GetObjectCommand } from '@aws-sdk/client-s3'
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import t from 'tap'
import { type SignFor, send, sign, signer, type Unsigned } from './sign.js'
import { BROKER_KEYS, type Keys, refusal, world } from './support.js'

const CALL: Unsigned = {
  method: 'POST',
  path: '/',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: 'Action=GetCallerIdentity&Version=2011-06-15',
}
const PUT: Unsigned = { method: 'PUT', path: '/orders/new.txt', body: 'hello' }
const GET: Unsigned = { method: 'GET', path: '/orders/a.txt' }

t.test('what was signed and what arrives must be the same', async (t) => {
  const w = await world(t)
  const signed = signer(w)
  const attempt = (request: Unsigned) => send(w.aws.url, request)
  const call = signed(CALL, 'sts')
  t.match(await attempt(call), /<Account>111122223333</)
  t.equal(await attempt({ ...call, body: `${CALL.body}&X=1` }), '403 SignatureDoesNotMatch', 'another body')
  t.equal(
    await attempt({ ...call, query: 'Action=AssumeRole' }),
    '403 SignatureDoesNotMatch',
    'a query added',
  )
  t.equal(await attempt({ ...call, method: 'PUT' }), '403 SignatureDoesNotMatch', 'another method')
  t.equal(
    await attempt({ ...call, headers: { ...call.headers, host: 'sts.amazonaws.com' } }),
    '403 SignatureDoesNotMatch',
    'another host',
  )
  t.equal(
    await attempt({ ...call, headers: { ...call.headers, 'x-amz-extra': '1' } }),
    '403 SignatureDoesNotMatch',
    'an x-amz header that nobody signed',
  )
  t.equal(
    await attempt(signed(CALL, 'sts', { leaveOut: ['host'] })),
    '403 SignatureDoesNotMatch',
    'host not signed',
  )

  const put = signed(PUT, 's3')
  t.equal(await attempt({ ...put, body: 'jello' }), '400 XAmzContentSHA256Mismatch', 'another body')
  t.equal(await attempt({ ...put, path: '/orders/other.txt' }), '403 SignatureDoesNotMatch', 'another key')
  t.equal(await attempt(put), '')
  t.equal(await attempt({ ...signed(GET, 's3'), query: 'versionId=1' }), '403 SignatureDoesNotMatch')
  t.equal(await attempt(signed({ ...CALL, path: '/orders' }, 'sts')), '404 InvalidAction')
  t.equal(await attempt(signed(GET, 'dynamodb')), '403 SignatureDoesNotMatch', 'a service that is not here')
})

t.test('header encoding: paths, queries and values as SigV4 has them', async (t) => {
  const w = await world(t)
  const signed = signer(w)
  const odd = signed(
    { method: 'PUT', path: '/orders/a%20b%2B%C3%BC', body: 'odd', headers: { 'x-amz-meta-x': 'two words' } },
    's3',
  )
  t.equal(await send(w.aws.url, odd), '')
  t.match(
    await send(
      w.aws.url,
      signed({ method: 'GET', path: '/orders', query: 'list-type=2&prefix=a%20b%2B' }, 's3'),
    ),
    /<Key>a b\+ü<\/Key>/,
  )
  const spaced = { ...signed({ ...GET, headers: { 'x-amz-meta-x': 'a b' } }, 's3') }
  t.equal(
    await send(w.aws.url, { ...spaced, headers: { ...spaced.headers, 'x-amz-meta-x': 'a    b  ' } }),
    'alpha',
  )
})

t.test('whose key it is', async (t) => {
  const w = await world(t)
  const signed = signer(w)
  const session = await w.session()
  const other = await w.session()
  const both = async (keys: Keys) => [
    await send(w.aws.url, signed(CALL, 'sts', { keys })),
    await send(w.aws.url, signed(GET, 's3', { keys })),
  ]
  const [identity, object] = await both(session)
  t.match(identity, /assumed-role/)
  t.equal(object, 'alpha')
  const { sessionToken, ...withoutToken } = session
  t.same(await both(withoutToken), ['403 InvalidClientTokenId', '400 InvalidToken'], 'no token')
  t.same(
    await both({ ...session, sessionToken: other.sessionToken }),
    ['403 InvalidClientTokenId', '400 InvalidToken'],
    "a neighbour's token",
  )
  t.same(
    await both({ ...BROKER_KEYS, sessionToken }),
    ['403 InvalidClientTokenId', '400 InvalidToken'],
    'a token on long-lived keys',
  )
  t.same(await both({ ...session, secretAccessKey: other.secretAccessKey }), [
    '403 SignatureDoesNotMatch',
    '403 SignatureDoesNotMatch',
  ])
  t.same(
    await both({ ...session, accessKeyId: 'ASIAAAAAAAAAAAAAAAAA' }),
    ['403 InvalidClientTokenId', '403 InvalidAccessKeyId'],
    'a key nobody has',
  )
  t.equal(await send(w.aws.url, CALL), '403 MissingAuthenticationToken')
  t.equal(await send(w.aws.url, GET), '403 AccessDenied')
  const garbage = { ...GET, headers: { authorization: 'Bearer x' } }
  t.equal(await send(w.aws.url, garbage), '400 IncompleteSignature')
})

t.test('the clock may be off by 15 minutes', async (t) => {
  const w = await world(t)
  const signed = signer(w)
  const off = async (seconds: number) => {
    const at = new Date(w.clock.now().getTime() + seconds * 1000)
    return [
      await send(w.aws.url, signed(CALL, 'sts', { at })),
      await send(w.aws.url, signed(GET, 's3', { at })),
    ]
  }
  const refused = ['403 SignatureDoesNotMatch', '403 RequestTimeTooSkewed']
  for (const seconds of [-900, 900])
    t.match(await off(seconds), [/GetCallerIdentityResult/, 'alpha'], `${seconds} s`)
  for (const seconds of [-901, 901]) t.same(await off(seconds), refused, `${seconds} s`)
  const scopeAt = new Date('2026-03-02T00:00:00Z')
  t.equal(
    await send(w.aws.url, signed(GET, 's3', { scopeAt })),
    '403 SignatureDoesNotMatch',
    'well signed, with the scope of another day',
  )
})

t.test('presigned URLs', async (t) => {
  const w = await world(t)
  const keys = await w.session()
  const presign = (more: Partial<SignFor> = {}, expires = '60') => {
    const at = w.clock.now()
    const scope = `${at.toISOString().slice(0, 10).replaceAll('-', '')}/eu-west-1/s3/aws4_request`
    const query = [
      'X-Amz-Algorithm=AWS4-HMAC-SHA256',
      `X-Amz-Credential=${encodeURIComponent(`${keys.accessKeyId}/${scope}`)}`,
      `X-Amz-Date=${at.toISOString().replace(/[-:]|\.\d+/g, '')}`,
      `X-Amz-Expires=${expires}`,
      `X-Amz-Security-Token=${encodeURIComponent(keys.sessionToken)}`,
      'X-Amz-SignedHeaders=host',
    ].join('&')
    const { sessionToken: _token, ...plain } = keys
    const signed = sign(
      { ...GET, query },
      {
        keys: plain,
        at,
        host: new URL(w.aws.url).host,
        service: 's3',
        payloadHash: 'UNSIGNED-PAYLOAD',
        leaveOut: ['x-amz-date', 'x-amz-content-sha256'],
        ...more,
      },
    )
    return { ...GET, query: `${query}&X-Amz-Signature=${signed.signature}` }
  }
  const url = presign()
  t.equal(await send(w.aws.url, url), 'alpha')
  t.equal(await send(w.aws.url, { ...url, path: '/orders/b/c.txt' }), '403 SignatureDoesNotMatch')
  t.equal(
    await send(w.aws.url, { ...url, query: url.query.replace('Expires=60', 'Expires=600') }),
    '403 SignatureDoesNotMatch',
  )
  t.equal(await send(w.aws.url, presign({}, '604801')), '400 IncompleteSignature')
  t.equal(
    await send(w.aws.url, { ...url, headers: signer(w)(GET, 's3').headers }),
    '400 IncompleteSignature',
    'signed twice',
  )
  w.clock.forward(61)
  t.equal(await send(w.aws.url, url), '403 AccessDenied', 'expired')
})

t.test('a wrong secret in the SDK', async (t) => {
  const { sts, s3 } = await world(t)
  const keys = { ...BROKER_KEYS, secretAccessKey: 'guessed' }
  t.equal(await refusal(sts(keys).send(new GetCallerIdentityCommand({}))), 'SignatureDoesNotMatch 403')
  t.equal(
    await refusal(s3(keys).send(new GetObjectCommand({ Bucket: 'orders', Key: 'a.txt' }))),
    'SignatureDoesNotMatch 403',
  )
})
