import Fastify from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import t, { type Test } from 'tap'
import { WritError } from '../../server/errors.js'
import { sendProblem } from '../../server/http/problems.js'
import { webhookRoutes } from '../../server/http/webhook-routes.js'
import type { Identity, Operator, OperatorRole, Webhook } from '../../server/types.js'
import { policySet } from '../support/policy.js'
import { hook, stage, statuses, target } from './support.js'

const ISSUER = 'https://login.example.com'

/** The routes over real webhooks; the bearer token is the operator's name. */
async function api(t: Test, webhooks: readonly Webhook[]) {
  const made = await stage(t, webhooks)
  let trusted = true
  const operator = (name: string, ...roles: OperatorRole[]): Operator => ({
    name,
    identity: { issuer: ISSUER, claims: new Map() },
    roles: new Set(roles),
    teams: new Set(),
    alsoKnownAs: new Set([name]),
    approves: new Set(),
  })
  const people = [operator('olga', 'operator'), operator('carol', 'security'), operator('bob', 'approver')]
  const auth = {
    verify: async (header: string | undefined): Promise<Identity> => {
      if (header === undefined) throw new WritError('token_missing', 'There is no token.')
      const subject = header.replace('Bearer ', '')
      return {
        issuer: ISSUER,
        subject,
        audience: '',
        claims: {},
        issuedAt: new Date(),
        expiresAt: new Date(),
      }
    },
    policySet: () => ({
      ...policySet(),
      agentsMatching: () => [],
      operatorsMatching: (identity: Identity) => people.filter(({ name }) => name === identity.subject),
    }),
    record: async () => ({ status: 'ok' as const, index: 0, at: '' }),
    signIns: async () => undefined,
  }
  const assertTrusted = () => {
    if (!trusted) throw new WritError('log_untrusted', 'The record is not what was published.')
  }
  const app = Fastify()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  await app.register(webhookRoutes, { deps: { auth, webhooks: made.webhooks, grants: { assertTrusted } } })
  t.teardown(() => app.close())
  return {
    ...made,
    distrust: () => {
      trusted = false
    },
    call: async (who: string | undefined, method: 'GET' | 'POST', path: string) => {
      const headers = who === undefined ? {} : { authorization: `Bearer ${who}` }
      const answer = await app.inject({ method, url: path, headers })
      return { status: answer.statusCode, body: answer.json() }
    },
  }
}

t.test('who may see, enable and test', async (t) => {
  const siem = await target(t)
  const { call } = await api(t, [hook(t, { url: siem.url })])
  const allowed: Readonly<Record<string, readonly (string | undefined)[]>> = {
    'GET /v1/webhooks': ['olga', 'carol'],
    'POST /v1/webhooks/siem/enable': ['olga'],
    'POST /v1/webhooks/siem/test': ['olga'],
  }
  for (const [route, who] of Object.entries(allowed)) {
    const [method, path = ''] = route.split(' ')
    for (const one of ['olga', 'carol', 'bob', 'mallory', undefined]) {
      const { status } = await call(one, method as 'GET' | 'POST', path)
      const wanted = who.includes(one) ? 200 : one === undefined ? 401 : 403
      t.equal(status, wanted, `${one} ${route}`)
    }
  }
  t.equal(siem.received.length, 1)
})

t.test('what they say', async (t) => {
  const siem = await target(t)
  siem.answer = statuses(410)
  const url = `${siem.url}?token=in-the-url`
  const { call, entries, webhooks, distrust } = await api(t, [hook(t, { url, kinds: ['policy.*'] })])
  const one = async () => (await call('carol', 'GET', '/v1/webhooks')).body.items[0]
  t.match(await one(), { name: 'siem', state: 'current', behind: 0, kinds: ['policy.*'], personal: false })
  t.equal((await one()).origin, new URL(siem.url).origin)
  t.notMatch(JSON.stringify(await one()), /in-the-url|secret/)
  await entries('policy.loaded')
  t.match(await one(), { state: 'behind', behind: 1 })
  await webhooks.round()
  t.match(await one(), { state: 'disabled', disabled_why: 'answered_410', next_index: 0 })
  siem.answer = statuses(500)
  t.match(await call('olga', 'POST', '/v1/webhooks/siem/test'), {
    status: 200,
    body: { delivered: false, failure: 'answered_500' },
  })
  t.match(await call('olga', 'POST', '/v1/webhooks/siem/enable'), { status: 200, body: { state: 'behind' } })
  await webhooks.round()
  t.match(await one(), { state: 'failing', attempts: 1, last_failure: 'answered_500' })
  t.match(await call('olga', 'POST', '/v1/webhooks/other/enable'), {
    status: 404,
    body: { code: 'not_found' },
  })
  t.match(await call('olga', 'POST', '/v1/webhooks/other/test'), { status: 404 })
  t.match(await call('olga', 'POST', '/v1/webhooks/..%2f/test'), { status: 422 })
  distrust()
  t.match(await call('olga', 'POST', '/v1/webhooks/siem/enable'), {
    status: 503,
    body: { code: 'log_untrusted' },
  })
})
