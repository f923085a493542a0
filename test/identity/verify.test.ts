import t from 'tap'
import { AUDIENCE, signRaw, startIssuer } from '../support/issuer.js'
import { bench, refused } from './setup.js'

t.test('a good token, in every algorithm', async (t) => {
  const b = await bench(t, { algorithms: ['RS256', 'ES256', 'EdDSA'] })
  for (const key of b.issuer.keys) {
    const identity = await b.verify(await b.issuer.sign(b.claims({ sub: key.alg }), { key }))
    t.equal(identity.subject, key.alg)
    t.equal(identity.issuer, b.issuer.url)
    t.equal(identity.audience, AUDIENCE)
    t.same(identity.issuedAt, b.clock.now)
    t.equal(identity.expiresAt.getTime(), b.clock.now.getTime() + 600_000)
    t.equal(identity.authenticatedAt, undefined)
    t.equal(identity.onBehalfOf, undefined)
  }
  t.same(b.issuer.requests, { discovery: 1, jwks: 1, other: 0 }, 'keys were fetched once')
  t.match(b.verifier.health(), [{ issuer: b.issuer.url, state: 'ok', keys: 3, fetchedAt: b.clock.now }])
})

t.test('the forms of the Authorization header', async (t) => {
  const b = await bench(t)
  const token = await b.issuer.sign(b.claims())
  const bare = (value: string) => b.verifier.verify(value, 'agents', 'bearer-or-bare')
  t.ok(await b.verifier.verify(`bearer ${token}`, 'agents'), 'the scheme has no case')
  t.ok(await bare(token), 'AWS SDKs send no scheme')
  t.ok(await bare(`Bearer ${token}`))
  await refused(t, () => b.verifier.verify(undefined, 'agents'), 'token_missing', 'no header')
  await refused(t, () => bare(''), 'token_missing', 'empty header')
  await refused(t, () => b.verifier.verify('Bearer', 'agents'), 'token_missing', 'scheme alone')
  await refused(t, () => b.verifier.verify('Bearer ', 'agents'), 'token_missing', 'scheme and space')
  for (const value of [
    token,
    `Basic ${token}`,
    `Bearer  ${token}`,
    `Bearer ${token} `,
    `Bearer ${token}\n`,
    `Bearer\t${token}`,
    `Bearer ${token} ${token}`,
    `Bearer ${token}, Bearer ${token}`,
    `Bearer "${token}"`,
    `Bearer Bearer ${token}`,
  ]) {
    await refused(t, () => b.verifier.verify(value, 'agents'), 'token_malformed', value.slice(0, 12), token)
  }
  for (const value of [` ${token}`, `${token}\n`, `${token} ${token}`, `Basic ${token}`]) {
    await refused(t, () => bare(value), 'token_malformed', 'bare, with more', token)
  }
})

t.test('claims are frozen, and odd names in them are only names', async (t) => {
  const b = await bench(t)
  const [key] = b.issuer.keys
  if (key === undefined) return
  const header = JSON.stringify({ alg: key.alg, kid: key.kid })
  const raw = (payload: string) => signRaw(header, payload, key)
  const base = JSON.stringify(b.claims()).slice(0, -1)

  const nested = await b.verify(raw(`${base},"constructor":{"prototype":{"polluted":1}},"list":[{"a":[]}]}`))
  t.throws(() => Object.assign(nested, { subject: 'x' }), TypeError)
  t.throws(() => Object.assign(nested.claims, { sub: 'x' }), TypeError)
  t.throws(() => Object.assign(nested.claims.constructor as object, { prototype: 'x' }), TypeError)
  t.throws(() => (nested.claims.list as unknown[]).push(1), TypeError)
  t.equal(({} as Record<string, unknown>).polluted, undefined, 'no prototype was touched')
  t.equal(nested.claims.toString, undefined, 'a claim nobody made is not inherited')

  for (const proto of ['{"polluted":1,"admin":true}', '"x"', 'null']) {
    await b.refuses(raw(`${base},"__proto__":${proto}}`), 'token_claims', `__proto__: ${proto}`)
    await b.refuses(raw(`${base},"deep":{"\\u005f_proto__":${proto}}}`), 'token_claims', 'nested, escaped')
  }
  t.equal(({} as Record<string, unknown>).polluted, undefined)
})

t.test('authenticatedAt and onBehalfOf', async (t) => {
  const b = await bench(t, { trusted: { human: { claim: 'actor', how: 'issuer-asserted' } } })
  const at = Math.floor(b.clock.now.getTime() / 1000) - 60
  const identity = await b.verify(await b.issuer.sign(b.claims({ auth_time: at, actor: ' Ada ' })))
  t.same(identity.authenticatedAt, new Date(at * 1000))
  t.same(identity.onBehalfOf, { human: ' Ada ', how: 'issuer-asserted' }, 'nothing is trimmed')
  for (const absent of [undefined, null, '']) {
    const without = await b.verify(await b.issuer.sign(b.claims({ actor: absent })))
    t.equal(without.onBehalfOf, undefined)
  }
  for (const actor of [
    'a\nb',
    'a\u0000b',
    'a\u202eb',
    'a\u200bb',
    'x'.repeat(513),
    7,
    ['ada'],
    { name: 'ada' },
  ]) {
    await b.refuses(
      await b.issuer.sign(b.claims({ actor })),
      'token_claims',
      `human ${JSON.stringify(actor)}`,
    )
  }
  for (const auth_time of ['1', at * 1000, at + 600, -1, null, true]) {
    await b.refuses(await b.issuer.sign(b.claims({ auth_time })), 'token_claims', `auth_time ${auth_time}`)
  }
})

t.test('a policy reload counts from the next token on, and keeps the keys', async (t) => {
  const b = await bench(t)
  const token = await b.issuer.sign(b.claims())
  await b.verify(token)
  b.policy.issuers = [b.issuer.trusted({ maxTokenAgeSeconds: 60 })]
  await b.verify(token)
  t.equal(b.issuer.requests.jwks, 1, 'the keys survived the reload')
  b.policy.issuers = [b.issuer.trusted({ audience: 'https://other.example.com' })]
  await b.refuses(token, 'token_audience', 'the new audience counts at once')
  b.policy.issuers = []
  await b.refuses(token, 'token_issuer_unknown', 'an issuer taken out is out at once')
  t.same(b.verifier.health(), [])
  b.policy.issuers = [b.issuer.trusted()]
  await b.verify(token)
  t.equal(b.issuer.requests.jwks, 2, 'its keys went with it')
})

t.test('an issuer named twice for one side is no issuer', async (t) => {
  const b = await bench(t)
  b.policy.issuers = [b.issuer.trusted(), b.issuer.trusted({ audience: 'https://other.example.com' })]
  await b.refuses(await b.issuer.sign(b.claims()), 'token_issuer_unknown', 'ambiguous')
})

t.test('each side has its own issuers', async (t) => {
  const b = await bench(t)
  const humans = await startIssuer()
  t.teardown(() => humans.close())
  b.policy.issuers = [b.issuer.trusted(), humans.trusted({ for: 'operators' })]
  const agent = await b.issuer.sign(b.claims())
  const human = await humans.sign(humans.claims(b.clock.now, { sub: 'ada' }))
  t.equal((await b.verifier.verify(`Bearer ${agent}`, 'agents')).subject, 'agent-1')
  t.equal((await b.verifier.verify(`Bearer ${human}`, 'operators')).subject, 'ada')
  const asOperator = () => b.verifier.verify(`Bearer ${agent}`, 'operators')
  await refused(t, asOperator, 'token_issuer_unknown', 'an agent among operators', agent)
  await b.refuses(human, 'token_issuer_unknown', 'an operator among agents')
  t.same(humans.requests, { discovery: 1, jwks: 1, other: 0 })
})

t.test('an identity can be recorded as JSON without loss', async (t) => {
  const b = await bench(t)
  const claims = b.claims({ repository_id: '4711', nested: { list: [1, null, { deep: 'ß𝄞' }] } })
  const identity = await b.verify(await b.issuer.sign(claims))
  t.same(JSON.parse(JSON.stringify(identity.claims)), claims)
})
