import t from 'tap'
import { startTestBroker, type TestBroker } from '../support/broker.js'

const WISH = { environment: 'production', scopes: ['orders:write'], reason: 'a test' }

/** With a token alone. */
const decide = async (broker: TestBroker, token: string, request: Record<string, string>, change = {}) =>
  broker.call('POST', `/v1/grant-requests/${request.id}/decisions`, token, {
    decision: 'approve',
    policy_digest: request.policy_digest,
    permissions_sha256: request.permissions_sha256,
    ...change,
  })

const PROMOTION = { environment: 'staging', scopes: ['deploy:promote'], reason: 'a test' }

t.test('the way of a grant', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const bob = await broker.operatorToken('bob')

  const asked = await broker.call('POST', '/v1/grant-requests', agent, WISH)
  t.match(asked, { status: 202, body: { state: 'pending', approvals_needed: 1, account: '111122223333' } })
  t.equal(asked.headers.get('location'), `/v1/grant-requests/${asked.body.id}`)
  const again = await broker.call('POST', '/v1/grant-requests', agent, WISH)
  t.equal(again.body.id, asked.body.id, 'the same wish is the same request')

  const stranger = await broker.agentToken('report-bot')
  t.match(await broker.call('GET', `/v1/grant-requests/${asked.body.id}`, stranger), { status: 404 })
  t.match(await broker.call('DELETE', `/v1/grant-requests/${asked.body.id}`, stranger), { status: 404 })

  const waiting = broker.call('GET', `/v1/grant-requests/${asked.body.id}?wait=20`, agent)
  t.match(await broker.decide(asked.body.id, 'alice'), { status: 403, body: { code: 'approver_is_owner' } })
  t.match(await broker.decide(asked.body.id, 'carol'), { body: { code: 'operator_role' } })
  t.match(
    await decide(broker, bob, asked.body),
    { status: 403, body: { code: 'signature_required' } },
    'a token alone decides nothing in production',
  )
  t.match(
    await broker.decide(asked.body.id, 'bob', { key: { userVerified: false } }),
    { status: 403, body: { code: 'signature_invalid' } },
    'nor does a key that anybody could have touched',
  )
  t.match(await broker.decide(asked.body.id, 'bob'), {
    status: 200,
    body: { state: 'granted', approvals: 1 },
  })
  t.match(await waiting, {
    status: 200,
    body: { state: 'granted', decisions: [{ operator: 'bob', decision: 'approve' }] },
  })
  t.match(await broker.decide(asked.body.id, 'bob'), { status: 409, body: { code: 'request_closed' } })

  const carol = await broker.operatorToken('carol')
  const tried = await broker.call('GET', '/v1/events?kind=operator.refused', carol)
  t.strictSame(
    tried.body.items.map((item: { body: { operator: string; code: string } }) => [
      item.body.operator,
      item.body.code,
    ]),
    [
      ['bob', 'signature_invalid'],
      ['bob', 'signature_required'],
      ['carol', 'operator_role'],
      ['alice', 'approver_is_owner'],
    ],
    'and who tried in vain is on record',
  )

  const { body } = await broker.call('POST', '/v1/credentials', agent, WISH)
  t.match(body, { grant: /^\w{12}$/, role: /orders-coder-write/ })
  const events = await broker.call(
    'GET',
    `/v1/events?grant=${body.grant}`,
    await broker.operatorToken('carol'),
  )
  t.strictSame(
    events.body.items.map((item: { body: { kind: string } }) => item.body.kind),
    ['issuance.issued', 'issuance.intended', 'grant.created'],
  )
})

t.test('outside of production a fresh token decides', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('deploy-bot')
  const asked = await broker.call('POST', '/v1/grant-requests', agent, PROMOTION)
  t.match(asked, { status: 202 })
  const stale = await broker.operatorToken('bob', { authTime: new Date(Date.now() - 301_000) })
  t.match(await decide(broker, stale, asked.body), { status: 403, body: { code: 'proof_stale' } })
  const undated = await broker.agentToken('bob', {
    subject: 'operator:bob',
    audience: 'https://writ.localhost/operators',
  })
  t.match(
    await decide(broker, undated, asked.body),
    { status: 403, body: { code: 'proof_stale' } },
    'no auth_time',
  )
  const bob = await broker.operatorToken('bob')
  t.match(await decide(broker, bob, asked.body, { permissions_sha256: 'other' }), {
    body: { code: 'grant_stale' },
  })
  t.match(await decide(broker, bob, asked.body), { status: 200, body: { state: 'granted', approvals: 1 } })
  t.match(await decide(broker, bob, asked.body), { status: 409, body: { code: 'already_decided' } })
  t.match((await broker.call('POST', '/v1/credentials', agent, PROMOTION)).status, 200)
})

t.test('the human an agent acts for does not approve', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const asked = await broker.call('POST', '/v1/grant-requests', agent, { ...WISH, on_behalf_of: 'bob' })
  t.match(asked.body.on_behalf_of, { human: 'bob', how: 'self-claimed' })
  t.match(await broker.decide(asked.body.id, 'bob'), {
    status: 403,
    body: { code: 'approver_is_beneficiary' },
  })
})

t.test('three pending, withdrawn, denied', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const ask = (reason: string) => broker.call('POST', '/v1/grant-requests', agent, { ...WISH, reason })
  const first = await ask('one')
  await ask('two')
  const third = await ask('three')
  t.match(await ask('four'), { status: 429, body: { code: 'grant_requests_pending' } })
  const path = `/v1/grant-requests/${first.body.id}`
  t.match(await broker.call('DELETE', path, agent), { status: 200, body: { state: 'withdrawn' } })
  t.match(await broker.call('DELETE', path, agent), { status: 409, body: { code: 'request_closed' } })
  t.equal((await ask('four')).status, 202)
  const denied = await broker.decide(third.body.id, 'bob', { decision: 'deny', comment: 'no' })
  t.match(denied, { status: 200, body: { state: 'denied' } })
  t.match((await broker.call('POST', '/v1/credentials', agent, WISH)).body, { code: 'grant_required' })
  const list = await broker.call('GET', '/v1/grant-requests?state=pending', await broker.operatorToken('bob'))
  t.equal(list.body.items.length, 2)
})

t.test('granted unasked, used, revoked', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const bob = await broker.operatorToken('bob')
  const grant = { ...WISH, agent: 'orders-coder', uses: 3 }
  t.match(await broker.call('POST', '/v1/grants', await broker.operatorToken('alice'), grant), {
    status: 403,
  })
  const opened = await broker.call('POST', '/v1/grants', bob, grant)
  t.match(opened, { status: 202, body: { state: 'pending', grant_id: null, approvals: 0 } })
  const made = await broker.decide(opened.body.request_id, 'bob')
  t.match(made, { status: 200, body: { state: 'granted' } }, 'a grant unasked is signed like any other')
  const first = await broker.call('POST', '/v1/credentials', agent, WISH)
  t.equal(first.status, 200)
  const listed = await broker.call('GET', '/v1/grants?state=live', bob)
  t.match(listed.body.items, [{ id: made.body.grant_id, uses: 1, max_uses: 3, approved_by: ['bob'] }])

  const revoke = `/v1/grants/${made.body.grant_id}/revoke`
  t.match(await broker.call('POST', revoke, bob, { reason: 'enough' }), {
    body: { state: 'revoked', revoked_by: 'bob' },
  })
  t.match(
    await broker.call('POST', '/v1/credentials', agent, WISH),
    { status: 403, body: { code: 'grant_revoked' } },
    'the live session is not handed out again either',
  )
  t.match(await broker.call('POST', '/v1/grants/000000000000/revoke', bob, { reason: 'r' }), { status: 404 })
})

t.test('a session ends with its grant', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const bob = await broker.operatorToken('bob')
  const made = await broker.grant('bob', { ...WISH, agent: 'orders-coder', valid_for: 60 })
  const { body } = await broker.call('POST', '/v1/credentials', agent, WISH)
  const { items } = (await broker.call('GET', `/v1/grants?id=${made.body.grant_id}`, bob)).body
  t.ok(Date.parse(body.credentials.expires_at) <= Date.parse(items[0].expires_at))
  const events = await broker.call(
    'GET',
    `/v1/events?issuance=${body.issuance}`,
    await broker.operatorToken('carol'),
  )
  const intended = events.body.items.at(-1).body
  const { Statement } = JSON.parse(intended.session_policy)
  const end = Statement.find((one: { Condition?: object }) =>
    JSON.stringify(one.Condition)?.includes('CurrentTime'),
  )
  t.strictSame(end.Condition, {
    DateGreaterThanEquals: { 'aws:CurrentTime': body.credentials.expires_at.replace('.000Z', 'Z') },
  })
})

t.test('an approver approves where their document says', async (t) => {
  const broker = await startTestBroker(t, {
    policySet: (real) => {
      const bob = real.operators.get('bob')
      if (bob === undefined) throw new Error('no bob')
      return { ...real, operatorsMatching: () => [{ ...bob, approves: new Set(['staging']) }] }
    },
  })
  const asked = await broker.call('POST', '/v1/grant-requests', await broker.agentToken('orders-coder'), WISH)
  const bob = await broker.operatorToken('bob')
  const refused = { status: 403, body: { code: 'approver_not_allowed' } }
  t.match(await decide(broker, bob, asked.body), refused)
  t.match(await broker.decide(asked.body.id, 'bob'), refused)
  t.match(await broker.call('POST', '/v1/grants', bob, { ...WISH, agent: 'orders-coder' }), refused)
})
