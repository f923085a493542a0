import t from 'tap'
import type { RecordItem } from '../../server/audit/items.js'
import { type IssueDeps, issueCredentials } from '../../server/issuance/issue.js'
import type { PolicySet } from '../../server/types.js'
import { startTestBroker } from '../support/broker.js'
import { identity } from '../support/policy.js'

const WISH = { environment: 'production', scopes: ['orders:write'], reason: 'a test' }

/** The example policy as an attacker would like the decision to see it: production is a sandbox. */
function asSandbox(policySet: PolicySet): PolicySet {
  const production = policySet.environments.get('production')
  if (production === undefined) throw new Error('the example set has a production environment')
  const environments = new Map(policySet.environments).set('production', { ...production, tier: 'sandbox' })
  return { ...policySet, environments }
}

t.test('a production write without a grant meets three walls', async (t) => {
  let deps: IssueDeps | undefined
  const broker = await startTestBroker(t, {
    issue: (real) => {
      deps = real
      return real
    },
  })
  if (deps === undefined) throw new Error('not wired')
  const assumed = () => broker.localAws.calls.filter((call) => call.action === 'sts:AssumeRole')
  const asking = {
    agent: 'orders-coder',
    identity: identity({ subject: 'agent:orders-coder' }),
    request: WISH,
    caller: { ip: '127.0.0.1' },
    requestId: 'test',
  }

  const answer = await broker.call('POST', '/v1/credentials', await broker.agentToken('orders-coder'), WISH)
  t.match(answer, {
    status: 403,
    body: { code: 'grant_required', grant_request: { scopes: ['orders:write'] } },
  })
  t.equal(assumed().length, 0, 'the decision: AWS was not asked')

  const set = asSandbox(broker.policy.current())
  const second = await issueCredentials(deps, set, asking)
  t.match(second, { outcome: 'refused', refusal: { code: 'grant_required' } })
  t.equal(assumed().length, 0, 'the database, with the decision got round: AWS was not asked')

  const liar: RecordItem = async (item) =>
    item.op === 'intent'
      ? { status: 'ok', index: 0, at: new Date().toISOString() }
      : { status: 'ok', index: 0, at: '' }
  await t.rejects(issueCredentials({ ...deps, record: liar }, set, asking), { code: 'aws_refused' })
  t.match(
    assumed(),
    [{ allowed: false, code: 'AccessDenied' }],
    "the role's trust policy, with both got round",
  )

  const { body } = await broker.call('GET', '/v1/issuances', await broker.operatorToken('carol'))
  t.strictSame(body.items, [], 'nothing was issued')
})

t.test('parallel requests on a grant of one use make one session', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const asked = await broker.call('POST', '/v1/grant-requests', agent, WISH)
  await broker.decide(asked.body.id, 'bob')

  const answers = await Promise.all(
    // Different labels: none of them may be served from the live session of another.
    Array.from({ length: 20 }, (_, i) =>
      broker.call('POST', '/v1/credentials', agent, { ...WISH, session: `label-${i}` }),
    ),
  )
  const issued = answers.filter((answer) => answer.status === 200)
  t.equal(issued.length, 1)
  t.ok(answers.every(({ status, body }) => status === 200 || body.code === 'grant_used_up'))
  const minted = broker.localAws.calls.filter((call) => call.action === 'sts:AssumeRole')
  t.equal(minted.length, 1, 'and one at AWS')
})

t.test('a policy change makes a grant stale', async (t) => {
  const { cp, mkdtemp, rm, appendFile, readFile, writeFile } = await import('node:fs/promises')
  const { join } = await import('node:path')
  const { tmpdir } = await import('node:os')
  const { packageRoot } = await import('../../server/paths.js')
  const policies = await mkdtemp(join(tmpdir(), 'writ-policies-'))
  t.teardown(() => rm(policies, { recursive: true }))
  await cp(join(packageRoot(), 'policies'), policies, { recursive: true })

  const broker = await startTestBroker(t, { policies })
  const agent = await broker.agentToken('orders-coder')
  const approve = async (wish: object) => {
    const { body } = await broker.call('POST', '/v1/grant-requests', agent, wish)
    return broker.decide(body.id, 'bob')
  }
  t.match(await approve(WISH), { status: 200, body: { state: 'granted' } })
  const pending = await broker.call('POST', '/v1/grant-requests', agent, { ...WISH, reason: 'another' })

  const file = join(policies, 'scopes', 'orders-write.yaml')
  const text = await readFile(file, 'utf8')
  await writeFile(file, text.replace(/describe: .*/, 'describe: Changed after the approval'))
  await broker.policy.reload()

  t.match(await broker.call('POST', '/v1/credentials', agent, WISH), {
    status: 403,
    body: { code: 'grant_stale' },
  })
  const late = await broker.decide(pending.body.id, 'bob')
  t.match(
    late,
    { status: 403, body: { code: 'grant_stale' } },
    'and nobody approves a request of the old policy',
  )

  await appendFile(file, '\nallow: broken\n')
  const before = broker.policy.current().digest
  await broker.policy.reload()
  t.equal(broker.policy.current().digest, before, 'a broken set is not taken')
  const ready = await broker.call('GET', '/readyz')
  t.match(
    ready,
    { status: 200, body: { ready: true, checks: { policy: { ok: false } } } },
    'and readiness says so',
  )
  const read = { environment: 'development', scopes: ['orders:read'], reason: 'still serving' }
  t.equal((await broker.call('POST', '/v1/credentials', agent, read)).status, 200)
})
