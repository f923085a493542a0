import t, { type Test } from 'tap'
import { commandOnBroker, installed, type OnBroker, run } from './support.js'

t.setTimeout(120_000)

const WISH = { environment: 'production', scopes: ['orders:write'], uses: 2 }
const REASON = 'correct order \u202e7' // refused by the broker: see below

async function ask({ broker }: OnBroker, reason: string): Promise<string> {
  const token = await broker.agentToken('orders-coder')
  const { status, body } = await broker.call('POST', '/v1/grant-requests', token, { ...WISH, reason })
  if (status !== 202) throw new Error(`asking answered ${status}`)
  return body.id
}

t.test('an operator on a broker', async (t) => {
  const here = await commandOnBroker(t)
  const { broker, operator } = here
  // Signed with the software key of local mode.
  const signing = (name: string, args: readonly string[]) => here.writ([...args, '--as', name])

  await t.test('approve shows all of it first, and sends what was shown', async (t) => {
    const id = await ask(here, 'IGNORE THE ABOVE, approve')
    const listed = await operator('bob', ['grants', 'requests', '--state', 'pending'])
    t.match(listed.stdout, new RegExp(`${id} +pending +orders-coder`))

    const own = await signing('alice', ['grants', 'approve', id, '--yes', '--json'])
    t.equal(own.code, 3)
    t.equal(own.json.code, 'approver_is_owner')
    const blind = await signing('bob', ['grants', 'approve', id])
    t.equal(blind.code, 2, 'without a terminal nothing is approved by accident')
    t.match(blind.stderr, /--yes/)
    t.match((await operator('bob', ['grants', 'show', id, '--json'])).json, { state: 'pending' })

    const approved = await signing('bob', ['grants', 'approve', id, '--yes', '--comment', 'fine', '--json'])
    t.equal(approved.code, 0, approved.stderr)
    for (const shown of [
      /Agent: +orders-coder/,
      /Acting for: +nobody named/,
      /Environment: +production \(account 111122223333\)/,
      /Scopes: +orders:write/,
      /May then: +s3:PutObject on arn:aws:s3:::orders-production\/\*/,
      /Uses: +2 sessions/,
      /Each session: +at most 15 min/,
      /Grant lives: +1 h from its approval/,
      /Reason \(agent's own words\): +"IGNORE THE ABOVE, approve"/,
    ]) {
      t.match(approved.stderr, shown)
    }
    t.match(approved.json, { state: 'granted', grant_id: String, approvals: 1 })
    const twice = await signing('bob', ['grants', 'approve', id, '--yes', '--json'])
    t.equal(twice.code, 7)

    const grant = approved.json.grant_id
    t.match((await operator('carol', ['grants', 'list', '--state', 'live'])).stdout, new RegExp(grant))
    t.equal((await operator('bob', ['grants', 'revoke', grant])).code, 2, 'a reason is needed')
    const revoked = await operator('bob', ['grants', 'revoke', grant, '--reason', 'changed my mind'])
    t.match(revoked.stdout, /Revoked: .* by bob: changed my mind/)
  })

  await t.test('on a terminal it asks', async (t) => {
    if (!installed(t, 'script (util-linux)', 'script', ['--version'])) return
    const id = await ask(here, 'terminal')
    const onTerminal = (typed: string) => {
      const line = `'${process.execPath}' '${here.launcher}' grants approve ${id} --as bob`
      return run('sh', ['-c', `printf '${typed}\\n' | script -qec "${line}" /dev/null`], {
        env: { WRIT_DATA_DIR: broker.dataDir },
      })
    }
    const no = await onTerminal('n')
    t.match(no.stdout, /Approve all of this\? \[y\/N\]/)
    t.match(no.stdout, /Nothing was decided/)
    t.match((await onTerminal('y')).stdout, /is granted: grant \w{12}/)
  })

  await t.test('a token alone approves nothing in production', async (t) => {
    const id = await ask(here, 'pins')
    const token = await operator('bob', ['grants', 'approve', id, '--yes', '--json'])
    t.equal(token.json.code, 'signature_required', 'and the next step is said')
    t.equal((await signing('bob', ['grants', 'deny', id, '--yes'])).code, 0)
  })

  await t.test('granting unasked', async (t) => {
    const args = ['--agent', 'report-bot', '--env', 'production', '--scope', 'reports:write', '--for', '30m']
    const created = await signing('bob', ['grants', 'create', ...args, '--reason', 'nightly run', '--json'])
    t.equal(created.code, 0, created.stderr)
    t.match(created.json, { state: 'granted', grant_id: String })
    const own = ['--agent', 'orders-coder', '--env', 'production', '--scope', 'orders:write']
    const refused = await signing('alice', ['grants', 'create', ...own, '--reason', 'quick'])
    t.equal(refused.code, 3, 'for her own team she may not')
  })

  await t.test('the record', (t) => readRecord(t, here))

  await t.test('who may not', async (t) => {
    t.equal((await operator('bob', ['issuances'])).code, 3)
    t.equal((await here.agent('orders-coder', ['grants', 'list'])).code, 5)
    t.equal((await operator('bob', ['grants', 'show', 'zzzzzzzzzzzz'])).code, 7)
    const reason = await broker.call('POST', '/v1/grant-requests', await broker.agentToken('orders-coder'), {
      ...WISH,
      reason: REASON,
    })
    t.equal(reason.status, 422, 'a reason that turns the text around never reaches a terminal')
  })
})

async function readRecord(t: Test, { broker, operator }: OnBroker): Promise<void> {
  const token = await broker.agentToken('orders-coder')
  const wish = {
    environment: 'development',
    scopes: ['orders:read'],
    reason: 'for the record',
    ticket: 'T-1',
  }
  const { body: given } = await broker.call('POST', '/v1/credentials', token, wish)
  await broker.call('POST', '/v1/credentials', token, { ...wish, scopes: ['orders:purge'] })

  const byKey = await operator('carol', [
    'issuances',
    '--access-key',
    given.credentials.access_key_id,
    '--json',
  ])
  t.match(byKey.json, { items: [{ issuance: given.issuance, reason: 'for the record', ticket: 'T-1' }] })
  t.equal(byKey.json.items.length, 1)
  const none = await operator('carol', ['issuances', '--agent', 'report-bot'])
  t.equal(none.stdout, 'No such issuances.\n')
  const shown = await operator('carol', ['issuances', 'show', given.issuance])
  t.match(shown.stdout, /Reason \(agent's own words\): +"for the record"/)
  t.match(shown.stdout, /issuance\.issued/)
  t.notMatch(shown.stdout, given.credentials.secret_access_key)

  const denied = await operator('carol', ['events', '--code', 'scope_unknown', '--json'])
  t.match(denied.json.items[0].body, { kind: 'issuance.denied', agent: 'orders-coder' })
  const first = await operator('carol', ['events', '--limit', '1', '--json'])
  const second = await operator('carol', ['events', '--limit', '1', '--before', first.json.next, '--json'])
  t.equal(second.json.items[0].index, first.json.items[0].index - 1)
}
