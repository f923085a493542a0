import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createPool } from '../../server/db/pool.js'
import { packageRoot } from '../../server/paths.js'
import { startTestBroker } from '../support/broker.js'
import { silent } from '../support/postgres.js'

const WISH = {
  environment: 'production',
  scopes: ['orders:write'],
  reason: 'the shop is down',
  valid_for: 7200,
}
const WHY = 'The shop is down and nobody else answers'

/** The example set, where production takes two approvals, and bob alone in an emergency. */
function policies(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'writ-glass-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  cpSync(join(packageRoot(), 'policies'), folder, { recursive: true })
  writeFileSync(
    join(folder, 'environments/production.yaml'),
    `environment: production
describe: Customer data
tier: production
account: "111122223333"
regions: [eu-west-1]
approvals: { write: 2 }
break_glass: { operators: [alice, bob], max: 30m }
`,
  )
  writeFileSync(
    join(folder, 'operators/dora.yaml'),
    `operator: dora
identity:
  issuer: https://local.writ.invalid
  claims: { sub: "operator:dora" }
roles: [approver]
approves: [production]
`,
  )
  return folder
}

t.test('an emergency, from the asking to the review', async (t) => {
  const broker = await startTestBroker(t, { policies: policies(t) })
  const agent = await broker.agentToken('orders-coder')
  const as = (name: string) => broker.operatorToken(name)
  const asked = await broker.call('POST', '/v1/grant-requests', agent, WISH)
  t.match(asked, { status: 202, body: { approvals_needed: 2, signature_required: true, destroys: false } })
  const { id } = asked.body
  const glass = { break_glass: true, comment: WHY }

  t.match(await broker.decide(id, 'dora', glass), { status: 403, body: { code: 'break_glass_not_allowed' } })
  t.match(
    await broker.decide(id, 'bob', { break_glass: true }),
    { status: 403, body: { code: 'break_glass_not_allowed' } },
    'without a reason',
  )
  t.match(
    await broker.decide(id, 'alice', glass),
    { status: 403, body: { code: 'approver_is_owner' } },
    'the owner, though named',
  )
  t.match(
    await broker.decide(id, 'bob', { ...glass, key: { userVerified: false } }),
    { status: 403, body: { code: 'signature_invalid' } },
    'a key that asked nobody',
  )
  const done = await broker.decide(id, 'bob', glass)
  t.match(done, { status: 200, body: { state: 'granted', approvals: 1 } })
  const grant = done.body.grant_id
  const { valid_for: _, ...wanted } = WISH
  const used = await broker.call('POST', '/v1/credentials', agent, wanted)
  t.match(used, { status: 200, body: { grant } })

  const listed = await broker.call('GET', `/v1/grants?id=${grant}`, await as('bob'))
  const [view] = listed.body.items
  t.match(view, { break_glass: true, reviewed_at: null })
  t.equal(
    Date.parse(view.expires_at) - Date.parse(view.not_before),
    1_800_000,
    'half an hour, where two were asked for',
  )

  const waiting = await broker.call('GET', '/v1/break-glass?reviewed=false', await as('carol'))
  t.match(waiting.body.items, [{ grant_id: grant, operator: 'bob', comment: WHY, uses: 1, overdue: false }])
  t.match(await broker.call('GET', '/v1/break-glass', agent), { status: 401 })

  const path = `/v1/break-glass/${grant}/review`
  const verdict = { verdict: 'justified', comment: 'Looked at the log' }
  const review = async (name: string, body: object, where = path) =>
    broker.call('POST', where, await as(name), body)
  t.match(await review('bob', verdict), { status: 403, body: { code: 'review_is_own' } })
  t.match(await review('carol', { verdict: 'justified' }), { status: 422 }, 'without a word')
  t.match(await review('carol', { ...verdict, verdict: 'fine' }), { status: 422 })
  t.match(await review('carol', verdict, '/v1/break-glass/000000000000/review'), { status: 404 })
  t.match(await broker.call('POST', path, agent, verdict), { status: 401 })
  t.match(await review('carol', verdict), {
    status: 200,
    body: { reviewed_by: 'carol', verdict: 'justified' },
  })
  t.match(await review('dora', verdict), { status: 409, body: { code: 'already_reviewed' } })
  t.strictSame((await broker.call('GET', '/v1/break-glass?reviewed=false', await as('bob'))).body.items, [])
  t.match((await broker.call('GET', '/v1/break-glass?reviewed=true', await as('bob'))).body.items, [
    { grant_id: grant },
  ])
  t.match(await broker.call('GET', '/v1/break-glass?reveiwed=false', await as('bob')), { status: 422 })

  const events = await broker.call('GET', `/v1/events?grant=${grant}`, await as('carol'))
  const told = events.body.items.map(({ body }: { body: Record<string, unknown> }) => [
    body.kind,
    body.break_glass,
  ])
  t.match(told[0], ['grant.reviewed'])
  t.strictSame(told.at(-1), ['grant.created', true])
})

t.test('an overdue review stops the next emergency, and is told on the way', async (t) => {
  const broker = await startTestBroker(t, { policies: policies(t) })
  const agent = await broker.agentToken('orders-coder')
  const ask = async (reason: string) =>
    (await broker.call('POST', '/v1/grant-requests', agent, { ...WISH, reason })).body.id
  const glass = { break_glass: true, comment: WHY }
  const { body } = await broker.decide(await ask('one'), 'bob', glass)
  const admin = createPool({
    connectionString: broker.sql.superuserUrl,
    applicationName: 'test',
    log: silent,
    max: 1,
  })
  t.teardown(() => admin.end())
  await admin.query(`ALTER TABLE writ.break_glass DISABLE TRIGGER guard;
    UPDATE writ.break_glass SET at = at - interval '1 day', review_due = review_due - interval '1 day';
    ALTER TABLE writ.break_glass ENABLE TRIGGER guard`)
  const id = await ask('two')
  t.match(await broker.decide(id, 'bob', glass), { status: 403, body: { code: 'break_glass_unreviewed' } })
  const refused = await broker.call(
    'GET',
    '/v1/events?kind=operator.refused',
    await broker.operatorToken('carol'),
  )
  t.match(refused.body.items, [{ body: { operator: 'bob', code: 'break_glass_unreviewed' } }])
  t.match(
    await broker.decide(id, 'bob'),
    { body: { state: 'pending', approvals: 1 } },
    'the usual way is open',
  )
  t.match(await broker.decide(id, 'dora'), { body: { state: 'granted', approvals: 2 } })

  const review = { verdict: 'not-justified', comment: 'dora was there' }
  const carol = await broker.operatorToken('carol')
  t.match(await broker.call('POST', `/v1/break-glass/${body.grant_id}/review`, carol, review), {
    status: 200,
  })
  t.match(await broker.decide(await ask('three'), 'bob', glass), { body: { state: 'granted' } })
})

t.test('a denial is a pause', async (t) => {
  const broker = await startTestBroker(t, { policies: policies(t) })
  const agent = await broker.agentToken('orders-coder')
  const asked = await broker.call('POST', '/v1/grant-requests', agent, WISH)
  t.match(await broker.decide(asked.body.id, 'bob', { decision: 'deny', comment: 'no' }), {
    body: { state: 'denied' },
  })
  const again = await broker.call('POST', '/v1/grant-requests', agent, { ...WISH, reason: 'please' })
  t.match(again, { status: 429, body: { code: 'grant_cooling_down', until: /^\d{4}-.*Z$/ } })
  t.ok(Number(again.headers.get('retry-after')) > 500, 'seconds to wait')
  const events = await broker.call(
    'GET',
    '/v1/events?kind=grant_request.refused',
    await broker.operatorToken('carol'),
  )
  t.match(events.body.items, [{ body: { agent: 'orders-coder', code: 'grant_cooling_down' } }])
  const unasked = { agent: 'orders-coder', ...WISH }
  t.match(await broker.call('POST', '/v1/grants', await broker.operatorToken('bob'), unasked), {
    status: 202,
  })
})
