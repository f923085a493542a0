import { createHmac, sign as rawSign } from 'node:crypto'
import t from 'tap'
import { base64url, newKey, publicJwk, signClaims, signRaw, startIssuer } from '../support/issuer.js'
import { bench } from './setup.js'

const parts = (token: string) => token.split('.') as [string, string, string]

t.test('signatures', async (t) => {
  const b = await bench(t, { algorithms: ['ES256', 'RS256', 'EdDSA'] })
  const [es, rs] = b.issuer.keys
  if (es === undefined || rs === undefined) return
  const good = await b.issuer.sign(b.claims())
  const [header, payload, signature] = parts(good)
  t.ok(await b.verify(good))

  const thief = newKey('ES256', es.kid)
  await b.refuses(await signClaims(b.claims(), thief), 'token_signature', 'another key under our key id')
  await b.refuses(
    await signClaims(b.claims(), newKey('ES256', 'foreign')),
    'token_key_unknown',
    'a foreign key id',
  )
  await b.refuses(
    `${header}.${payload}.${base64url(Buffer.alloc(64))}`,
    'token_signature',
    'all zero (CVE-2022-21449)',
  )
  await b.refuses(
    `${header}.${payload}.${base64url(Buffer.alloc(64, 0xff))}`,
    'token_signature',
    'out of range',
  )
  await b.refuses(`${header}.${payload}.AA`, 'token_signature', 'one byte')
  const swapped = base64url(JSON.stringify(b.claims({ sub: 'somebody-else' })))
  await b.refuses(`${header}.${swapped}.${signature}`, 'token_signature', 'payload swapped')
  const otherHeader = base64url(JSON.stringify({ alg: 'ES256', kid: es.kid, typ: 'at+jwt' }))
  await b.refuses(`${otherHeader}.${payload}.${signature}`, 'token_signature', 'header swapped')
  const other = parts(await b.issuer.sign(b.claims({ sub: 'agent-2' })))
  await b.refuses(`${header}.${payload}.${other[2]}`, 'token_signature', "another token's signature")

  const der = rawSign('sha256', Buffer.from(`${header}.${payload}`), {
    key: es.privateKey,
    dsaEncoding: 'der',
  })
  await b.refuses(`${header}.${payload}.${base64url(der)}`, 'token_signature', 'ECDSA signature in DER')
  const raw = Buffer.from(signature, 'base64url')
  await b.refuses(
    `${header}.${payload}.${base64url(Buffer.concat([raw, Buffer.alloc(1)]))}`,
    'token_signature',
    'a byte more',
  )

  const asRsa = signRaw(JSON.stringify({ alg: 'RS256', kid: es.kid }), JSON.stringify(b.claims()), rs)
  await b.refuses(asRsa, 'token_key_unknown', 'algorithm of one key, id of another')
})

t.test('algorithms', async (t) => {
  const b = await bench(t, {
    algorithms: ['RS256', 'ES256'],
    trusted: { algorithms: ['RS256', 'HS256', 'none'] },
  })
  const [rs, es] = b.issuer.keys
  if (rs === undefined || es === undefined) return
  const payload = base64url(JSON.stringify(b.claims()))

  for (const alg of ['none', 'None', 'nOnE', 'NONE', '']) {
    const header = base64url(JSON.stringify({ alg, kid: rs.kid, typ: 'JWT' }))
    await b.refuses(`${header}.${payload}.`, 'token_malformed', `alg ${alg}, no signature`)
    await b.refuses(`${header}.${payload}.AAAA`, 'token_algorithm', `alg ${alg}, some signature`)
  }
  const secrets: readonly [string, string | Buffer][] = [
    ['PEM', rs.publicKey.export({ format: 'pem', type: 'spki' })],
    ['PEM without final newline', rs.publicKey.export({ format: 'pem', type: 'spki' }).toString().trim()],
    ['PKCS#1 PEM', rs.publicKey.export({ format: 'pem', type: 'pkcs1' })],
    ['DER', rs.publicKey.export({ format: 'der', type: 'spki' })],
    ['JWK', JSON.stringify(publicJwk(rs))],
    ['modulus', Buffer.from(publicJwk(rs).n ?? '', 'base64url')],
    ['nothing', ''],
  ]
  for (const [name, secret] of secrets) {
    const input = `${base64url(JSON.stringify({ alg: 'HS256', kid: rs.kid, typ: 'JWT' }))}.${payload}`
    const forged = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
    await b.refuses(forged, 'token_algorithm', `HS256 with the public key as ${name}`)
  }
  await b.refuses(
    await b.issuer.sign(b.claims(), { key: es }),
    'token_algorithm',
    'not in the issuer document',
  )
  for (const alg of ['rs256', 'RS256 ', 'RS1', 'ES256K', 'dir', 'A128KW', 5, null, ['RS256'], { a: 1 }]) {
    const token = signRaw(JSON.stringify({ alg, kid: rs.kid }), JSON.stringify(b.claims()), rs)
    await b.refuses(token, 'token_algorithm', `alg ${JSON.stringify(alg)}`)
  }
  await b.refuses(signRaw(`{"kid":"${rs.kid}"}`, JSON.stringify(b.claims()), rs), 'token_algorithm', 'no alg')
})

t.test('headers that bring or fetch keys', async (t) => {
  const b = await bench(t)
  const attacker = await startIssuer()
  t.teardown(() => attacker.close())
  const [ours] = b.issuer.keys
  const [theirs] = attacker.keys
  if (ours === undefined || theirs === undefined) return
  await b.verify(await b.issuer.sign(b.claims()))
  const jwk = publicJwk(theirs)
  const headers: readonly Record<string, unknown>[] = [
    { jku: `${attacker.url}/jwks` },
    { x5u: `${attacker.url}/cert` },
    { jwk },
    { x5c: ['MIIB'] },
    { crit: ['exp'] },
    { crit: ['b64'], b64: false },
    { b64: true },
    { jku: null },
  ]
  for (const header of headers) {
    const named = Object.keys(header).join()
    for (const kid of [ours.kid, theirs.kid]) {
      const forged = await signClaims(b.claims(), theirs, { ...header, kid })
      await b.refuses(forged, 'token_malformed', `${named}, signed by the attacker`)
    }
    const own = await b.issuer.sign(b.claims(), { header })
    await b.refuses(own, 'token_malformed', `${named}, signed by the issuer itself`)
  }
  const url = { kid: `${attacker.url}/jwks` }
  await b.refuses(await signClaims(b.claims(), theirs, url), 'token_key_unknown', 'a URL as key id')
  t.same(attacker.requests, { discovery: 0, jwks: 0, other: 0 }, 'nobody asked the attacker')
  t.equal(b.issuer.requests.jwks, 1, 'and the issuer was asked once')
})

t.test('key ids and types', async (t) => {
  const b = await bench(t, { algorithms: ['ES256', 'RS256', 'RS256'] })
  const [es, rs] = b.issuer.keys
  const without = (key: typeof es) => ({ ...(key === undefined ? {} : { key }), header: { kid: undefined } })
  t.ok(await b.verify(await b.issuer.sign(b.claims(), without(es))), 'no key id, one key that fits')
  await b.refuses(
    await b.issuer.sign(b.claims(), without(rs)),
    'token_key_unknown',
    'no key id, two keys fit',
  )
  for (const kid of ['', 'a\nb', 'ä', 'x'.repeat(257), 7, null, ['key-1'], '\u0000']) {
    const code = 'token_malformed'
    await b.refuses(await b.issuer.sign(b.claims(), { header: { kid } }), code, `kid ${JSON.stringify(kid)}`)
  }
  for (const kid of ['__proto__', 'constructor', "' OR 1=1 --", '../../../../dev/null', 'KEY-1']) {
    const code = 'token_key_unknown'
    await b.refuses(await b.issuer.sign(b.claims(), { header: { kid } }), code, `kid ${kid}`)
  }
  for (const typ of ['JWT', 'jwt', 'at+jwt', 'AT+JWT', undefined]) {
    t.ok(await b.verify(await b.issuer.sign(b.claims(), { header: { typ } })), `typ ${typ}`)
  }
  for (const typ of ['dpop+jwt', 'logout+jwt', 'JWE', '', 1, null]) {
    await b.refuses(await b.issuer.sign(b.claims(), { header: { typ } }), 'token_malformed', `typ ${typ}`)
  }
})
