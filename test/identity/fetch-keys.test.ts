import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { readKeySet } from '../../server/identity/keys.js'
import type { TrustedIssuer } from '../../server/types.js'
import { type Behaviour, newKey, publicJwk, signClaims, signRaw, startIssuer } from '../support/issuer.js'
import { bench } from './setup.js'

const failureOf = (b: Awaited<ReturnType<typeof bench>>) => b.verifier.health()[0]?.failure

t.test('an issuer that misbehaves', async (t) => {
  const cases: readonly [Behaviour, RegExp][] = [
    ['down', /answered 503/],
    ['not-json', /is not JSON/],
    ['oversized', /larger than 524288 bytes/],
    ['redirect', /could not be fetched/],
    ['drop', /could not be fetched/],
    ['hang', /timeout/],
  ]
  const elsewhere = await startIssuer()
  t.teardown(() => elsewhere.close())
  for (const [behaviour, failure] of cases) {
    const b = await bench(t, { verifier: { fetchTimeoutMs: behaviour === 'hang' ? 100 : 5000 } })
    b.issuer.answer.behaviour = behaviour
    b.issuer.answer.redirectTo = `${elsewhere.url}/.well-known/openid-configuration`
    await b.refuses(await b.issuer.sign(b.claims()), 'issuer_unavailable', behaviour)
    t.match(failureOf(b), failure, behaviour)
  }
  t.same(elsewhere.requests, { discovery: 0, jwks: 0, other: 0 }, 'no redirect was followed')

  const gone = await bench(t)
  const token = await gone.issuer.sign(gone.claims())
  await gone.issuer.close()
  await gone.refuses(token, 'issuer_unavailable', 'nobody listens')
  t.match(failureOf(gone), /ECONNREFUSED/)
})

t.test('the discovery document', async (t) => {
  const attacker = await startIssuer()
  t.teardown(() => attacker.close())
  const cases: readonly [string, Record<string, unknown>, RegExp][] = [
    ['another issuer', { issuer: attacker.url }, /names another issuer/],
    ['issuer with a slash', { issuer: 'URL/' }, /names another issuer/],
    ['no issuer', { issuer: undefined }, /lacks issuer or jwks_uri/],
    ['no jwks_uri', { jwks_uri: undefined }, /lacks issuer or jwks_uri/],
    ['jwks_uri no URL', { jwks_uri: '/jwks' }, /jwks_uri is not a URL/],
    ['jwks_uri over http', { jwks_uri: 'http://issuer.example/jwks' }, /jwks_uri is not https/],
    ['jwks_uri a file', { jwks_uri: 'file:///etc/passwd' }, /jwks_uri is not https/],
    ['jwks_uri inline', { jwks_uri: 'data:application/json,{"keys":[]}' }, /jwks_uri is not https/],
    ['jwks_uri with user', { jwks_uri: 'https://a:b@issuer.example/' }, /holds a user name/],
    ['jwks_uri nearly loopback', { jwks_uri: 'http://127.0.0.1.evil.example/' }, /jwks_uri is not https/],
  ]
  for (const [name, change, failure] of cases) {
    const b = await bench(t)
    b.issuer.answer.discovery = (document) =>
      JSON.parse(JSON.stringify({ ...document, ...change }).replace('URL', b.issuer.url))
    await b.refuses(await b.issuer.sign(b.claims()), 'issuer_unavailable', name)
    t.match(failureOf(b), failure, name)
    t.equal(b.issuer.requests.jwks, 0)
  }
  t.same(attacker.requests, { discovery: 0, jwks: 0, other: 0 })
})

t.test('a remote issuer cannot point the broker at its own machine', async (t) => {
  const asked: string[] = []
  const issuer = 'https://issuer.example'
  const answers = { issuer, jwks_uri: 'http://127.0.0.1:9/jwks' }
  const b = await bench(t, {
    trusted: { issuer },
    verifier: {
      fetch: async (url) => {
        asked.push(String(url))
        return new Response(JSON.stringify(answers))
      },
    },
  })
  await b.refuses(await b.issuer.sign(b.claims({ iss: issuer })), 'issuer_unavailable', 'loopback jwks_uri')
  t.same(asked, ['https://issuer.example/.well-known/openid-configuration'])
})

t.test('where keys are fetched from', async (t) => {
  const asked: string[] = []
  const b = await bench(t, {
    verifier: {
      fetch: async (url) => {
        asked.push(String(url))
        return new Response('{}')
      },
    },
  })
  const cases: readonly [Partial<TrustedIssuer>, string | undefined][] = [
    [{ issuer: 'https://issuer.example/' }, 'https://issuer.example/.well-known/openid-configuration'],
    [{ issuer: 'https://issuer.example/a/b' }, 'https://issuer.example/a/b/.well-known/openid-configuration'],
    [
      { issuer: 'https://issuer.example', jwksUri: 'https://keys.example/k?x=1' },
      'https://keys.example/k?x=1',
    ],
    [{ issuer: 'http://issuer.example' }, undefined],
    [{ issuer: 'issuer' }, undefined],
    [{ issuer: 'https://issuer.example', jwksUri: 'http://keys.example/k' }, undefined],
    [{ issuer: 'https://local.writ.invalid' }, undefined],
  ]
  for (const [overrides, url] of cases) {
    asked.length = 0
    b.policy.issuers = [b.issuer.trusted(overrides)]
    const token = await b.issuer.sign(b.claims({ iss: overrides.issuer }))
    const local = overrides.issuer === 'https://local.writ.invalid'
    await b.refuses(token, local ? 'token_issuer_unknown' : 'issuer_unavailable', JSON.stringify(overrides))
    t.same(asked, url === undefined ? [] : [url])
  }
})

t.test('a fixed key set needs no discovery', async (t) => {
  const b = await bench(t)
  b.policy.issuers = [b.issuer.trusted({ issuer: 'kubernetes', jwksUri: `${b.issuer.url}/jwks` })]
  t.ok(await b.verify(await b.issuer.sign(b.claims({ iss: 'kubernetes' }))))
  t.same(b.issuer.requests, { discovery: 0, jwks: 1, other: 0 })
})

t.test('key sets that are none', async (t) => {
  for (const jwks of [
    [],
    {},
    { keys: {} },
    { keys: null },
    { keys: Array(101).fill({ kty: 'EC' }) },
    'text',
  ]) {
    const b = await bench(t)
    b.issuer.answer.jwks = jwks
    await b.refuses(await b.issuer.sign(b.claims()), 'issuer_unavailable', JSON.stringify(jwks).slice(0, 20))
    t.match(failureOf(b), /not a JWK set/)
  }
})

t.test('RSA keys that can be factored (ROCA)', async (t) => {
  const jwkOf = (modulus: bigint) => ({
    kty: 'RSA',
    e: 'AQAB',
    n: Buffer.from(modulus.toString(16).padStart(512, '0'), 'hex').toString('base64url'),
  })
  // The flawed generator's mark: a power of 65537 modulo the product of the first primes.
  const isPrime = (n: bigint) => n > 1n && [2n, 3n, 5n, 7n, 11n, 13n].every((p) => n === p || n % p !== 0n)
  const product = Array.from({ length: 168 }, (_, n) => BigInt(n))
    .filter(isPrime)
    .reduce((a, b) => a * b)
  const marked = 65_537n ** 40n % product
  const modulus = marked + product * ((1n << 2047n) / product + 1n)
  t.same(readKeySet({ keys: [jwkOf(modulus)] }), [], 'left out')
  t.equal(readKeySet({ keys: [jwkOf(modulus + 2n)] })?.length, 1, 'its neighbour has no mark')
})

t.test('keys that may not verify', async (t) => {
  const es = newKey('ES256', 'k')
  const rs = newKey('RS256', 'k')
  const ed = newKey('EdDSA', 'k')
  const weak = { ...rs, ...generateKeyPairSync('rsa', { modulusLength: 1024 }) }
  const esJwk = publicJwk(es)
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
  const cases: readonly [string, typeof es, Record<string, unknown>][] = [
    ['for encryption', es, { ...esJwk, use: 'enc' }],
    ['for deriving', es, { ...esJwk, key_ops: ['deriveBits'] }],
    ['for another algorithm', rs, { ...publicJwk(rs), alg: 'PS256' }],
    ['for an algorithm that does not fit', es, { ...esJwk, alg: 'RS256' }],
    ['for a symmetric algorithm', rs, { ...publicJwk(rs), alg: 'HS256' }],
    ['symmetric', es, { kty: 'oct', kid: 'k', k: 'c2VjcmV0' }],
    ['private EC', es, { ...es.privateKey.export({ format: 'jwk' }), kid: 'k' }],
    ['private RSA', rs, { ...rs.privateKey.export({ format: 'jwk' }), kid: 'k' }],
    ['private OKP', ed, { ...ed.privateKey.export({ format: 'jwk' }), kid: 'k' }],
    ['RSA of 1024 bits', weak, publicJwk(weak)],
    ['RSA with exponent 1', rs, { ...publicJwk(rs), e: 'AQ' }],
    ['a point off its curve', es, { ...esJwk, y: esJwk.x }],
    ['another curve', es, { ...p384, kid: 'k' }],
    ['without members', es, { kty: 'EC', crv: 'P-256', kid: 'k' }],
    ['kid of another type', es, { ...esJwk, kid: 5 }],
  ]
  for (const [name, key, jwk] of cases) {
    const b = await bench(t)
    b.issuer.answer.jwks = { keys: [jwk] }
    // Signed by hand: jose itself signs with no key of 1024 bits.
    const token = signRaw(JSON.stringify({ alg: key.alg, kid: 'k' }), JSON.stringify(b.claims()), key)
    await b.refuses(token, 'token_key_unknown', name)
  }
  for (const key of [es, rs, ed]) {
    const b = await bench(t)
    const { alg: _alg, use: _use, ...bare } = publicJwk(key)
    b.issuer.answer.jwks = { keys: [{ ...bare, key_ops: ['verify'] }] }
    t.ok(await b.verify(await signClaims(b.claims(), key)), `${key.alg}: neither alg nor use`)
  }
})

t.test('keys without alg and kid are told apart by their type', async (t) => {
  const b = await bench(t, { algorithms: ['ES256', 'RS256', 'EdDSA'] })
  const bare = b.issuer.keys.map(({ publicKey }) => publicKey.export({ format: 'jwk' }))
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
  b.issuer.answer.jwks = { keys: [p384, ...bare] }
  for (const key of b.issuer.keys) {
    t.ok(await b.verify(await b.issuer.sign(b.claims(), { key, header: { kid: undefined } })), key.alg)
  }
})

t.test('a body of 512 KiB is read, one of more is not', async (t) => {
  for (const [extra, taken] of [
    [0, true],
    [1, false],
  ] as const) {
    const b = await bench(t)
    const set = { keys: b.issuer.keys.map(publicJwk), padding: '' }
    set.padding = 'x'.repeat(512 * 1024 - JSON.stringify(set).length + extra)
    b.issuer.answer.jwks = set
    const token = await b.issuer.sign(b.claims())
    if (taken) t.ok(await b.verify(token))
    else await b.refuses(token, 'issuer_unavailable', 'a byte more')
  }
})
