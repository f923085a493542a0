import t from 'tap'
import { newKey, publicJwk, signClaims } from '../support/issuer.js'
import { type Bench, bench } from './setup.js'

const signed = (b: Bench) => b.issuer.sign(b.claims())
const jwksRequests = (b: Bench) => b.issuer.requests.jwks

t.test('keys are fetched once, renewed behind requests, and awaited when no longer fresh', async (t) => {
  const b = await bench(t)
  await Promise.all(Array.from({ length: 20 }, async () => b.verify(await signed(b))))
  t.same(b.issuer.requests, { discovery: 1, jwks: 1, other: 0 }, 'twenty at once, one fetch')
  b.advance(479)
  await b.verify(await signed(b))
  t.equal(jwksRequests(b), 1, 'fresh')

  let release = () => {}
  const asked = new Promise<void>((arrived) => {
    b.issuer.answer.before = () => {
      arrived()
      return new Promise<void>((resolve) => {
        release = resolve
      })
    }
  })
  b.advance(1)
  await b.verify(await signed(b))
  await asked
  t.same(b.logged, [], 'a renewal is under way, and the request did not wait for it, not even to its timeout')
  delete b.issuer.answer.before
  release()
})

t.test('a key that rotates out is gone with the next fetch', async (t) => {
  const b = await bench(t)
  const [old] = b.issuer.keys
  const oldToken = () => signClaims(b.claims(), old ?? newKey('ES256', ''))
  await b.verify(await oldToken())
  b.issuer.rotate()
  await b.verify(await oldToken())
  t.equal(jwksRequests(b), 1, 'still fresh: the old set counts')
  b.advance(600)
  await b.refuses(await oldToken(), 'token_key_unknown', 'no longer fresh: the new set is awaited')
  t.ok(await b.verify(await signed(b)))

  b.issuer.rotate()
  b.advance(31)
  t.ok(await b.verify(await signed(b)), 'a new key id is looked up before the set is due')

  b.issuer.keys.length = 0
  b.advance(600)
  await b.refuses(await oldToken(), 'token_key_unknown', 'an empty set has no keys')
})

t.test('a broker that slept does not honour a key withdrawn meanwhile', async (t) => {
  const b = await bench(t)
  const [old] = b.issuer.keys
  await b.verify(await signed(b))
  b.issuer.rotate()
  const oldToken = () => signClaims(b.claims(), old ?? newKey('ES256', ''))
  b.advance(23 * 3600)
  await b.refuses(await oldToken(), 'token_key_unknown', 'after a night')
})

t.test('nor does one whose last try failed before it slept', async (t) => {
  const b = await bench(t)
  await b.verify(await signed(b))
  b.issuer.answer.behaviour = 'down'
  b.advance(600)
  t.ok(await b.verify(await signed(b)), 'an outage in the evening')
  const [old] = b.issuer.keys
  b.issuer.answer.behaviour = 'up'
  b.issuer.rotate()
  b.advance(20 * 3600)
  await b.refuses(
    await signClaims(b.claims(), old ?? newKey('ES256', '')),
    'token_key_unknown',
    'after a night',
  )
})

t.test('a known outage keeps nobody waiting', async (t) => {
  const b = await bench(t)
  await b.verify(await signed(b))
  b.issuer.answer.behaviour = 'down'
  b.advance(600)
  await b.verify(await signed(b))
  b.issuer.answer.behaviour = 'hang'
  b.advance(60)
  t.ok(await b.verify(await signed(b)))
  t.equal(b.logged.length, 1, 'stale keys before the hanging fetch timed out')
})

t.test('made-up key ids cost one fetch in 30 seconds', async (t) => {
  const b = await bench(t)
  await b.verify(await signed(b))
  const attack = async (count: number) => {
    for (let n = 0; n < count; n += 1) {
      const forged = await signClaims(b.claims(), newKey('ES256', `made-up-${n}`))
      await b.refuses(forged, 'token_key_unknown', 'made up')
    }
  }
  await attack(10)
  t.equal(jwksRequests(b), 1, 'just fetched: not asked again')
  b.advance(30)
  await attack(10)
  t.equal(jwksRequests(b), 2)
  b.advance(29)
  await attack(3)
  t.equal(jwksRequests(b), 2)
  b.advance(1)
  const forged = await signClaims(b.claims(), newKey('ES256', 'made-up'))
  await Promise.all(Array.from({ length: 20 }, () => b.refuses(forged, 'token_key_unknown', 'at once')))
  t.equal(jwksRequests(b), 3, 'twenty at once, one fetch')
})

t.test('an outage: stale keys for a day, no keys after it, and a backoff', async (t) => {
  const b = await bench(t)
  await b.verify(await signed(b))
  b.issuer.answer.behaviour = 'down'
  b.advance(600)
  t.ok(await b.verify(await signed(b)), 'stale keys')
  t.match(b.verifier.health(), [{ state: 'stale', keys: 1, failure: 'the discovery document answered 503' }])
  t.match(b.logged, [[{ issuer: b.issuer.url, reason: /503/, failures: 1 }, /not fetched/]])
  const unknown = await signClaims(b.claims(), newKey('ES256', 'new'))
  await b.refuses(unknown, 'issuer_unavailable', 'a key id that cannot be looked up')
  const before = b.issuer.requests.discovery
  for (let n = 0; n < 50; n += 1) await b.verify(await signed(b))
  await b.refuses(unknown, 'issuer_unavailable', 'again')
  t.equal(b.issuer.requests.discovery, before, 'the same instant, no further fetch')

  for (let minute = 0; minute < 60; minute += 1) {
    b.advance(10)
    await b.verify(await signed(b))
  }
  const attempts = b.issuer.requests.discovery - before
  t.ok(attempts >= 8 && attempts <= 20, `ten minutes of outage: ${attempts} attempts`)

  b.advance(24 * 3600)
  await b.refuses(await signed(b), 'issuer_unavailable', 'a day later')
  t.match(b.verifier.health(), [{ state: 'unavailable', keys: 0 }])
  b.issuer.answer.behaviour = 'up'
  b.advance(61)
  t.ok(await b.verify(await signed(b)), 'back')
  t.match(b.verifier.health(), [{ state: 'ok', keys: 1 }])
})

t.test('no keys at all', async (t) => {
  const b = await bench(t)
  b.issuer.answer.behaviour = 'down'
  t.match(b.verifier.health(), [{ state: 'unused', keys: 0 }])
  for (let n = 0; n < 20; n += 1) await b.refuses(await signed(b), 'issuer_unavailable', 'down')
  t.equal(b.issuer.requests.discovery, 1, 'one fetch, not one a request')
  b.issuer.answer.behaviour = 'up'
  await b.refuses(await signed(b), 'issuer_unavailable', 'still within the backoff')
  b.advance(1)
  t.ok(await b.verify(await signed(b)))
})

t.test('Cache-Control is honoured between a minute and an hour', async (t) => {
  const cases: readonly [string | undefined, number][] = [
    ['max-age=5', 60],
    ['no-store', 60],
    ['public, no-cache, max-age=900', 60],
    ['public, max-age=120, must-revalidate', 120],
    ['max-age=86400', 3600],
    ['max-age=99999999999999999999', 3600],
    ['s-maxage=7200', 600],
    [undefined, 600],
  ]
  for (const [cacheControl, seconds] of cases) {
    const b = await bench(t)
    if (cacheControl !== undefined) b.issuer.answer.cacheControl = cacheControl
    await b.verify(await signed(b))
    b.advance(seconds * 0.8 - 1)
    await b.verify(await signed(b))
    t.equal(jwksRequests(b), 1, `${cacheControl}: fresh until shortly before ${seconds} s`)
    b.advance(seconds * 0.2 + 1)
    await b.verify(await signed(b))
    t.equal(jwksRequests(b), 2, `${cacheControl}: fetched again after ${seconds} s`)
  }
})

t.test('close ends a fetch under way', async (t) => {
  const b = await bench(t, { verifier: { fetchTimeoutMs: 3_600_000 } })
  b.issuer.answer.behaviour = 'hang'
  const asked = new Promise<void>((resolve) => {
    b.issuer.answer.before = async () => resolve()
  })
  const pending = signed(b).then((token) => b.refuses(token, 'issuer_unavailable', 'closed'))
  await asked
  b.verifier.close()
  await pending
  b.advance(3600)
  await b.refuses(await signed(b), 'issuer_unavailable', 'closed for good')
  t.equal(b.issuer.requests.discovery, 1)
  t.same(b.logged, [], 'a shutdown is no failure of the issuer')
})

t.test('keys of the set that are no use', async (t) => {
  const b = await bench(t)
  const [key] = b.issuer.keys
  if (key === undefined) return
  const good = publicJwk(key)
  b.issuer.answer.jwks = { keys: [null, 5, {}, { kty: 'XYZ' }, good, good] }
  await b.refuses(await signed(b), 'token_key_unknown', 'one key id twice')
  b.issuer.answer.jwks = { keys: [null, 5, [], {}, { kty: 'XYZ' }, good] }
  b.advance(600)
  t.ok(await b.verify(await signed(b)), 'strange neighbours are passed over')
})
