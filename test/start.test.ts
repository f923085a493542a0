import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { packageRoot } from '../server/paths.js'
import { startTestBroker } from './support/broker.js'
import { testDatabase } from './support/postgres.js'

/** Runs `writ serve` as a process; it must end by itself. */
async function serve(t: Test, environment: Record<string, string>) {
  const child = spawn(process.execPath, [join(packageRoot(), 'bin', 'writ.js'), 'serve'], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let stderr = ''
  let stdout = ''
  child.stderr.on('data', (chunk) => (stderr += chunk))
  child.stdout.on('data', (chunk) => (stdout += chunk))
  const [code] = await once(child, 'close')
  return { code, stderr, stdout }
}

t.test('a start that cannot succeed says why in one sentence and fails', async (t) => {
  const policies = t.testdir()
  await cp(join(packageRoot(), 'policies'), policies, { recursive: true })
  await writeFile(
    join(policies, 'scopes', 'everything.yaml'),
    'scope: everything\ndescribe: All\nallow:\n  - actions: ["s3:*"]\n    resources: ["arn:aws:s3:::orders-{environment}/*"]\n',
  )
  const sql = await testDatabase(t)
  const base = {
    WRIT_MODE: 'production',
    WRIT_PORT: '0',
    WRIT_LOG_LEVEL: 'silent',
    WRIT_PUBLIC_URL: 'https://writ.example.com',
    DATABASE_URL: sql.brokerUrl,
  }

  const wrong = await serve(t, { WRIT_PORT: 'x' })
  t.match(wrong, { code: 1, stderr: /^[^\n]*WRIT_PORT[^\n]*\n$/ })
  const dead = await serve(t, {
    ...base,
    WRIT_POLICIES: policies,
    DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/writ',
  })
  t.match(dead, { code: 1, stderr: /^[^\n]*database[^\n]*\n$/i })
  t.notMatch(dead.stderr + dead.stdout, /hunter2/)
  const broken = await serve(t, { ...base, WRIT_POLICIES: policies })
  t.match(broken, { code: 1, stderr: /everything\.yaml:\d+:\d+.*s3:/ })
  const superuser = await serve(t, { ...base, DATABASE_URL: sql.superuserUrl, WRIT_POLICIES: policies })
  t.match(superuser, { code: 1, stderr: /superuser/ })
  const owner = await serve(t, { ...base, DATABASE_URL: sql.ownerUrl, WRIT_POLICIES: policies })
  t.match(owner, { code: 1, stderr: /own/ }, 'a login that may rewrite the record does not serve')
  const empty = await testDatabase(t, { migrated: false })
  const unmigrated = await serve(t, { ...base, DATABASE_URL: empty.brokerUrl, WRIT_POLICIES: policies })
  t.match(unmigrated, { code: 1, stderr: /writ migrate/ })
  const local = await serve(t, { ...base, WRIT_POLICIES: join(packageRoot(), 'policies') })
  t.match(local, { code: 1, stderr: /local\.writ\.invalid/ }, 'production does not trust the local issuer')
})

t.test('a role that changes its purpose keeps a policy out', async (t) => {
  const policies = t.testdir()
  await cp(join(packageRoot(), 'policies'), policies, { recursive: true })
  const broker = await startTestBroker(t, { policies })
  const { digest } = broker.policy.state()
  // The production account's write role named as a read role: the catalog remembers what it is.
  const { readFile } = await import('node:fs/promises')
  const file = join(policies, 'agents', 'orders-coder.yaml')
  const text = await readFile(file, 'utf8')
  await writeFile(
    file,
    text
      .replaceAll('role/writ/orders-coder-read', 'role/writ/TEMP')
      .replaceAll('role/writ/orders-coder-write', 'role/writ/orders-coder-read')
      .replaceAll('role/writ/TEMP', 'role/writ/orders-coder-write'),
  )
  const state = await broker.policy.reload()
  t.equal(state.digest, digest)
  t.match(state.lastProblem?.problems[0]?.message, /is in the catalog as/)
})

t.test('two brokers, one grant of one use', async (t) => {
  const one = await startTestBroker(t)
  const two = await startTestBroker(t, { sql: one.sql })
  const wish = { environment: 'production', scopes: ['orders:write'], reason: 'a test' }
  await one.grant('bob', { ...wish, agent: 'orders-coder' })
  const tokens = await Promise.all([one.agentToken('orders-coder'), two.agentToken('orders-coder')])
  const answers = await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      [one, two][i % 2]?.call('POST', '/v1/credentials', tokens[i % 2], { ...wish, session: `s${i}` }),
    ),
  )
  t.equal(answers.filter((answer) => answer?.status === 200).length, 1)
  t.equal(answers.filter((answer) => answer?.body.code === 'grant_used_up').length, 29)
})
