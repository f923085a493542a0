import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../server/paths.js'
import { command, run } from './support.js'

t.setTimeout(120_000)

const EXAMPLES = join(packageRoot(), 'policies')

t.test('policy lint', async (t) => {
  const { writ, folder } = command(t)
  const sound = await writ(['policy', 'lint', EXAMPLES, '--json'])
  t.equal(sound.code, 0)
  t.match(sound.json, { ok: true, digest: /^sha256:[0-9a-f]{64}$/, agents: 5, problems: [] })

  const broken = join(folder, 'broken')
  cpSync(EXAMPLES, broken, { recursive: true })
  const file = join(broken, 'scopes/orders-write.yaml')
  writeFileSync(file, readFileSync(file, 'utf8').replace('[s3:PutObject]', '[s3:PutObjekt]'))
  const human = await writ(['policy', 'lint', broken])
  t.equal(human.code, 1)
  t.equal(human.stdout, '')
  t.match(human.stderr, /scopes\/orders-write\.yaml:\d+:\d+ .*s3:PutObject.*\[action_unknown\]/)
  const machine = await writ(['policy', 'lint', broken, '--json'])
  t.equal(machine.code, 1)
  t.match(machine.json, { code: 'policy_invalid', problems: [{ file: /orders-write/, line: Number }] })
})

t.test('policy digest, schema and roles', async (t) => {
  const { writ } = command(t)
  const digest = await writ(['policy', 'digest', EXAMPLES])
  t.match(digest.stdout, /^sha256:[0-9a-f]{64}\n$/)
  const schema = await writ(['policy', 'schema'])
  t.match(schema.json, { $schema: String, oneOf: Array })

  const broker = ['--broker', 'arn:aws:iam::999900001111:role/writ']
  const roles = await writ([
    'policy',
    'roles',
    EXAMPLES,
    ...broker,
    '--env',
    'production',
    '--agent',
    'report-bot',
  ])
  t.equal(roles.code, 0)
  t.strictSame(
    roles.json.map((role: { arn: string }) => role.arn),
    ['read', 'write'].map((kind) => `arn:aws:iam::111122223333:role/writ/report-bot-${kind}`),
  )
  t.match(JSON.stringify(roles.json[1].trustPolicy), /"aws:RequestTag\/writ:grant":"false"/)
  t.equal((await writ(['policy', 'roles', EXAMPLES, '--broker', 'me'])).code, 2)
  t.equal((await writ(['policy', 'roles', EXAMPLES, ...broker, '--agent', 'nobody'])).code, 2)
})

t.test('explain --offline: the exit code is the decision', async (t) => {
  const { writ } = command(t)
  const explain = (environment: string, scope: string, ...more: string[]) =>
    writ(['explain', '--offline', '--env', environment, '--scope', scope, '--json', ...more])
  const agent = ['--agent', 'orders-coder']

  const allowed = await explain('development', 'orders:read,orders:write', ...agent, '--ttl', '10m')
  t.equal(allowed.code, 0)
  t.match(allowed.json, { outcome: 'allow', duration_seconds: 600, role: /orders-coder-write$/ })
  const needs = await explain('production', 'orders:write', ...agent)
  t.equal(needs.code, 4)
  t.match(needs.json, { outcome: 'needs-grant', code: 'grant_required', approvals_needed: 1 })
  const denied = await explain('production', 'orders:purge', ...agent)
  t.equal(denied.code, 3)
  t.equal(denied.json.outcome, 'deny')
  t.equal((await explain('production', 'orders:read')).code, 2, 'needs --agent')
})

t.test('dev token', async (t) => {
  const { writ, folder } = command(t)
  const dataDir = join(folder, 'data')
  const token = async (...args: string[]) => writ(['dev', 'token', '--data-dir', dataDir, ...args])
  const claimsOf = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())

  const agent = claimsOf((await token('--agent', 'orders-coder', '--ttl', '5m', '--claim', 'run=7')).stdout)
  t.match(agent, { sub: 'agent:orders-coder', aud: 'https://writ.localhost', run: '7' })
  t.equal(agent.exp - agent.iat, 300)
  t.notOk('auth_time' in agent, 'an agent has not signed in')
  const operator = claimsOf((await token('--operator', 'bob')).stdout)
  t.match(operator, { sub: 'operator:bob', aud: 'https://writ.localhost/operators' })
  t.ok(Math.abs(operator.auth_time - operator.iat) <= 1, 'an operator has, just now')

  const file = join(folder, 'token')
  const elsewhere = join(folder, 'elsewhere')
  writeFileSync(elsewhere, 'untouched', { mode: 0o666 })
  symlinkSync(elsewhere, file)
  const written = await token('--agent', 'orders-coder', '--write', file)
  t.equal(written.code, 0)
  const text = readFileSync(file, 'utf8')
  t.match(text, /^[\w-]+\.[\w-]+\.[\w-]+$/)
  t.notMatch(text, /\s$/, 'a newline makes the AWS SDK for JavaScript send no token')
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(readFileSync(elsewhere, 'utf8'), 'untouched', 'a link is replaced, not followed')
  t.notMatch(written.stdout + written.stderr, text.slice(0, 20), 'a token written is not printed')

  t.equal((await token('--agent', 'nobody')).code, 7)
  t.equal((await token()).code, 2)
  t.equal((await token('--operator', 'bob', '--human', 'jane')).code, 2, 'no claim for a human here')
})

t.test('dev token: values that the matchers accept, and no other issuer', async (t) => {
  const { writ, folder } = command(t)
  const policies = join(folder, 'policies')
  cpSync(EXAMPLES, policies, { recursive: true })
  const agent = join(policies, 'agents/report-bot.yaml')
  writeFileSync(
    agent,
    readFileSync(agent, 'utf8').replace(
      'claims: { sub: "agent:report-bot" }',
      'claims: { sub: { prefix: "bot:" }, kind: { in: [cron, batch] } }',
    ),
  )
  const issuer = join(policies, 'issuers/local-agents.yaml')
  const lines = readFileSync(issuer, 'utf8').replace(/^human:.*\n/m, '')
  writeFileSync(issuer, `${lines}human: { claim: act_for, how: issuer-asserted }\n`)
  const made = await writ([
    ...['dev', 'token', '--agent', 'report-bot', '--policies', policies, '--data-dir', join(folder, 'd')],
    ...['--human', 'jane@example.com'],
  ])
  t.equal(made.code, 0, made.stderr)
  const claims = JSON.parse(Buffer.from(made.stdout.split('.')[1] ?? '', 'base64url').toString())
  t.match(claims, { sub: 'bot:report-bot', kind: 'batch', act_for: 'jane@example.com' })
})

t.test('a wrong command line', async (t) => {
  const { writ } = command(t)
  const unknown = await writ(['grant'])
  t.equal(unknown.code, 2)
  t.match(unknown.stderr, /^writ: unknown command 'grant'/)
  t.match(unknown.stderr, /grants/, 'what was meant')
  const json = await writ(['credentials', '--json', '--env', 'development'])
  t.equal(json.code, 2)
  t.match(json.json, { code: 'usage', detail: /--scope/ })
  t.equal((await writ(['credentials', '--ttl', '1 hour'])).code, 2)
  const bare = await writ([])
  t.equal(bare.code, 2)
  t.match(bare.stderr, /Usage: writ/)
  const help = await writ(['help'])
  t.equal(help.code, 0)
  t.match(help.stdout, /Exit codes:/)
})

t.test('config and serve say what is wrong in one sentence', async (t) => {
  const { writ } = command(t)
  const production = {
    DATABASE_URL: 'postgres://writ_broker_login:hunter2@127.0.0.1:1/writ',
    WRIT_POLICIES: EXAMPLES,
    WRIT_PUBLIC_URL: 'https://writ.example.com',
  }
  const config = await writ(['config', '--json'], { env: production })
  t.equal(config.code, 0)
  t.match(config.json, { mode: 'production', databaseUrl: /writ_broker_login:\*\*\*@/ })
  t.notMatch(config.stdout, 'hunter2')
  const serve = await writ(['serve'], { env: { WRIT_PORT: 'eighty' } })
  t.equal(serve.code, 1)
  t.match(serve.stderr, /^writ: WRIT_PORT is wrong: [^\n]+\n$/)
  const migrate = await writ(['migrate'], { env: production })
  t.equal(migrate.code, 1)
  t.match(migrate.stderr, /^writ: WRIT_MIGRATE_DATABASE_URL is missing/)
})

t.test('bin/writ.js without a build', async (t) => {
  const { folder } = command(t)
  mkdirSync(join(folder, 'bin'))
  cpSync(join(packageRoot(), 'bin/writ.js'), join(folder, 'bin/writ.js'))
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  const ran = await run(process.execPath, [join(folder, 'bin/writ.js'), 'help'])
  t.equal(ran.code, 1)
  t.equal(ran.stderr, 'writ: it is not built yet; run `npm run build` first.\n')
})
