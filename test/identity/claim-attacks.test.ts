import t from 'tap'
import type { ErrorCode } from '../../server/errors.js'
import { AUDIENCE } from '../support/issuer.js'
import { bench } from './setup.js'

t.test('issuers that are nearly ours', async (t) => {
  const b = await bench(t)
  const { url } = b.issuer
  const port = new URL(url).port
  const near = [
    `${url}/`,
    `${url}/x`,
    `${url}.evil.example`,
    `${url}@evil.example`,
    `http://127.0.0.1@evil.example:${port}`,
    `http://user@127.0.0.1:${port}`,
    url.toUpperCase(),
    url.replace('http:', 'HTTP:'),
    url.replace('http:', 'https:'),
    url.replace('127.0.0.1', 'localhost'),
    url.replace('127.0.0.1', '127.1'),
    `${url}?`,
    `${url}#`,
    ` ${url}`,
    `${url} `,
    `${url}\n`,
    url.slice(0, -1),
    '',
    'https://evil.example',
    `https://evil.example/${'A'.repeat(200)}\u001b[2J`,
  ]
  for (const iss of near) {
    const error = await b.refuses(
      await b.issuer.sign(b.claims({ iss })),
      'token_issuer_unknown',
      `iss ${iss}`,
    )
    t.ok((error?.message.length ?? 999) < 200, 'shown cut short')
    t.match(error?.message, /^[\x20-\x7e…]+$/, 'shown without controls')
  }
  for (const iss of [undefined, null, 5, [url], { url }, true]) {
    await b.refuses(await b.issuer.sign(b.claims({ iss })), 'token_claims', `iss ${JSON.stringify(iss)}`)
  }
  t.same(b.issuer.requests, { discovery: 0, jwks: 0, other: 0 }, 'no stranger makes us fetch')
})

t.test('claims', async (t) => {
  const b = await bench(t)
  const now = Math.floor(b.clock.now.getTime() / 1000)
  const cases: readonly [ErrorCode, Record<string, unknown>][] = [
    ['token_audience', { aud: 'https://other.example.com' }],
    ['token_audience', { aud: `${AUDIENCE}/` }],
    ['token_audience', { aud: AUDIENCE.toUpperCase() }],
    ['token_audience', { aud: '' }],
    ['token_audience', { aud: [] }],
    ['token_audience', { aud: [AUDIENCE, 'https://other.example.com'] }],
    ['token_audience', { aud: ['https://other.example.com', AUDIENCE] }],
    ['token_audience', { aud: [AUDIENCE, AUDIENCE] }],
    ['token_claims', { aud: undefined }],
    ['token_claims', { aud: null }],
    ['token_claims', { aud: 1 }],
    ['token_claims', { aud: [[AUDIENCE]] }],
    ['token_claims', { aud: { 0: AUDIENCE, length: 1 } }],
    ['token_expired', { iat: now - 700, exp: now - 60 }],
    ['token_expired', { iat: now - 700, exp: now - 30 }],
    ['token_not_yet_valid', { nbf: now + 31 }],
    ['token_not_yet_valid', { iat: now + 31, exp: now + 600 }],
    ['token_not_yet_valid', { iat: now + 3600, exp: now + 4200 }],
    ['token_claims', { exp: now + 3601 }],
    ['token_claims', { exp: now + 10 * 365 * 86_400 }],
    ['token_claims', { exp: undefined }],
    ['token_claims', { exp: null }],
    ['token_claims', { exp: String(now + 600) }],
    ['token_claims', { exp: true }],
    ['token_claims', { exp: now * 1000 }],
    ['token_claims', { exp: -1 }],
    ['token_claims', { exp: now, iat: now }],
    ['token_claims', { iat: undefined }],
    ['token_claims', { iat: '1' }],
    ['token_claims', { iat: -5 }],
    ['token_claims', { nbf: 'yesterday' }],
    ['token_claims', { nbf: [now] }],
    ['token_claims', { sub: undefined }],
    ['token_claims', { sub: null }],
    ['token_claims', { sub: '' }],
    ['token_claims', { sub: 7 }],
    ['token_claims', { sub: { id: 'agent-1' } }],
    ['token_claims', { sub: ['agent-1'] }],
    ['token_claims', { sub: 'agent-1\u0000' }],
    ['token_claims', { sub: 'agent-1\n' }],
    ['token_claims', { sub: 'agent\u202e1' }],
    ['token_claims', { sub: 'x'.repeat(513) }],
    ['token_claims', { other: { deep: ['a\u0000b'] } }],
    ['token_claims', { 'a\u0000b': 1 }],
  ]
  for (const [code, claims] of cases) {
    await b.refuses(await b.issuer.sign(b.claims(claims)), code, JSON.stringify(claims).slice(0, 60))
  }
  const fine: readonly Record<string, unknown>[] = [
    { aud: [AUDIENCE] },
    { sub: 'x'.repeat(512) },
    { iat: now - 700, exp: now - 29 },
    { nbf: now + 30 },
    { iat: now + 30 },
    { exp: now + 3600 },
    { iat: now - 0.5 },
  ]
  for (const claims of fine) {
    t.ok(
      await b.verify(await b.issuer.sign(b.claims(claims))),
      `taken: ${JSON.stringify(claims).slice(0, 60)}`,
    )
  }
})

t.test('age and life', async (t) => {
  const b = await bench(t, { trusted: { maxTokenAgeSeconds: 300, maxTokenLifeSeconds: 3600 } })
  const token = await b.issuer.sign(b.claims({ exp: b.clock.now.getTime() / 1000 + 3600 }))
  await b.verify(token)
  b.advance(330)
  t.ok(await b.verify(token), 'as old as it may be, with the clocks apart')
  b.advance(1)
  await b.refuses(token, 'token_too_old', 'older, though not expired')
})
