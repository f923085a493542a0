import { appendFile, cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createRecorder } from '../../server/audit/recorder.js'
import { appendTo } from '../../server/audit/store.js'
import { createPool } from '../../server/db/pool.js'
import { createProvenGrants } from '../../server/grants/proven.js'
import { type IssueDeps, issueCredentials } from '../../server/issuance/issue.js'
import { createLiveSessions } from '../../server/issuance/live-sessions.js'
import { loadStanding } from '../../server/issuance/standing.js'
import { packageRoot } from '../../server/paths.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'
import { identity } from '../support/policy.js'
import { silent } from '../support/postgres.js'
import { ageStops, release } from '../support/stops.js'

const LIMITS: Readonly<Record<string, string>> = {
  development: 'limits: { issuances_per_minute: 20 }',
  sandbox: 'limits: { live_sessions: 2, denials_per_hour: 5 }',
  staging: 'limits: { scopes_per_hour: 1 }\nstop_after: { over_limit: 3, red_lines: 2 }',
}

let broker: TestBroker
let deps: IssueDeps

t.before(async () => {
  const policies = await mkdtemp(join(tmpdir(), 'writ-policies-'))
  t.teardown(() => rm(policies, { recursive: true }))
  await cp(join(packageRoot(), 'policies'), policies, { recursive: true })
  for (const [name, text] of Object.entries(LIMITS)) {
    await appendFile(join(policies, 'environments', `${name}.yaml`), `${text}\n`)
  }
  broker = await startTestBroker(t, {
    policies,
    issue: (real) => {
      deps = real
      return real
    },
  })
})

/** What another replica is to the limits: connections, a queue and a cache of its own over the one database. */
function replica(): IssueDeps {
  const { brokerUrl: connectionString } = broker.sql
  const database = createPool({
    connectionString,
    applicationName: 'writ test',
    log: silent,
    connectTimeoutMs: 60_000,
  })
  t.teardown(() => database.end())
  return {
    ...deps,
    loadGrants: createProvenGrants(database),
    loadStanding: (asker) => loadStanding(database, asker),
    // Its clock stands: nothing is turned away because this machine is slow.
    record: createRecorder(appendTo(database), () => 0).record,
    live: createLiveSessions(),
  }
}

/** What arrives at one. */
const asking = (session: string) => ({
  agent: 'orders-coder',
  identity: identity({ subject: 'agent:orders-coder' }),
  request: { environment: 'development', scopes: ['orders:read'], reason: 'a test', session },
  caller: { ip: '127.0.0.1' },
  requestId: 'AAAAAAAAAAAA',
})

let n = 0
/** A session of its own each time, so that none is handed out again. */
const ask = async (
  environment: string,
  scopes: readonly string[],
  { agent = 'orders-coder', session = `s${n++}` } = {},
) => {
  const wish = { environment, scopes, session, reason: 'a test' }
  return broker.call('POST', '/v1/credentials', await broker.agentToken(agent), wish)
}

const entriesOf = async (filter: string) =>
  (await broker.call('GET', `/v1/events?${filter}`, await broker.operatorToken('carol'))).body.items

t.test('two hundred at once at three replicas, and room for twenty', async (t) => {
  const replicas = [replica(), replica(), replica()] as const
  const answers = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const by = replicas[i % 3] ?? replicas[0]
      const answer = await issueCredentials(by, broker.policy.current(), asking(`many-${i}`))
      return answer.outcome === 'refused' ? answer.refusal.code : answer.outcome
    }),
  )
  t.equal(answers.filter((answer) => answer === 'issued').length, 20)
  t.equal(answers.filter((answer) => answer === 'over_limit').length, 180)
  const minted = broker.localAws.calls.filter(({ action }) => action === 'sts:AssumeRole')
  t.equal(minted.length, 20, 'nor was AWS asked for more')
})

t.test('the answer, the record, and what is still possible', async (t) => {
  const refused = await ask('development', ['orders:read'])
  t.match(refused, {
    status: 429,
    body: { code: 'over_limit', Code: 'over_limit', Message: /issuances_per_minute/, message: /Hold on to/ },
  })
  t.equal(refused.headers.get('retry-after'), '10')
  const [entry] = await entriesOf('code=over_limit&limit=1')
  t.match(entry.body, { kind: 'issuance.denied', agent: 'orders-coder', environment: 'development' })

  const path = '/v1/aws/credentials/development/orders:read'
  const sdk = await broker.call('GET', path, await broker.agentToken('orders-coder'))
  t.match(sdk, { status: 429, body: { Code: 'over_limit', Message: /Too fast|too many/ } })
  t.equal(sdk.headers.get('retry-after'), '10', 'an SDK is told as well')

  t.equal((await ask('production', ['orders:read'])).status, 200, 'elsewhere it goes on')
  t.equal(
    (await ask('development', ['reports:read'], { agent: 'report-bot' })).status,
    200,
    'and so do others',
  )
})

t.test('the database refuses where the decision saw room', async (t) => {
  const attempts: unknown[] = []
  const blind: IssueDeps = {
    ...deps,
    loadStanding: async () => ({}),
    onAttempt: (attempt) => void attempts.push(attempt),
  }
  const calls = () => broker.localAws.calls.length
  const before = calls()
  const answer = await issueCredentials(blind, broker.policy.current(), asking('late'))
  t.match(answer, { outcome: 'refused', refusal: { code: 'over_limit', retryAfterSeconds: 10 } })
  t.equal(calls(), before, 'AWS was not asked')
  t.match(attempts, [{ agent: 'orders-coder', environment: 'development', kind: 'over' }], 'and it counts')
})

t.test('what AWS refuses takes no place', async (t) => {
  broker.localAws.faults.fail('access-denied')
  t.match(await ask('sandbox', ['orders:read']), { status: 403, body: { code: 'aws_refused' } })
  const held = { session: 'held' }
  t.equal((await ask('sandbox', ['orders:read'], held)).status, 200)
  t.equal((await ask('sandbox', ['orders:read'])).status, 200)
  t.equal((await ask('sandbox', ['orders:read'])).status, 429)
  const again = await ask('sandbox', ['orders:read'], held)
  t.match(again, { status: 200, body: { delivered_again: true } }, 'a live session is still handed out')
})

t.test('whoami and explain tell', async (t) => {
  const token = await broker.agentToken('orders-coder')
  const me = await broker.call('GET', '/v1/whoami', token)
  const sandbox = me.body.environments.find((one: { environment: string }) => one.environment === 'sandbox')
  t.strictSame(sandbox.limits, {
    issuances_per_minute: { most: 60, left: 57 },
    live_sessions: { most: 2, left: 0 },
    scopes_per_hour: { most: 50, left: 49 },
    denials_per_hour: { most: 5, left: 5 },
  })
  const wish = { environment: 'sandbox', scopes: ['orders:read'] }
  const explained = await broker.call('POST', '/v1/explain', token, wish)
  t.match(explained.body, {
    outcome: 'deny',
    code: 'over_limit',
    retry_after_seconds: 60,
    limits: { live_sessions: { left: 0 } },
  })
})

t.test('denials run out, whatever is asked for', async (t) => {
  for (let i = 0; i < 3; i++) t.equal((await ask('sandbox', [`none:${i}`])).body.code, 'scope_unknown')
  for (let i = 0; i < 2; i++) t.equal((await ask(`made-up-${i}`, ['x'])).body.code, 'environment_unknown')
  t.equal((await ask('sandbox', ['none:9'])).status, 429)
  t.equal(
    (await ask('made-up-9', ['x'])).body.code,
    'environment_unknown',
    'there two of its five are used up',
  )
  const red = await ask('sandbox', ['iam:CreateUser'])
  t.match(
    red,
    { status: 403, body: { code: 'red_line', detail: /iam:CreateUser/ } },
    'a red line is told as one',
  )
})

t.test('too many attempts stop the agent by themselves', async (t) => {
  const stops = async () =>
    (await broker.call('GET', '/v1/stops?state=engaged', await broker.operatorToken('carol'))).body.items
  const wish = (scope: string) => ask('staging', [scope], { agent: 'deploy-bot' })
  const engaged = async () => {
    for (;;) {
      const [stop] = await stops()
      if (stop !== undefined) return stop
    }
  }
  t.match(await wish('rds:delete-db-cluster'), { status: 403, body: { code: 'red_line' } })
  t.strictSame(await stops(), [], 'one is none too many')
  // At once, and once more: a stop is one stop.
  await Promise.all([wish('iam:CreateUser'), wish('iam:CreateUser'), wish('kms:DisableKey')])
  const stop = await engaged()
  t.match(stop, { kind: 'agent', name: 'deploy-bot', automatic: true, approvals_needed: 1, engaged_by: null })
  t.match(stop.reason, /asked for what no agent may ever have/)
  t.match(await wish('releases:read'), { status: 403, body: { code: 'agent_stopped' } })
  t.equal((await ask('production', ['orders:read'])).status, 200, 'nobody else')
  const events = await entriesOf('kind=stop.engaged')
  t.equal(events.length, 1)
  const cause = await broker.database.query<{ cause: string }>(
    "SELECT convert_from(body, 'UTF8')::jsonb->>'cause' AS cause FROM writ.entry WHERE kind = 'stop.engaged'",
  )
  t.match(cause, [{ cause: /^red_line:\d+$/ }])

  await ageStops(broker.sql)
  t.match(await release(broker, stop.id, 'bob'), { status: 200, body: { released: true } }, 'by one person')
  t.equal((await wish('releases:read')).status, 200)
  t.equal((await wish('iam:CreateUser')).status, 403)
  t.strictSame(await stops(), [], 'and its attempts begin anew')

  for (let i = 0; i < 3; i++)
    t.equal((await wish('deploy:promote')).status, 429, 'a second scope, and one is its limit')
  t.match(await engaged(), { name: 'deploy-bot', reason: /went over its limits 3 times/ })
})
