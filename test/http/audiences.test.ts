import t from 'tap'
import { startTestBroker } from '../support/broker.js'

const ANYBODY = ['operator', 'approver', 'security', 'admin']

/** Every route but the open ones, with who may call it. The test below holds it to the routes there are. */
const ROUTES: Readonly<
  Record<string, { side: 'agents' | 'operators'; roles?: readonly string[]; body?: object }>
> = {
  'POST /v1/credentials': {
    side: 'agents',
    body: { environment: 'development', scopes: ['orders:read'], reason: 'r' },
  },
  'GET /v1/aws/credentials/{environment}/{scopes}': { side: 'agents' },
  'GET /v1/whoami': { side: 'agents' },
  'POST /v1/explain': { side: 'agents', body: { environment: 'development', scopes: ['orders:read'] } },
  'POST /v1/grant-requests': {
    side: 'agents',
    body: { environment: 'production', scopes: ['orders:write'], reason: 'r' },
  },
  'GET /v1/grant-requests/{id}': { side: 'agents' },
  'DELETE /v1/grant-requests/{id}': { side: 'agents' },
  'GET /v1/grant-requests/': { side: 'operators', roles: ['operator', 'approver', 'security'] },
  'POST /v1/grant-requests/{id}/decisions': {
    side: 'operators',
    roles: ['approver'],
    body: { decision: 'deny', policy_digest: 'x', permissions_sha256: 'x' },
  },
  'POST /v1/grant-requests/{id}/challenge': {
    side: 'operators',
    roles: ['approver'],
    body: { decision: 'deny' },
  },
  'GET /v1/break-glass': { side: 'operators', roles: ANYBODY },
  'POST /v1/break-glass/{grant}/review': {
    side: 'operators',
    roles: ['approver', 'security', 'admin'],
    body: { verdict: 'justified', comment: 'c' },
  },
  'GET /v1/operator-keys': { side: 'operators', roles: ANYBODY },
  'POST /v1/operator-keys': {
    side: 'operators',
    roles: ANYBODY,
    body: { kind: 'ssh-sk', public_key: 'x', label: 'x' },
  },
  'POST /v1/operator-keys/options': { side: 'operators', roles: ANYBODY },
  'DELETE /v1/operator-keys/{*}': { side: 'operators', roles: ANYBODY },
  'GET /v1/operator-keys/proposals': { side: 'operators', roles: ANYBODY },
  'DELETE /v1/operator-keys/proposals/{id}': { side: 'operators', roles: ANYBODY },
  'POST /v1/operator-keys/proposals/{id}/challenge': { side: 'operators', roles: ['approver', 'admin'] },
  'POST /v1/operator-keys/proposals/{id}/vouch': {
    side: 'operators',
    roles: ['approver', 'admin'],
    body: { challenge: 'x', proof: {} },
  },
  'GET /v1/grants': { side: 'operators', roles: ['operator', 'approver', 'security'] },
  'POST /v1/grants': {
    side: 'operators',
    roles: ['approver'],
    body: { agent: 'orders-coder', environment: 'production', scopes: ['orders:write'], reason: 'r' },
  },
  'POST /v1/grants/{id}/revoke': {
    side: 'operators',
    roles: ['operator', 'approver'],
    body: { reason: 'r' },
  },
  'GET /v1/issuances': { side: 'operators', roles: ['security'] },
  'GET /v1/issuances/{id}': { side: 'operators', roles: ['security'] },
  'GET /v1/events': { side: 'operators', roles: ['security'] },
  'GET /v1/events/export': { side: 'operators', roles: ['security'] },
  'GET /v1/events/stream': { side: 'operators', roles: ['security'] },
  'GET /v1/issuances/export': { side: 'operators', roles: ['security'] },
  'GET /v1/webhooks': { side: 'operators', roles: ['security', 'operator'] },
  'POST /v1/webhooks/{name}/enable': { side: 'operators', roles: ['operator'] },
  'POST /v1/webhooks/{name}/test': { side: 'operators', roles: ['operator'] },
  'GET /v1/log/checkpoint': { side: 'operators', roles: ['security'] },
  'GET /v1/log/entries': { side: 'operators', roles: ['security'] },
  'GET /v1/log/key': { side: 'operators', roles: ['security'] },
  'GET /v1/log/tile/{*}': { side: 'operators', roles: ['security'] },
  'GET /v1/log/proof/inclusion/{index}': { side: 'operators', roles: ['security'] },
  'GET /v1/log/proof/consistency/{from}': { side: 'operators', roles: ['security'] },
  'GET /v1/log/proof/entry/{index}': { side: 'operators', roles: ['security'] },
  'GET /v1/stops': { side: 'operators', roles: ANYBODY },
  'GET /v1/stops/{id}': { side: 'operators', roles: ANYBODY },
  'PUT /v1/stops/{kind}/{*}': {
    side: 'operators',
    roles: ['operator', 'approver', 'security'],
    body: { reason: 'r' },
  },
  'DELETE /v1/stops/{kind}/{*}': {
    side: 'operators',
    roles: ['approver', 'security'],
    body: { challenge: '000000000000', proof: {} },
  },
  'POST /v1/stops/{id}/challenge': { side: 'operators', roles: ['approver', 'security'] },
  'POST /v1/stops/{id}/release': {
    side: 'operators',
    roles: ['approver', 'security'],
    body: { challenge: '000000000000', proof: {} },
  },
  'GET /v1/issuances/{id}/revoke': {
    side: 'operators',
    roles: ['operator', 'approver', 'security'],
  },
  'POST /v1/issuances/{id}/revoke': {
    side: 'operators',
    roles: ['operator', 'approver', 'security'],
    body: { reason: 'r' },
  },
  'GET /v1/incidents': { side: 'operators', roles: ['operator', 'approver', 'security'] },
  'POST /v1/incidents': {
    side: 'operators',
    roles: ['operator', 'approver', 'security'],
    body: { agent: 'nobody-there', reason: 'r' },
  },
  'GET /v1/incidents/{id}': { side: 'operators', roles: ['operator', 'approver', 'security'] },
  'GET /v1/incidents/{id}/entries': { side: 'operators', roles: ['security'] },
  'POST /v1/incidents/{id}/steps': {
    side: 'operators',
    roles: ['operator', 'approver', 'security'],
    body: { stage: 'stop', note: 'n' },
  },
  'POST /v1/incidents/{id}/challenge': {
    side: 'operators',
    roles: ['approver', 'security'],
    body: { evidence: '0'.repeat(64) },
  },
  'POST /v1/incidents/{id}/close': {
    side: 'operators',
    roles: ['approver', 'security'],
    body: { challenge: '000000000000', proof: {} },
  },
  'GET /v1/agents/{id}/reach': { side: 'operators', roles: ['operator', 'approver', 'security'] },
  'GET /v1/reach': { side: 'agents' },
  'GET /v1/doctor': { side: 'operators', roles: ['security', 'operator'] },
}
const OPEN = [
  'GET /healthz',
  'GET /metrics',
  'GET /readyz',
  'POST /v1/operator-keys/enrol/options',
  'POST /v1/operator-keys/enrol',
]

const pathOf = (route: string) =>
  (route.split(' ')[1] ?? '')
    .replace(/\{(id|grant)\}/, '000000000000')
    .replace('{environment}', 'development')
    .replace('{scopes}', 'orders:read')
    .replace('{*}', '0/000')
    .replace('{kind}', 'agent')
    .replace('{name}', 'siem')
    // Refused for its place: an open stream would never answer.
    .replace(/stream$/, 'stream?after=x')
    .replace(/\{(index|from)\}/, '1')

t.test('every route, and whose token opens it', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const operators = {
    alice: await broker.operatorToken('alice'),
    bob: await broker.operatorToken('bob'),
    carol: await broker.operatorToken('carol'),
  }
  const set = broker.policy.current()

  const { body: openapi } = await broker.call('GET', '/openapi.json')
  const documented = Object.entries(openapi.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const listed = [...Object.keys(ROUTES).map((route) => route.replace(/\/$/, '')), ...OPEN]
  t.strictSame(documented.sort(), listed.sort(), 'the table above is complete')

  for (const [route, { side, roles = [], body }] of Object.entries(ROUTES)) {
    const [method = '', path = ''] = [route.split(' ')[0], pathOf(route).replace(/\/$/, '')]
    t.match(
      await broker.call(method, path, undefined, body),
      { status: 401, body: { code: 'token_missing' } },
      `${route}: nobody`,
    )
    t.match(await broker.call(method, path, 'x.y.z', body), { status: 401 }, `${route}: nonsense`)
    const agents = await broker.call(method, path, agent, body)
    if (side === 'operators') {
      t.match(agents, { status: 401, body: { code: 'token_audience' } }, `${route}: never an agent`)
    } else t.not(agents.status, 401, `${route}: an agent`)
    for (const [name, token] of Object.entries(operators)) {
      const answer = await broker.call(method, path, token, body)
      const held = set.operators.get(name)?.roles ?? new Set()
      if (side === 'agents') t.equal(answer.status, 401, `${route}: no operator`)
      else if (roles.some((role) => held.has(role as never)))
        t.not(answer.body.code, 'operator_role', `${route}: ${name}`)
      else t.match(answer, { status: 403, body: { code: 'operator_role' } }, `${route}: not ${name}`)
    }
  }
})

t.test('an identity that is nobody, or two', async (t) => {
  const broker = await startTestBroker(t)
  const carol = await broker.operatorToken('carol')
  const nobody = await broker.call('GET', '/v1/whoami', await broker.agentToken('nobody'))
  t.match(nobody, { status: 403, body: { code: 'identity_unknown' } })
  const stranger = await broker.call('GET', '/v1/grants', await broker.operatorToken('stranger'))
  t.match(stranger, { status: 403, body: { code: 'operator_unknown' } })
  const { body } = await broker.call('GET', '/v1/events?limit=10', carol)
  t.match(
    body.items.map((item: { body: { kind: string } }) => item.body.kind),
    ['operator.signed_in', 'operator.refused', 'identity.refused'],
    'and both are recorded, as is the first use of the token that reads this',
  )
  const signedIn = body.items[0]
  t.match(signedIn, {
    body: { operator: 'carol' },
    personal: { subject: 'operator:carol', source_ip: '127.0.0.1' },
    personal_data: 'shown',
  })
  t.notMatch(JSON.stringify(signedIn.body), /127\.0\.0\.1|operator:carol/, 'and the log itself does not say')
  const signIns = await broker.call('GET', '/v1/events?kind=operator.signed_in', carol)
  t.equal(signIns.body.items.length, 1, 'once a token')
  await broker.call('GET', '/v1/events', await broker.operatorToken('carol', { authTime: new Date(1e12) }))
  const more = await broker.call('GET', '/v1/events?kind=operator.signed_in', carol)
  t.equal(more.body.items.length, 2)
  t.equal((await broker.call('GET', '/v1/whoami', await broker.agentToken('nobody'))).status, 403)
  const again = await broker.call('GET', '/v1/events?kind=identity.refused', carol)
  t.match(again.body.items, [{ repeats: 1 }], 'a repeat is counted on the same entry')
})

t.test('nobody unknown hears what is wrong with their request', async (t) => {
  const broker = await startTestBroker(t)
  for (const route of Object.keys(ROUTES).filter((one) => one.startsWith('POST'))) {
    const answer = await broker.call('POST', pathOf(route), undefined, { nonsense: true })
    t.match(answer, { status: 401, body: { code: 'token_missing' } }, route)
  }
})

t.test('what the compiler should have refused is refused at the door as well', async (t) => {
  const twice = await startTestBroker(t, {
    policySet: (real) => ({ ...real, agentsMatching: () => [...real.agents.values()].slice(0, 2) }),
  })
  const ambiguous = await twice.call('GET', '/v1/whoami', await twice.agentToken('orders-coder'))
  t.match(ambiguous, { status: 403, body: { code: 'identity_ambiguous' } }, 'two agents')
  const both = await twice.call('GET', '/v1/grants', await twice.operatorToken('bob'))
  t.match(both, { status: 403, body: { code: 'operator_unknown' } }, 'an operator who is an agent too')
  const kinds = await twice.database.query(
    "SELECT code FROM writ.entry WHERE kind IN ('identity.refused', 'operator.refused')",
  )
  t.strictSame(kinds, [{ code: 'identity_ambiguous' }, { code: 'operator_unknown' }])

  const two = await startTestBroker(t, {
    policySet: (real) => ({ ...real, operatorsMatching: () => [...real.operators.values()].slice(0, 2) }),
  })
  const operators = await two.call('GET', '/v1/grants', await two.operatorToken('bob'))
  t.match(operators, { status: 403, body: { code: 'operator_unknown' } }, 'two operators')
})
