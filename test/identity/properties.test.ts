import fc from 'fast-check'
import t from 'tap'
import { WritError } from '../../server/errors.js'
import { signRaw } from '../support/issuer.js'
import { bench, leakOf } from './setup.js'

const TOKEN_CHARS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \n\0ä'

t.test('any change to a good token is refused', async (t) => {
  const b = await bench(t, { algorithms: ['ES256', 'RS256', 'EdDSA'] })
  for (const key of b.issuer.keys) {
    const token = await b.issuer.sign(b.claims(), { key })
    await b.verify(token)
    const refusedWithoutTrace = async (changed: string) => {
      const error = await b.verify(changed).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      return error instanceof WritError && leakOf(error, changed) === undefined
    }
    const position = fc.nat(token.length - 1)
    const oneCharacter = fc
      .tuple(position, fc.constantFrom(...TOKEN_CHARS))
      .map(([at, char]) => token.slice(0, at) + char + token.slice(at + 1))
    const oneBit = fc
      .tuple(position, fc.nat(7))
      .map(([at, bit]) => token.slice(0, at) + flipBit(token[at] ?? '', bit) + token.slice(at + 1))
    const inserted = fc
      .tuple(position, fc.constantFrom(...TOKEN_CHARS))
      .map(([at, char]) => token.slice(0, at) + char + token.slice(at))
    const removed = fc
      .tuple(position, fc.integer({ min: 1, max: 20 }))
      .map(([at, count]) => token.slice(0, at) + token.slice(at + count))
    const changed = fc.oneof(oneCharacter, oneBit, inserted, removed).filter((text) => text !== token)
    await fc.assert(fc.asyncProperty(changed, refusedWithoutTrace), { numRuns: 250 })
    t.pass(key.alg)
  }
})

const flipBit = (char: string, bit: number) => String.fromCharCode(char.charCodeAt(0) ^ (1 << bit))

t.test('whatever is sent, only a WritError comes back', async (t) => {
  const b = await bench(t)
  const [key] = b.issuer.keys
  if (key === undefined) return
  const json = fc.jsonValue().map((value) => JSON.stringify(value))
  const members = fc.dictionary(
    fc.constantFrom('alg', 'kid', 'typ', 'iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'auth_time', '__proto__'),
    fc.oneof(fc.jsonValue(), fc.constantFrom('ES256', 'JWT', b.issuer.url, key.kid)),
  )
  const part = fc.oneof(
    json,
    fc.string({ unit: 'binary' }),
    members.map((value) => JSON.stringify(value)),
  )
  const signed = fc.tuple(part, part).map(([header, payload]) => signRaw(header, payload, key))
  const goodHeader = JSON.stringify({ alg: 'ES256', kid: key.kid })
  const claims = members.map((value) =>
    signRaw(goodHeader, JSON.stringify({ iss: b.issuer.url, ...value }), key),
  )
  const text = fc.string({ unit: 'binary', maxLength: 200 })
  const dotted = fc.array(fc.base64String(), { maxLength: 6 }).map((list) => list.join('.'))
  const authorization = fc
    .oneof(signed, claims, text, dotted)
    .chain((token) => fc.constantFrom(`Bearer ${token}`, token))
  const side = fc.constantFrom('agents' as const, 'operators' as const)
  const form = fc.constantFrom('bearer' as const, 'bearer-or-bare' as const)
  await fc.assert(
    fc.asyncProperty(authorization, side, form, async (value, side, form) => {
      const outcome = await b.verifier.verify(value, side, form).catch((error: unknown) => error)
      return outcome instanceof WritError
    }),
    { numRuns: 1000 },
  )
  t.ok(await b.verify(await b.issuer.sign(b.claims())), 'and a good token still verifies')
})

t.test('a set of good claims verifies and comes back whole', async (t) => {
  const b = await bench(t)
  const value = fc.jsonValue({ maxDepth: 3, stringUnit: 'grapheme' })
  const key = fc.string({ unit: 'grapheme-ascii', minLength: 1 }).map((name) => `x-${name}`)
  await fc.assert(
    fc.asyncProperty(fc.dictionary(key, value, { maxKeys: 8 }), async (extra) => {
      const claims = JSON.parse(JSON.stringify(b.claims(extra)))
      if (JSON.stringify(claims).length > 5000 || JSON.stringify(claims).includes('__proto__')) return
      const identity = await b.verify(await b.issuer.sign(claims))
      t.same(JSON.parse(JSON.stringify(identity.claims)), claims)
    }),
    { numRuns: 200 },
  )
})
