import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { type CodeFlow, createCodeFlow } from '../../server/identity/code-flow.js'
import type { TrustedIssuer } from '../../server/types.js'
import { silent } from '../support/postgres.js'

const REDIRECT = 'http://localhost:8080/console/sign-in/callback'

interface Liar {
  readonly flow: CodeFlow
  readonly issuer: string
  /** What it answers with from now on. */
  readonly lies: {
    metadata?: Record<string, unknown>
    claims?: Record<string, unknown>
    alg?: 'ES256' | 'RS256'
    foreignKey?: boolean
    answer?: { status: number; body: string }
  }
  /** Signs in: leaves, and comes back with a code. */
  readonly signIn: (fresh?: boolean) => Promise<unknown>
  readonly asked: URLSearchParams[]
  readonly authorizations: string[]
}

const keys = { ES256: await generateKeyPair('ES256'), RS256: await generateKeyPair('RS256') }
const foreign = { ES256: await generateKeyPair('ES256'), RS256: keys.RS256 }

/** An issuer that says what a test tells it to, where a real provider would not. */
async function liar(t: Test, trusted: Partial<TrustedIssuer> = {}): Promise<Liar> {
  const lies: Liar['lies'] = {}
  const asked: URLSearchParams[] = []
  const authorizations: string[] = []
  const jwks = {
    keys: await Promise.all(
      (['ES256', 'RS256'] as const).map(async (alg) => ({
        ...(await exportJWK(keys[alg].publicKey)),
        alg,
        kid: alg,
      })),
    ),
  }
  let nonce = ''
  let issuer = ''
  const idToken = async () => {
    const alg = lies.alg ?? 'ES256'
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: issuer,
      sub: 'bob',
      aud: 'console',
      iat: now,
      exp: now + 300,
      auth_time: now,
      nonce,
      ...lies.claims,
    }
    const { privateKey } = (lies.foreignKey === true ? foreign : keys)[alg]
    return new SignJWT(claims).setProtectedHeader({ alg, kid: alg }).sign(privateKey)
  }
  const server = createServer((request, response) => {
    const json = (body: unknown) =>
      response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', async () => {
      if (request.url === '/.well-known/openid-configuration') {
        json({
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          jwks_uri: `${issuer}/jwks`,
          response_types_supported: ['code'],
          id_token_signing_alg_values_supported: ['ES256', 'RS256'],
          authorization_response_iss_parameter_supported: true,
          ...lies.metadata,
        })
      } else if (request.url === '/jwks') json(jwks)
      else {
        authorizations.push(request.headers.authorization ?? '')
        asked.push(new URLSearchParams(body))
        if (lies.answer === undefined) {
          json({ access_token: 'x', token_type: 'bearer', expires_in: 60, id_token: await idToken() })
        } else {
          response.statusCode = lies.answer.status
          response.setHeader('content-type', 'application/json').end(lies.answer.body)
        }
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const document: TrustedIssuer = {
    issuer,
    audience: 'https://writ.example.com/operators',
    for: 'operators',
    algorithms: ['ES256'],
    maxTokenAgeSeconds: 600,
    maxTokenLifeSeconds: 3600,
    signIn: { clientId: 'console', scopes: ['openid'] },
    ...trusted,
  }
  const flow = createCodeFlow({ issuers: () => issuers, log: silent, fetchTimeoutMs: 1000 })
  const issuers = [document]
  t.teardown(async () => {
    flow.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    flow,
    issuer,
    lies,
    asked,
    authorizations,
    signIn: async (fresh = false) => {
      const { url, transaction } = await flow.begin(issuer, { redirectUri: REDIRECT, fresh })
      nonce = new URL(url).searchParams.get('nonce') ?? ''
      const back = new URLSearchParams({ code: 'secret-code', state: transaction.state, iss: issuer })
      return flow.finish(transaction, new URL(`${REDIRECT}?${back}`))
    },
  }
}

t.test('the token of a sign-in is held to what bearer tokens are', async (t) => {
  const one = await liar(t)
  t.match(await one.signIn(), { issuer: one.issuer, subject: 'bob', audience: 'console' })
  t.match(Object.fromEntries(one.asked[0] ?? []), {
    grant_type: 'authorization_code',
    code: 'secret-code',
    redirect_uri: REDIRECT,
    client_id: 'console',
    code_verifier: /^[\w-]{43}$/,
  })
  const now = Math.floor(Date.now() / 1000)
  const cases: Readonly<Record<string, readonly [Liar['lies'], RegExp]>> = {
    'another nonce': [{ claims: { nonce: 'other' } }, /sign_in_failed/],
    'no nonce': [{ claims: { nonce: undefined } }, /sign_in_failed/],
    "the API's audience": [{ claims: { aud: 'https://writ.example.com/operators' } }, /sign_in_failed/],
    'two audiences': [{ claims: { aud: ['console', 'another'], azp: 'console' } }, /token_audience/],
    'another issuer': [{ claims: { iss: 'https://other.example' } }, /sign_in_failed/],
    'an algorithm that policy does not list': [{ alg: 'RS256' }, /token_algorithm/],
    'a key that is not published': [{ foreignKey: true }, /token_signature/],
    'a token of yesterday': [{ claims: { iat: now - 3000, auth_time: now - 3000 } }, /token_too_old/],
    'a token that lives too long': [{ claims: { exp: now + 86_400 } }, /token_claims/],
    'a token that is over': [{ claims: { iat: now - 400, exp: now - 100 } }, /sign_in_failed/],
    'no token': [
      { answer: { status: 200, body: '{"access_token":"x","token_type":"bearer"}' } },
      /sign_in_failed/,
    ],
    'a refusal': [{ answer: { status: 400, body: '{"error":"invalid_grant"}' } }, /sign_in_failed/],
    'a failure': [{ answer: { status: 500, body: '{"oops":1}' } }, /issuer_unavailable/],
    'an endless answer': [
      { answer: { status: 200, body: `{"a":"${'a'.repeat(300_000)}"}` } },
      /issuer_unavailable/,
    ],
  }
  for (const [what, [lies, code]] of Object.entries(cases)) {
    Object.assign(
      one.lies,
      { claims: undefined, alg: undefined, foreignKey: undefined, answer: undefined },
      lies,
    )
    const error = (await one.signIn().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )) as { code?: string; message?: string; cause?: unknown } | undefined
    t.match(error?.code, code, what)
    t.notMatch(JSON.stringify([error?.message, error?.cause]), /secret-code|eyJ/, what)
  }
})

t.test('an answer to another request is not redeemed', async (t) => {
  const one = await liar(t)
  const { transaction } = await one.flow.begin(one.issuer, { redirectUri: REDIRECT, fresh: false })
  const { state } = transaction
  for (const [what, back] of Object.entries({
    'another state': { code: 'c', state: 'a'.repeat(43), iss: one.issuer },
    'no state': { code: 'c', iss: one.issuer },
    'another issuer': { code: 'c', state, iss: 'https://other.example' },
    'no issuer': { code: 'c', state },
    'a refusal': { error: 'access_denied', state, iss: one.issuer },
    'a refusal in words of nobody': { error: '<script>', state, iss: one.issuer },
  })) {
    const url = new URL(`${REDIRECT}?${new URLSearchParams(back)}`)
    await t.rejects(one.flow.finish(transaction, url), { code: 'sign_in_failed', message: /^[^<]*$/ }, what)
  }
  t.equal(one.asked.length, 0, 'no code was sent anywhere')
})

t.test('authenticating anew is proven, not asked for', async (t) => {
  const one = await liar(t)
  t.ok(await one.signIn(true))
  const now = Math.floor(Date.now() / 1000)
  one.lies.claims = { auth_time: now - 600 }
  await t.rejects(one.signIn(true), { code: 'sign_in_failed' })
  t.ok(await one.signIn(), 'good enough to sign in')
  one.lies.claims = { auth_time: undefined }
  await t.rejects(one.signIn(true), { code: 'sign_in_failed' })
})

t.test('a discovery document leads nowhere that policy does not', async (t) => {
  for (const [what, metadata, code] of [
    ['another issuer', { issuer: 'https://other.example' }, 'issuer_unavailable'],
    ['the same issuer, spelled otherwise', undefined, 'sign_in_failed'],
    [
      'a login page over http elsewhere',
      { authorization_endpoint: 'http://other.example/authorize' },
      'issuer_unavailable',
    ],
    ['no login page', { authorization_endpoint: undefined }, 'issuer_unavailable'],
  ] as const) {
    const one = await liar(t)
    if (metadata !== undefined) one.lies.metadata = metadata
    const name = metadata === undefined ? `${one.issuer}/` : one.issuer
    await t.rejects(one.flow.begin(name, { redirectUri: REDIRECT, fresh: false }), { code }, what)
  }
  const one = await liar(t)
  one.lies.metadata = { token_endpoint: 'http://169.254.169.254/latest' }
  await t.rejects(one.signIn(), { code: 'issuer_unavailable' }, 'codes and secrets are sent nowhere else')
  t.equal(one.asked.length, 0)
})

t.test('plain http is for this machine only', async (t) => {
  const flow = createCodeFlow({
    log: silent,
    issuers: () => [
      {
        issuer: 'http://login.example.com',
        audience: 'a',
        for: 'operators',
        algorithms: ['ES256'],
        maxTokenAgeSeconds: 600,
        maxTokenLifeSeconds: 600,
        signIn: { clientId: 'console', scopes: ['openid'] },
      },
    ],
    fetch: async () => t.fail('nothing is fetched') as never,
  })
  t.teardown(() => flow.close())
  await t.rejects(flow.begin('http://login.example.com', { redirectUri: REDIRECT, fresh: false }), {
    code: 'issuer_unavailable',
  })
})

t.test('an issuer of agents signs nobody in', async (t) => {
  const one = await liar(t, { for: 'agents' })
  t.strictSame(one.flow.offered(), [])
  await t.rejects(one.signIn(), { code: 'sign_in_failed' })
})

t.test('a client with a secret shows it', async (t) => {
  const file = `${t.testdir({ secret: 's3cret:of+client\n' })}/secret`
  const one = await liar(t, {
    signIn: { clientId: 'console', clientSecretFile: file, scopes: ['openid', 'email'] },
  })
  t.ok(await one.signIn())
  const basic = Buffer.from(one.authorizations[0]?.replace(/^Basic /, '') ?? '', 'base64').toString()
  t.equal(decodeURIComponent(basic), 'console:s3cret:of+client')
  const lost = await liar(t, {
    signIn: { clientId: 'console', clientSecretFile: `${file}-gone`, scopes: ['openid'] },
  })
  await t.rejects(lost.signIn(), { code: 'issuer_unavailable' })
})
