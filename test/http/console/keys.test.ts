import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import t from 'tap'
import { createSoftwareKey } from '../../../cli/software-key.js'
import { asOwner } from '../../../server/db/owner.js'
import { consoleKeyRoutes } from '../../../server/http/console/key-routes.js'
import { compiled, GOOD } from '../../policy/support.js'
import { age, type SignedInBrowser, startSession } from '../../support/console.js'
import { consoleApp } from '../../support/console-app.js'
import { silent } from '../../support/postgres.js'
import { enrolKey } from '../../support/signing.js'

const OPERATORS: Readonly<Record<string, string>> = {
  ...GOOD,
  'carol.yaml': `operator: carol
identity: { issuer: "https://login.example.com", claims: { sub: carol } }
roles: [security]
`,
  'dana.yaml': `operator: dana
identity: { issuer: "https://login.example.com", claims: { sub: dana } }
roles: [admin]
`,
}

t.test('keys at the console', async (t) => {
  const at = await consoleApp(t, await compiled(OPERATORS))
  const app = Fastify().withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  await app.register(consoleKeyRoutes, { deps: at.deps })
  t.teardown(() => app.close())
  const post = async (
    path: string,
    browser: SignedInBrowser | undefined,
    body: object = {},
    headers = {},
  ) => {
    const answer = await app.inject({
      method: 'POST',
      url: `/console/keys${path}`,
      headers: {
        host: at.host,
        origin: at.origin,
        'content-type': 'application/json',
        ...(browser === undefined ? {} : { cookie: browser.cookie, 'x-writ-csrf': browser.csrf }),
        ...headers,
      },
      payload: JSON.stringify(body),
    })
    return { status: answer.statusCode, body: answer.json() }
  }
  const [bob, carol, dana] = await Promise.all(
    (['bob', 'carol', 'dana'] as const).map((name) => startSession(at.sql, name)),
  )
  const key = createSoftwareKey({ rpId: 'localhost', origin: at.origin })
  const begun = await post('/options', bob)
  t.match(begun, { status: 200, body: { options: { rp: { id: 'localhost' } } } })
  const credential = key.register(Buffer.from(begun.body.options.challenge, 'base64url'))
  const proposed = { kind: 'passkey', challenge: begun.body.challenge, credential, label: 'laptop' }
  t.match(await post('', carol, proposed), { status: 409, body: { code: 'challenge_over' } }, 'another’s')
  const again = await post('/options', bob)
  const real = {
    ...proposed,
    challenge: again.body.challenge,
    credential: key.register(Buffer.from(again.body.options.challenge, 'base64url')),
  }
  const waits = await post('', bob, real)
  t.match(waits, { status: 202, body: { key_id: key.id } })

  const path = `/proposals/${waits.body.proposal}`
  t.match(await post(`${path}/challenge`, carol), { body: { code: 'operator_role' } })
  t.match(await post(`${path}/challenge`, bob), { body: { code: 'voucher_is_owner' } })
  t.match(await post(`${path}/challenge`, dana), { body: { code: 'key_unknown' } })
  const noted = await at.entries('operator.refused')
  t.match(
    noted.find(({ body }) => body.code === 'voucher_is_owner'),
    {
      body: { operator: 'bob', path: '/console/keys/proposals/:id/challenge' },
      personal: { subject: 'bob' },
    },
  )

  for (const one of ['/options', '', '/remove', `${path}/challenge`, `${path}/vouch`, `${path}/withdraw`]) {
    t.match(await post(one, undefined), { status: 401, body: { code: 'session_missing' } }, `${one}: nobody`)
    const forged = await post(one, bob, {}, { 'x-writ-csrf': carol?.csrf ?? '' })
    t.match(forged, { status: 403, body: { code: 'csrf' } }, `${one}: by another page`)
    const foreign = await post(one, bob, {}, { origin: 'https://evil.example' })
    t.match(foreign, { status: 403, body: { code: 'csrf' } }, `${one}: from another site`)
  }
  t.match(await post(`${path}/withdraw`, bob), { status: 200 })
  t.match(await post(`${path}/withdraw`, bob), { status: 404 })
  t.match(await post('/remove', bob, { key_id: key.id }), { status: 404, body: { code: 'not_found' } })
  await age(at.sql, 301, bob?.id)
  t.match(
    await post('/options', bob),
    { status: 403, body: { code: 'proof_stale' } },
    'signed in a while ago',
  )
})

t.test('who removes a key stays signed in, and nobody else with that name', async (t) => {
  const at = await consoleApp(t, await compiled(OPERATORS))
  const app = Fastify().withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  await app.register(consoleKeyRoutes, { deps: at.deps })
  t.teardown(() => app.close())
  const call = async (path: string, browser: SignedInBrowser, body: object = {}) => {
    const answer = await app.inject({
      method: 'POST',
      url: `/console/keys${path}`,
      headers: { host: at.host, origin: at.origin, cookie: browser.cookie, 'x-writ-csrf': browser.csrf },
      payload: body,
    })
    return { status: answer.statusCode, body: answer.json() }
  }
  const key = await asOwner(at.sql.ownerUrl, silent, (owner) => enrolKey(owner, at.database, 'bob'))
  const [asking, thief] = [await startSession(at.sql, 'bob'), await startSession(at.sql, 'bob')]
  t.match(await call('/options', thief), { status: 200 })
  t.match(await call('/remove', asking, { key_id: key.id }), { status: 200, body: { left: 0 } })
  t.match(await call('/options', thief), { status: 401 }, 'whoever had the key')
  t.match(await call('/options', asking), { status: 200 })
})
