import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { commandOnBroker, type OnBroker, run } from './support.js'

t.setTimeout(120_000)

const AGENT = 'orders-coder'
const READ = ['--env', 'development', '--scope', 'orders:read']
const WRITE = ['--env', 'production', '--scope', 'orders:write']

/** bob approves what is pending, as soon as there is something. */
async function approvePending({ broker }: OnBroker): Promise<void> {
  const bob = await broker.operatorToken('bob')
  for (;;) {
    const { body } = await broker.call('GET', '/v1/grant-requests?state=pending', bob)
    const [pending] = body.items
    if (pending === undefined) continue
    const { status } = await broker.decide(pending.id, 'bob')
    if (status !== 200) throw new Error(`approval answered ${status}`)
    return
  }
}

t.test('an agent on a broker', async (t) => {
  const here = await commandOnBroker(t)
  const { writ, agent, operator, broker, folder } = here

  await t.test('whoami and explain', async (t) => {
    const me = await writ(['whoami', '--as', AGENT, '--json'])
    t.equal(me.code, 0, me.stderr)
    t.match(me.json, { agent: 'orders-coder', identity: { subject: 'agent:orders-coder' } })
    const human = await agent(AGENT, ['whoami'])
    t.match(human.stdout, /production .* orders:write +with a grant/)
    t.match(human.stdout, /production +60 of 60 +100 of 100 +50 of 50 +120 of 120 +-/, 'what is left')
    t.equal((await agent(AGENT, ['explain', ...READ])).code, 0)
    const needs = await agent(AGENT, ['explain', ...WRITE])
    t.equal(needs.code, 4)
    t.match(needs.stdout, /writ request --env production --scope orders:write/)
  })

  await t.test('credentials as lines for sh, which mean what they say', async (t) => {
    const given = await agent(AGENT, ['credentials', ...READ, '--reason', "it's for a test; `date` $HOME"])
    t.equal(given.code, 0, given.stderr)
    const env = join(folder, 'env.sh')
    writeFileSync(env, given.stdout)
    const print = 'printenv AWS_PROFILE || echo none $AWS_ACCESS_KEY_ID $AWS_REGION $AWS_ENDPOINT_URL'
    const shell = await run('sh', ['-eu', '-c', `. ${env}; ${print}`], { env: { AWS_PROFILE: 'mine' } })
    t.match(shell.stdout, new RegExp(`^none ASIA\\w{16} eu-west-1 ${broker.localAws.url}\n$`))
    t.match(given.stderr, /this machine only/, 'local mode says so')
    const again = await agent(AGENT, ['credentials', ...READ, '--reason', 'x', '--json'])
    t.match(again.json, { delivered_again: true, credentials: { access_key_id: /^ASIA/ } })
  })

  await t.test('refusals by exit code', async (t) => {
    const asked = (...args: string[]) => agent(AGENT, ['credentials', '--reason', 'test', '--json', ...args])
    const denied = await asked('--env', 'production', '--scope', 'orders:purge')
    t.equal(denied.code, 3)
    t.match(denied.json, { status: 403, code: 'scope_unknown', next: String, request: String })
    const needs = await asked(...WRITE)
    t.equal(needs.code, 4)
    t.match(needs.json, { code: 'grant_required', grant_request: { scopes: ['orders:write'] } })
    const invalid = await asked('--env', 'Production!', '--scope', 'orders:read')
    t.equal(invalid.code, 7)
    const stranger = { WRIT_TOKEN: `${await broker.operatorToken('bob')}` }
    const wrongSide = await writ(['whoami', '--json'], { env: stranger })
    t.equal(wrongSide.code, 5, "an operator's token opens no agent's route")
    t.notMatch(wrongSide.stdout, stranger.WRIT_TOKEN.slice(-20))
  })

  await t.test('a refusal says how to ask, in words that a shell takes', async (t) => {
    const refused = await agent(AGENT, ['credentials', ...WRITE, '--reason', "order 7's address"])
    const line = /Ask for it: writ (.*) --wait/.exec(refused.stderr)?.[1] ?? ''
    const ask = `exec '${process.execPath}' '${here.launcher}' ${line} --as orders-coder --json`
    const asked = await run('sh', ['-c', ask], { env: { WRIT_DATA_DIR: broker.dataDir } })
    t.equal(asked.code, 0, asked.stderr)
    t.match(asked.json, { state: 'pending', reason: "order 7's address", scopes: ['orders:write'] })
    const withdrawn = await agent(AGENT, ['request', 'withdraw', asked.json.id, '--json'])
    t.equal(withdrawn.json.state, 'withdrawn')
    const gone = await agent(AGENT, ['request', 'withdraw', asked.json.id])
    t.equal(gone.code, 7)
    const status = await agent('report-bot', ['request', 'status', asked.json.id])
    t.equal(status.code, 7, "another agent's request does not exist")
  })

  await t.test('credentials --wait asks, waits and gets them', async (t) => {
    const approved = approvePending(here)
    const given = await agent(AGENT, ['credentials', ...WRITE, '--reason', 'wait for it', '--wait', '--json'])
    await approved
    t.equal(given.code, 0, given.stderr)
    t.match(given.json, { environment: 'production', grant: String, scopes: ['orders:write'] })
    t.match(given.stderr, /writ approve \w{12}/)
  })

  await t.test('request --wait ends with the decision', async (t) => {
    const promote = ['--env', 'staging', '--scope', 'deploy:promote']
    const waiting = agent('deploy-bot', ['request', ...promote, '--reason', 'release 12', '--wait', '--json'])
    const bob = await broker.operatorToken('bob')
    let id = ''
    while (id === '') {
      const { body } = await broker.call('GET', '/v1/grant-requests?state=pending', bob)
      id = body.items[0]?.id ?? ''
    }
    t.equal((await operator('bob', ['grants', 'deny', id, '--yes', '--comment', 'not today'])).code, 0)
    const denied = await waiting
    t.equal(denied.code, 4)
    t.match(denied.json, { code: 'grant_request_denied', detail: /denied by bob: not today/ })
  })
})
