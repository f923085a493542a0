import t from 'tap'
import type { ErrorCode } from '../../server/errors.js'
import { base64url, signRaw } from '../support/issuer.js'
import { bench } from './setup.js'

const parts = (token: string) => token.split('.') as [string, string, string]

t.test('JSON that two readers read differently', async (t) => {
  const b = await bench(t)
  const [key] = b.issuer.keys
  if (key === undefined) return
  const header = JSON.stringify({ alg: key.alg, kid: key.kid })
  const payload = JSON.stringify(b.claims())
  const more = (text: string) => `${payload.slice(0, -1)},${text}}`
  t.ok(
    await b.verify(signRaw(header, more('"x":{"sub":"in","aud":[{"sub":1}]},"y":["sub","sub"]'), key)),
    'no repeat',
  )

  const payloads: readonly [ErrorCode, string][] = [
    ['token_claims', more('"sub":"admin"')],
    ['token_claims', more('"sub":"agent-1"')],
    ['token_claims', more('"\\u0073ub":"admin"')],
    ['token_claims', more('"aud":"https://other.example.com"')],
    ['token_claims', more('"exp":9999999999')],
    ['token_claims', more('"nested":{"a":1,"b":[{"c":1,"c":2}]}')],
    ['token_claims', more(`"deep":${'['.repeat(40)}${']'.repeat(40)}`)],
    ['token_claims', more('"half":"\\ud800"')],
    ['token_claims', more('"iat":1e400').replace(/"iat":\d+,/, '')],
    ['token_malformed', `\ufeff${payload}`],
    ['token_malformed', `${payload}${payload}`],
    ['token_malformed', `[${payload}]`],
    ['token_malformed', '"text"'],
    ['token_malformed', 'null'],
    ['token_malformed', ' '],
    ['token_malformed', payload.replace('{', '{/**/')],
    ['token_malformed', more('')],
    ['token_malformed', more('"x":NaN')],
    ['token_malformed', `${'['.repeat(3000)}${']'.repeat(3000)}`],
  ]
  for (const [code, text] of payloads) await b.refuses(signRaw(header, text, key), code, text.slice(-50))
  const headers = [
    `{"alg":"none","alg":"ES256","kid":"${key.kid}"}`,
    `{"alg":"ES256","kid":"other","kid":"${key.kid}"}`,
    `{"alg":"ES256","kid":"${key.kid}","__proto__":{"jku":"x"}}`,
    `[${header}]`,
    'null',
    '5',
    `${header} x`,
  ]
  for (const text of headers) await b.refuses(signRaw(text, payload, key), 'token_malformed', text)

  const latin1 = Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xe9, 0xff]), Buffer.from('"}')])
  const input = `${base64url(header)}.${base64url(latin1)}`
  await b.refuses(`${input}.AAAA`, 'token_malformed', 'not UTF-8')
})

t.test('one token has one spelling', async (t) => {
  const b = await bench(t)
  const good = await b.issuer.sign(b.claims())
  const [header, payload, signature] = parts(good)
  t.ok(await b.verify(good))
  const spellings = [
    `${header}=.${payload}.${signature}`,
    `${header}.${payload}==.${signature}`,
    `${good}=`,
    `${good}==`,
    ` ${good}`,
    `${header} .${payload}.${signature}`,
    `${header}.${payload}\n.${signature}`,
    `${header}.${payload}.${signature.slice(0, 10)}\r\n${signature.slice(10)}`,
    `${good}\n`,
    `${good}\u00a0`,
    `${good}.`,
    `.${good}`,
    `${header}.${payload}`,
    `${header}..${signature}`,
    `..`,
    `${good}.${header}.${payload}`,
    good.replaceAll('-', '+').replaceAll('_', '/').concat('+'),
    `${header}.${payload}.${signature}%3D`,
    JSON.stringify({ payload, signatures: [{ protected: header, signature }] }),
    '"'.concat(good, '"'),
  ]
  for (const token of spellings) await b.refuses(token, 'token_malformed', JSON.stringify(token.slice(-12)))
  const last = signature.at(-1) ?? ''
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const index = alphabet.indexOf(last)
  for (const spare of [1, 5, 15]) {
    const same = `${header}.${payload}.${signature.slice(0, -1)}${alphabet[index ^ spare]}`
    t.same(Buffer.from(parts(same)[2], 'base64url'), Buffer.from(signature, 'base64url'), 'the same bytes')
    await b.refuses(same, 'token_malformed', 'spare bits set')
  }
})

t.test('size', async (t) => {
  const b = await bench(t)
  const sized = (length: number) => b.issuer.sign(b.claims({ padding: 'x'.repeat(length) }))
  t.ok(await b.verify(await sized(5500)))
  await b.refuses(await sized(6200), 'token_too_large', 'above 8 KiB')
  await b.refuses('a'.repeat(5_000_000), 'token_too_large', 'megabytes')
  await b.refuses(`${'.'.repeat(8192)}`, 'token_malformed', 'dots')
})
