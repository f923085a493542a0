import t from 'tap'
import { startTestBroker } from '../support/broker.js'
import { closeIncident, openIncident } from '../support/incidents.js'

const EVIDENCE = 'ab'.repeat(32)
const BETTER = 'cd'.repeat(32)

t.test('an incident, from the stop to the second signature', { timeout: 120_000 }, async (t) => {
  const broker = await startTestBroker(t)
  const [bob, carol, alice] = await Promise.all(
    ['bob', 'carol', 'alice'].map((name) => broker.operatorToken(name)),
  )
  const ask = async (agent: string) =>
    broker.call('POST', '/v1/credentials', await broker.agentToken(agent), {
      environment: 'development',
      scopes: ['orders:read'],
      reason: 'a look',
    })
  t.equal((await ask('orders-coder')).status, 200)

  const opened = await openIncident(broker, 'orders-coder', 'bob', 'deletes what it should read')
  t.equal(opened.status, 201, JSON.stringify(opened.body))
  const { id } = opened.body
  const step = (token: string | undefined, stage: string, more: object = {}) =>
    broker.call('POST', `/v1/incidents/${id}/steps`, token, { stage, note: `did ${stage}`, ...more })
  const read = async () => (await broker.call('GET', `/v1/incidents/${id}`, carol)).body

  await t.test('it stops the agent, and says who may do what', async (t) => {
    t.match((await ask('orders-coder')).body, { code: 'agent_stopped' })
    t.equal((await ask('report-bot')).status, 200, 'and no other')
    t.match(opened.body, {
      agent: 'orders-coder',
      state: 'open',
      opened_by: 'bob',
      reason: 'deletes what it should read',
      stop: { engaged_by: 'bob', issuance: 'blocked', approvals_needed: 2 },
      stages: [
        { stage: 'stop', names: ['alice', 'bob', 'carol'] },
        { stage: 'assess', names: ['carol'], roles: ['security'] },
        { stage: 'contain', names: ['alice', 'bob'], outside: /AWS account/ },
        { stage: 'recover', names: ['alice', 'bob', 'carol'], takes: /Nobody can alone/ },
      ],
      closing: { needed: 2, names: ['alice', 'bob', 'carol'], signed: [] },
    })
    const again = Object.fromEntries(
      opened.body.grants_again.map((one: { environment: string; names: string[] }) => [
        one.environment,
        one.names,
      ]),
    )
    t.strictSame(
      again,
      { production: ['bob'] },
      'alice leads the team that owns it; nothing of it is a promotion',
    )
    t.ok(opened.body.denies.length > 0, 'every role of it has a deny to come')
    const stops = await broker.call('GET', '/v1/stops', bob)
    t.equal(stops.body.items[0].id, opened.body.stop.id)
  })

  await t.test('a second one on the same agent is the first', async (t) => {
    const again = await openIncident(broker, 'orders-coder', 'carol', 'I see it too')
    t.match(again, { status: 200, body: { id, opened_by: 'bob' } })
    t.match(await openIncident(broker, 'no-such-agent'), { status: 422 })
    t.match(await openIncident(broker, 'orders-coder', 'bob', 'two\nlines'), { status: 422 })
    const token = await broker.agentToken('orders-coder')
    t.equal(
      (await broker.call('POST', '/v1/incidents', token, { agent: 'report-bot', reason: 'x' })).status,
      401,
    )
  })

  await t.test('each step is of who may do it', async (t) => {
    t.match(await step(bob, 'assess'), { status: 403, body: { code: 'operator_role' } })
    t.match(await step(carol, 'contain'), { status: 403, body: { code: 'operator_role' } })
    t.match(await step(bob, 'contain', { evidence: EVIDENCE }), { status: 422 })
    t.match(await step(bob, 'dance'), { status: 422 })
    t.equal((await step(bob, 'contain')).status, 201)
    t.equal((await step(carol, 'assess', { evidence: EVIDENCE })).status, 201)
    t.equal((await step(carol, 'assess', { evidence: BETTER })).status, 201)
    const { stages } = await read()
    t.match(stages[1].steps, [{ by: 'carol', note: 'did assess', evidence: EVIDENCE }, { evidence: BETTER }])
    t.match(stages[2].steps, [{ by: 'bob', note: 'did contain', evidence: null }])
    t.equal(
      (await broker.call('POST', '/v1/incidents/000000000000/steps', bob, { stage: 'stop', note: 'x' }))
        .status,
      404,
    )
  })

  await t.test('it takes two people, who read the same', async (t) => {
    const close = closeIncident.bind(undefined, broker, id)
    t.match(await close('bob', 'ef'.repeat(32)), { status: 409, body: { code: 'signed_something_else' } })
    t.match(await close('bob', EVIDENCE), { status: 200, body: { closed: false, signed: 1, needed: 2 } })
    t.match(await close('bob', EVIDENCE), { status: 409, body: { code: 'already_decided' } })
    t.match(
      await close('bob', BETTER),
      { status: 200, body: { closed: false, signed: 1 } },
      'with better evidence',
    )
    t.match(await close('carol', BETTER, { key: { userVerified: false } }), { status: 403 })
    const asked = await broker.call('POST', `/v1/incidents/${id}/challenge`, carol, { evidence: BETTER })
    const bobs = (await broker.enrol('bob')).sign(Buffer.from(asked.body.webauthn.challenge, 'base64url'))
    const { challenge } = asked.body
    t.match(
      await broker.call('POST', `/v1/incidents/${id}/close`, bob, { challenge, proof: bobs }),
      { status: 409, body: { code: 'challenge_over' } },
      'the challenge of another',
    )
    t.match(await broker.call('POST', `/v1/incidents/${id}/close`, carol, { challenge, proof: bobs }), {
      status: 403,
    })
    const dora = await broker.operatorToken('dora')
    t.equal((await broker.call('GET', '/v1/incidents', dora)).status, 403)
    t.match(await close('carol', BETTER), { status: 200, body: { closed: true, signed: 2 } })
    t.match(await read(), { state: 'closed', closed_by: ['bob', 'carol'], evidence: BETTER })
    t.match(await close('alice', BETTER), { status: 409, body: { code: 'incident_closed' } })
    t.match(await step(bob, 'contain'), { status: 409, body: { code: 'incident_closed' } })
    t.match((await ask('orders-coder')).body, { code: 'agent_stopped' }, 'closing releases nothing')
  })

  await t.test('another can be opened then, on the stop that still holds', async (t) => {
    const next = await openIncident(broker, 'orders-coder', 'alice')
    t.match(next, { status: 201, body: { stop: { id: opened.body.stop.id } } })
    t.not(next.body.id, id)
    const list = async (query: string) =>
      (await broker.call('GET', `/v1/incidents?${query}`, alice)).body.items.map(
        (one: { id: string }) => one.id,
      )
    t.strictSame(await list('agent=orders-coder'), [next.body.id, id])
    t.strictSame(await list('state=open'), [next.body.id])
    t.strictSame(await list('state=closed'), [id])
    const page = await broker.call('GET', '/v1/incidents?limit=1', alice)
    t.strictSame(await list(`limit=1&before=${encodeURIComponent(page.body.next)}`), [id])
  })

  const kinds = await broker.database.query<{ kind: string; operator: string | null }>(
    `SELECT kind, operator FROM writ.entry WHERE kind LIKE 'incident.%' ORDER BY idx`,
  )
  t.strictSame(
    kinds.map(({ kind, operator }) => `${kind} ${operator ?? ''}`.trim()),
    [
      'incident.opened bob',
      'incident.step bob',
      'incident.step carol',
      'incident.step carol',
      'incident.close_signed bob',
      'incident.close_signed bob',
      'incident.close_signed carol',
      'incident.closed',
      'incident.opened alice',
    ],
  )
  const refused = await broker.database.query(
    `SELECT FROM writ.entry WHERE kind = 'operator.refused' AND code = 'operator_role' AND operator = 'bob'`,
  )
  t.ok(refused.length > 0, 'who tried what they may not is in the log')
})
