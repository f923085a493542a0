import t, { type Test } from 'tap'
import type { Owner, PolicySet } from '../../server/types.js'
import { type Answer, startTestBroker, type TestBroker } from '../support/broker.js'
import { ageStops, release, stop } from '../support/stops.js'

const WISH = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }
const PRODUCTION = { ...WISH, environment: 'production' }
const WRITE = { ...PRODUCTION, scopes: ['orders:write'] }
const STOPPED = { status: 403, body: { code: 'agent_stopped' } }

/** orders-coder belongs to a human, whose operator's document has more names. */
const owned = (real: PolicySet): PolicySet => {
  const coder = real.agents.get('orders-coder')
  if (coder === undefined) throw new Error('no orders-coder')
  const owner: Owner = { kind: 'human', name: 'Alice@Example.com' }
  const agents = new Map(real.agents).set('orders-coder', { ...coder, owner })
  agents.delete(forgotten)
  return { ...real, agents }
}

let shared: TestBroker
let forgotten = ''
let n = 0
t.before(async () => {
  shared = await startTestBroker(t, { policySet: owned })
})

const ask = async (agent: string, wish: object = WISH, human?: string): Promise<Answer> =>
  shared.call(
    'POST',
    '/v1/credentials',
    await shared.agentToken(agent, human === undefined ? {} : { claims: { human } }),
    { ...wish, session: `s${n++}` },
  )

/** How many roles the agents have in an environment. */
function rolesIn(environment: string): number {
  const places = [...shared.policy.current().agents.values()].map((agent) =>
    agent.environments.get(environment),
  )
  return new Set(places.flatMap((place) => Object.values(place?.roles ?? {}))).size
}

/** Everything that is engaged ends. */
async function goOn(t: Test): Promise<void> {
  await ageStops(shared.sql)
  const { body } = await shared.call('GET', '/v1/stops?state=engaged', await shared.operatorToken('carol'))
  for (const { id, kind } of body.items) {
    t.match(await release(shared, id, 'bob'), {
      status: 200,
      body: { released: false, signed: 1, needed: 2 },
    })
    t.match(await release(shared, id, 'carol'), { status: 200, body: { released: true } }, kind)
  }
}

t.test('an agent is stopped, and its neighbour is not', async (t) => {
  const again = { ...WISH, session: 'again' }
  const token = await shared.agentToken('orders-coder')
  t.equal((await shared.call('POST', '/v1/credentials', token, again)).status, 200)
  t.match((await shared.call('POST', '/v1/credentials', token, again)).body, { delivered_again: true })

  const engaged = await stop(shared, 'agent', 'orders-coder')
  t.match(engaged, {
    status: 201,
    body: {
      kind: 'agent',
      name: 'orders-coder',
      engaged_by: 'bob',
      automatic: false,
      reason: 'a test',
      approvals_needed: 2,
      signed_by: [],
      state: 'engaged',
      issuance: 'blocked',
      denies: { asked: 8, presumed: 0, over: 0 },
      sessions: { presumed_at: null },
    },
  })
  t.match(await stop(shared, 'agent', 'orders-coder', 'carol'), {
    status: 200,
    body: { id: engaged.body.id },
  })

  t.match(await shared.call('POST', '/v1/credentials', token, again), STOPPED, 'nothing from the cache')
  t.match(await ask('orders-coder'), STOPPED)
  t.match(await ask('orders-coder', PRODUCTION), STOPPED, 'wherever')
  t.match(
    await shared.call(
      'GET',
      '/v1/aws/credentials/development/orders:read',
      await shared.agentToken('orders-coder'),
    ),
    { status: 403 },
  )
  t.match(await shared.call('POST', '/v1/grant-requests', token, WRITE), STOPPED, 'no request either')
  t.equal((await ask('report-bot')).status, 200, 'its neighbour goes on')

  const carol = await shared.operatorToken('carol')
  const path = `/v1/stops/${engaged.body.id}`
  let told = await shared.call('GET', path, carol)
  while (told.body.sessions.state === 'asked') told = await shared.call('GET', path, carol)
  t.match(told.body, {
    state: 'engaged',
    denies: { asked: 8, written: 8, waiting: [] },
    sessions: { state: 'written' },
  })
  t.strictSame(told.body.denies.waiting, [], 'no role waits')
  t.equal(
    Date.parse(told.body.sessions.presumed_at) - Date.parse(told.body.sessions.written_at),
    60_000,
    'presumed in effect a minute after the last deny',
  )
  const events = await shared.call('GET', '/v1/events?kind=stop.engaged', carol)
  t.match(events.body.items[0], {
    body: { stops: 'agent', name: 'orders-coder', proof: { kind: 'token', subject: 'operator:bob' } },
    personal: { reason: 'a test', source_ip: '127.0.0.1' },
  })
  await goOn(t)
  t.equal((await ask('orders-coder')).status, 200, 'released, it goes on')
  t.match(await shared.call('GET', path, carol), {
    body: { state: 'released', issuance: 'open', signed_by: ['bob', 'carol'], name: 'orders-coder' },
  })
})

t.test('an environment, an account, everything', async (t) => {
  t.match(await stop(shared, 'environment', 'development'), {
    status: 201,
    body: { denies: { asked: rolesIn('development') } },
  })
  t.match(await ask('orders-coder'), STOPPED)
  t.match(await ask('report-bot'), STOPPED)
  t.equal((await ask('orders-coder', PRODUCTION)).status, 200, 'another environment goes on')
  await goOn(t)

  t.match(await stop(shared, 'account', '111122223333'), {
    status: 201,
    body: { denies: { asked: rolesIn('production') } },
  })
  t.match(await ask('report-bot', PRODUCTION), STOPPED)
  t.match(
    await shared.call('POST', '/v1/grant-requests', await shared.agentToken('orders-coder'), WRITE),
    STOPPED,
  )
  t.equal((await ask('report-bot')).status, 200, 'another account goes on')
  await goOn(t)

  t.match(await stop(shared, 'everything', '*'), { status: 201, body: { kind: 'everything', name: null } })
  for (const agent of ['orders-coder', 'report-bot'])
    for (const wish of [WISH, PRODUCTION]) t.match(await ask(agent, wish), STOPPED)
  await goOn(t)
  t.equal((await ask('report-bot')).status, 200)
})

t.test('a human: what they own, and what acts for them, under all their names', async (t) => {
  t.equal((await ask('report-bot', WISH, 'ALICE@example.com')).status, 200)
  const token = await shared.agentToken('report-bot')
  const claimed = { ...WISH, on_behalf_of: 'alice', session: 'claimed' }
  t.equal((await shared.call('POST', '/v1/credentials', token, claimed)).status, 200)

  const { body } = await stop(shared, 'human', 'alice')
  t.match(body, { kind: 'human', name: 'alice' })
  t.match(await ask('orders-coder'), STOPPED, 'the agent she owns')
  t.match(await ask('report-bot', WISH, 'alice'), STOPPED)
  t.match(await ask('report-bot', WISH, 'Alice@example.com'), STOPPED, 'by another name of hers')
  t.match(await shared.call('POST', '/v1/credentials', token, claimed), STOPPED, 'or said by the agent')
  t.equal((await ask('report-bot', WISH, 'bob@example.com')).status, 200, 'for another human it goes on')
  t.match(
    await shared.call('POST', '/v1/grant-requests', await shared.agentToken('orders-coder'), WRITE),
    STOPPED,
  )
  const kills = await shared.database.query<{ target: string }>(
    `SELECT kind || ' ' || CASE WHEN kind = 'issuance' THEN '' ELSE target END AS target FROM writ.kill
     WHERE id IN (SELECT unnest(kills) FROM writ.stop WHERE id = $1)`,
    [body.id],
  )
  t.strictSame(kills.map(({ target }) => target).sort(), [
    ...Array.from({ length: 8 }, () => 'agent orders-coder'),
    'human ALICE@example.com',
    'human alice',
    'human alice@example.com',
    'issuance ',
  ])

  await ageStops(shared.sql)
  t.match(
    await release(shared, body.id, 'alice'),
    { status: 403, body: { code: 'approver_is_beneficiary' } },
    'nobody who is stopped releases themselves',
  )
  await goOn(t)
  const [row] = await shared.database.query('SELECT name FROM writ.stop WHERE id = $1', [body.id])
  t.match(row, { name: null }, 'and is forgotten with the release')
})

t.test('requests that wait are withdrawn, and nothing is granted meanwhile', async (t) => {
  const token = await shared.agentToken('deploy-bot')
  const wish = { environment: 'production', scopes: ['deploy:promote'], reason: 'a test' }
  const waiting = await shared.call('POST', '/v1/grant-requests', token, wish)
  const grant = await shared.grant('alice', { ...wish, agent: 'deploy-bot', reason: 'unasked', uses: 2 })
  t.match(grant, { status: 200, body: { state: 'granted' } })
  t.match(await ask('deploy-bot', wish), { status: 200, body: { grant: grant.body.grant_id } })
  const { body } = await stop(shared, 'agent', 'deploy-bot')
  const carol = await shared.operatorToken('carol')
  const seen = await shared.call('GET', `/v1/grant-requests?id=${waiting.body.id}`, carol)
  t.match(seen.body.items, [{ state: 'withdrawn' }])
  const events = await shared.call('GET', `/v1/events?request=${waiting.body.id}`, carol)
  t.match(events.body.items[0], { body: { kind: 'grant_request.withdrawn', by: `stop:${body.id}` } })
  t.match(
    await shared.call('POST', '/v1/grants', await shared.operatorToken('alice'), {
      ...wish,
      agent: 'deploy-bot',
    }),
    STOPPED,
  )
  t.match(await ask('deploy-bot', wish), STOPPED, 'the grant is suspended')
  await goOn(t)
  t.match(await ask('deploy-bot', wish), { status: 200, body: { grant: grant.body.grant_id } }, 'and goes on')
})

t.test('what nobody has ever heard of is a slip', async (t) => {
  t.match(await stop(shared, 'agent', 'orders-codr'), {
    status: 422,
    body: { code: 'request_invalid', detail: /Did you mean orders-coder\?/ },
  })
  t.match(await stop(shared, 'environment', 'prodction'), { status: 422, body: { detail: /production\?/ } })
  t.match(await stop(shared, 'account', '999999999999'), { status: 422 })
  for (const [kind, name] of [
    ['agent', '*'],
    ['agent', 'Orders'],
    ['account', '1111'],
    ['everything', 'all'],
    ['team', 'orders'],
  ] as const)
    t.match(
      await stop(shared, kind, name),
      { status: 422, body: { code: 'request_invalid' } },
      `${kind} ${name}`,
    )
  t.match(await stop(shared, 'agent', 'report-bot', 'bob', {}), { status: 422 }, 'and there is a reason')
  const list = await shared.call('GET', '/v1/stops?state=engaged', await shared.operatorToken('bob'))
  t.strictSame(list.body, { items: [], next: null })
})

t.test('stopped while AWS is minting: recorded, and handed to nobody', async (t) => {
  const slow = shared.localAws.faults.hold('after')
  const asked = ask('deploy-bot', { ...WISH, scopes: ['releases:read'] })
  await slow.caught
  await stop(shared, 'agent', 'deploy-bot')
  slow.release()
  t.match(await asked, STOPPED)
  const carol = await shared.operatorToken('carol')
  const { body } = await shared.call('GET', '/v1/issuances?agent=deploy-bot&limit=1', carol)
  t.match(body.items, [{ state: 'issued' }])
  const [kill] = await shared.database.query<{ n: number }>(
    `SELECT count(*)::integer AS n FROM writ.kill k JOIN writ.intent i ON i.role_arn = k.role_arn
     WHERE i.agent = 'deploy-bot' AND k.kind = 'agent' AND k.target = 'deploy-bot' AND k.cutoff > i.at`,
  )
  t.ok((kill?.n ?? 0) > 0, 'and it is among what dies')
  await goOn(t)
})

t.test('where IAM refuses the Deny, the stop says on which roles and why', async (t) => {
  const broker = await startTestBroker(t)
  broker.localAws.faults.fail('access-denied', { action: 'PutRolePolicy', times: 1_000 })
  const bob = await broker.operatorToken('bob')
  const wanted = { reason: 'a test', cause: 'incident:4h7m2c9x0k1d' }
  const engaged = await broker.call('PUT', '/v1/stops/agent/orders-coder', bob, wanted)
  t.match(engaged, { status: 201, body: { cause: wanted.cause } })
  const path = `/v1/stops/${engaged.body.id}`
  const tried = ({ body }: Answer) =>
    body.denies.waiting.every(({ problem }: { problem: string | null }) => problem !== null)
  let told = await broker.call('GET', path, bob)
  while (!tried(told)) told = await broker.call('GET', path, bob)
  const { denies, sessions } = told.body
  t.match(sessions, { state: 'asked', written_at: null })
  t.equal(denies.written, 0)
  const roles = broker.policy.current().agents.get('orders-coder')?.environments.values() ?? []
  t.strictSame(
    denies.waiting,
    [...new Set([...roles].flatMap((place) => Object.values(place.roles)))]
      .sort()
      .map((role) => ({ role, problem: 'iam_unavailable' })),
  )
})

t.test('an agent that policy knows no more', async (t) => {
  forgotten = 'report-bot'
  const engaged = await stop(shared, 'agent', 'report-bot')
  forgotten = ''
  t.match(engaged, { status: 201, body: { denies: { asked: 1 } } }, 'dies on the one role that it is on')
  t.match(await ask('report-bot'), STOPPED)
  await goOn(t)
})
