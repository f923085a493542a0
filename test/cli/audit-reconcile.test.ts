import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { packageRoot } from '../../server/paths.js'
import {
  boundPolicy,
  call,
  identity,
  intendedItem,
  issuanceItem,
  type Json,
  mint,
  OTHER,
} from '../audit/reconcile/fixtures.js'
import { command, commandOnBroker } from './support.js'

t.setTimeout(120_000)

const EXAMPLES = join(packageRoot(), 'policies')
const UNKNOWN = identity({ key: 'ASIAEXAMPLE0000000FF', session: 'jane', sourceIdentity: undefined })

interface Here {
  readonly reconcile: (...args: string[]) => ReturnType<ReturnType<typeof command>['writ']>
  readonly trail: string
  /** Leaves a file of logs as CloudTrail delivers it. */
  readonly deliver: (name: string, records: readonly Json[]) => string
}

function offline(t: Test, items: readonly Json[] = [issuanceItem()]): Here {
  const { folder, writ } = command(t)
  const issuances = join(folder, 'issuances.ndjson')
  writeFileSync(issuances, items.map((item) => `${JSON.stringify(item)}\n`).join(''))
  const trail = join(folder, 'AWSLogs')
  mkdirSync(trail)
  return {
    trail,
    reconcile: (...args) =>
      writ(['audit', 'reconcile', ...args, '--issuances', issuances, '--policies', EXAMPLES]),
    deliver: (name, records) => {
      const path = join(trail, name)
      writeFileSync(path, gzipSync(JSON.stringify({ Records: records })))
      return path
    },
  }
}

t.test('exit codes', async (t) => {
  const { reconcile, deliver, trail } = offline(t)
  deliver('111122223333_CloudTrail_eu-west-1_20261125T1005Z_a.json.gz', [mint(), call()])
  const clean = await reconcile(trail)
  t.equal(clean.code, 0, clean.stderr)
  t.match(clean.stdout, /^CLEAN/)
  t.match(clean.stdout, /0a1b2c3d4e5f {2}used .* s3:GetObject 1/)

  const alarm = deliver('111122223333_CloudTrail_eu-west-1_20261125T1010Z_b.json.gz', [
    call(),
    call({ userIdentity: UNKNOWN }),
  ])
  const found = await reconcile(trail, '--json')
  t.equal(found.code, 8)
  t.match(found.json, {
    verdict: 'alarm',
    files: 2,
    findings: [{ kind: 'unrecorded_call', session: 'jane', examples: [{ file: alarm, record: 2 }] }],
  })
  const human = await reconcile(trail)
  t.match(human.stdout, /^ALARM/)
  t.match(human.stdout, /\[unrecorded_call\]/)
  t.notMatch(human.stdout + found.stdout, /EXAMPLETOKEN/, 'no session token of the log is repeated')

  writeFileSync(join(trail, 'c.json'), '{"Records":[{"eventID":1}]}')
  t.equal((await reconcile(trail)).code, 8, 'an alarm is said before what could not be read')
})

t.test('what cannot be read is never a pass', async (t) => {
  const { reconcile, deliver, trail } = offline(t)
  deliver('a.json.gz', [mint(), call()])
  for (const [name, text] of [
    ['broken.json', '{"Records":['],
    ['odd.json', '{"Records":[{"eventVersion":"1.11"}]}'],
  ] as const) {
    const path = join(trail, name)
    writeFileSync(path, text)
    const ran = await reconcile(trail)
    t.equal(ran.code, 1, name)
    t.match(ran.stdout, /^NO VERDICT/)
    t.ok(ran.stdout.includes(`${path}, record 1: `), 'file and record are named')
    writeFileSync(path, '{"Records":[]}')
  }
  t.equal((await reconcile(join(trail, 'nothing.json.gz'))).code, 1, 'no such file')
  const empty = join(trail, 'empty')
  mkdirSync(empty)
  t.equal((await reconcile(empty)).code, 1, 'no logs in the folder')
})

t.test('the period, further roles, the network', async (t) => {
  const bound = intendedItem({ session_policy: boundPolicy('203.0.113.7/32') })
  const { reconcile, deliver } = offline(t, [issuanceItem(), bound])
  const retired = 'arn:aws:iam::111122223333:role/writ/retired,old'
  const path = deliver('a.json.gz', [
    call(),
    call({
      userIdentity: identity({
        key: 'ASIAEXAMPLE0000000FF',
        session: OTHER,
        role: retired,
        sourceIdentity: '',
      }),
    }),
  ])
  t.equal((await reconcile(path)).code, 0, 'a role that is nobody’s')
  t.equal((await reconcile(path, '--role', retired)).code, 8)
  t.equal(
    (await reconcile(path, '--role', retired, '--until', '2026-11-25')).code,
    1,
    'nothing left to judge',
  )
  t.equal((await reconcile(path, '--role', retired, '--since', '2026-11-25T10:00:00Z')).code, 8)
  t.equal((await reconcile(path, '--role', 'orders-coder-read')).code, 2)
  t.equal((await reconcile(path, '--since', 'yesterday')).code, 2)
  const outside = deliver('b.json.gz', [call({ sourceIPAddress: '198.51.100.9' })])
  t.match((await reconcile(outside, '--json')).json, { findings: [{ kind: 'other_network' }] })
})

t.test('the record has to be whole', async (t) => {
  const line = offline(t, [issuanceItem(), issuanceItem({ issuance: OTHER, state: 'odd' })])
  const path = line.deliver('a.json.gz', [call()])
  const wrong = await line.reconcile(path)
  t.equal(wrong.code, 1)
  t.match(wrong.stderr, /issuances\.ndjson, line 2: it is not an issuance: state/)
  const twice = offline(t, [issuanceItem(), issuanceItem({ issuance: OTHER })])
  const same = await twice.reconcile(twice.deliver('a.json.gz', [call()]))
  t.equal(same.code, 1)
  t.match(same.stderr, /the same access key/)
  const changed = offline(t, [issuanceItem(), issuanceItem({ agent: 'report-bot' })])
  t.match((await changed.reconcile(changed.deliver('a.json.gz', [call()]))).stderr, /twice, and differently/)
})

t.test('whose roles they are has to be said', async (t) => {
  const { writ } = command(t)
  const ran = await writ(['audit', 'reconcile', 'x.json', '--issuances', 'y.ndjson'])
  t.equal(ran.code, 2)
  t.match(ran.stderr, /--policies/)
})

t.test('issuances from the broker', async (t) => {
  const { operator, broker, folder } = await commandOnBroker(t)
  const token = await broker.agentToken('orders-coder')
  const wish = { environment: 'production', scopes: ['orders:read'], reason: 'order 7' }
  const { body } = await broker.call('POST', '/v1/credentials', token, wish)
  const parts = { key: body.credentials.access_key_id, session: body.issuance, role: body.role }
  const eventTime = `${new Date().toISOString().slice(0, 19)}Z`
  const path = join(folder, 'a.json')
  const log = (...records: Json[]) => writeFileSync(path, JSON.stringify({ Records: records }))

  log(mint({ ...parts, at: eventTime }), call({ userIdentity: identity(parts), eventTime }))
  const clean = await operator('carol', ['audit', 'reconcile', path, '--json'])
  t.equal(clean.code, 0, clean.stdout + clean.stderr)
  t.match(clean.json.issuances, [{ issuance: body.issuance, use: 'used', calls: 1, mint_seen: true }])
  t.match(clean.json.suggestions, [
    {
      agent: 'orders-coder',
      scopes_never_requested: ['orders:write'],
      actions_never_used: { 'orders:read': ['s3:ListBucket'] },
    },
  ])

  const end = new Date(Date.parse(body.credentials.expires_at) + 300_000).toISOString()
  log(call({ userIdentity: identity(parts), eventTime: `${end.slice(0, 19)}Z` }))
  const late = await operator('carol', ['audit', 'reconcile', path, '--json'])
  t.equal(late.code, 8)
  t.match(late.json.findings, [{ kind: 'after_end', issuance: body.issuance }])

  t.equal((await operator('bob', ['audit', 'reconcile', path])).code, 3, 'the record is for security')
})

t.test('what a stopped agent did afterwards', async (t) => {
  const { operator, broker, folder } = await commandOnBroker(t)
  const token = await broker.agentToken('orders-coder')
  const wish = { environment: 'production', scopes: ['orders:read'], reason: 'order 7' }
  const { body } = await broker.call('POST', '/v1/credentials', token, wish)
  const parts = { key: body.credentials.access_key_id, session: body.issuance, role: body.role }
  const stopped = await operator('carol', ['stop', 'agent', 'orders-coder', '--reason', 'deletes', '--json'])
  t.equal(stopped.code, 0, stopped.stderr)
  t.equal(stopped.json.sessions.state, 'written', 'local AWS has the Deny')

  const path = join(folder, 'a.json')
  const after = async (seconds: number, change: Json = {}) => {
    const eventTime = `${new Date(Date.now() + seconds * 1000).toISOString().slice(0, 19)}Z`
    writeFileSync(
      path,
      JSON.stringify({ Records: [call({ userIdentity: identity(parts), eventTime, ...change })] }),
    )
    const ran = await operator('carol', ['audit', 'reconcile', path, '--json'])
    return [ran.code, ran.json.findings.map(({ kind }: { kind: string }) => kind)]
  }
  t.strictSame(await after(5), [0, ['after_stop']])
  t.strictSame(await after(300, { errorCode: 'AccessDenied' }), [0, ['refused_after_stop']])
  t.strictSame(await after(300), [8, ['after_deny']])
  const told = await operator('carol', ['audit', 'reconcile', path])
  t.match(told.stdout, /\[after_deny\]/)
  t.match(told.stdout, /CALLS {2}DENIED {2}AFTER STOP[\s\S]* 1 +0 +1 /)
})
