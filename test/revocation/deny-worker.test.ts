import t from 'tap'
import { createIam } from '../../server/aws/iam.js'
import { DENY_POLICY } from '../../server/revocation/deny-document.js'
import { denyStore } from '../../server/revocation/deny-store.js'
import type { Iam } from '../../server/types-aws.js'
import { BROKER, role } from '../local-aws/support.js'
import { READ_ROLE } from '../support/items.js'
import { asOwner, check, type Stage, stage } from './support.js'

const loseLease = (all: Stage) => asOwner(all, `UPDATE writ.deny_role SET until = '-infinity'`)

t.test('two replicas at once lose nothing', async (t) => {
  const all = await stage(t)
  const { worker, ask } = all
  const workers = [worker('one'), worker('two')]
  const asked = Array.from({ length: 40 }, (_, n) => `agent-${n}`)
  await Promise.all(
    asked.map(async (agent, n) => {
      await ask('agent', agent)
      workers[n % 2]?.kick()
    }),
  )
  await Promise.all(workers.map((one) => one.idle()))
  // One saw the other at work on it.
  await Promise.all(workers.map((one) => one.idle()))
  const said = JSON.stringify(await all.denies())
  t.strictSame(
    asked.filter((agent) => !said.includes(`"${agent}"`)),
    [],
  )
  t.ok((await all.kills()).every(({ written }) => written))
})

t.test('a paused writer puts an old document over a new one', async (t) => {
  const all = await stage(t)
  const { worker, ask, aws } = all
  await ask('agent', 'a')
  const held = aws.faults.hold('before', 'PutRolePolicy')
  const paused = worker('paused')
  paused.kick()
  await held.caught
  await loseLease(all)
  await ask('agent', 'b')
  const awake = worker('awake')
  await awake.idle()
  t.match(await all.kills(), [{ written: true }, { written: true }])
  held.release()
  await paused.idle()
  await awake.idle()
  const both = /"aws:PrincipalTag\/writ:agent":(\["a","b"\]|.*"b")/
  t.match(JSON.stringify(await all.denies()), both, 'it noticed by itself')
  t.match(await all.kills(), [{ written: true }, { written: true }])
  t.match(await all.entries('deny.failed'), [{ code: 'deny_drifted', role_arn: READ_ROLE, unwritten: 2 }])
})

t.test('asked to reach further while it is being written', async (t) => {
  const all = await stage(t)
  const { worker, ask, aws } = all
  const further = new Date(Date.now() + 120_000)
  await ask('agent', 'a')
  const held = aws.faults.hold('after', 'PutRolePolicy')
  const one = worker()
  one.kick()
  await held.caught
  await ask('agent', 'a', further)
  held.release()
  await one.idle()
  const cutoff = new Date(Math.ceil(further.getTime() / 1000) * 1000).toISOString().replace('.000', '')
  t.match(JSON.stringify(await all.denies()), cutoff)
  t.match(await all.kills(), [{ written: true }])
  t.equal((await all.entries('deny.written')).length, 1, 'what was written first was not what was asked for')
})

t.test('what IAM does not give back is not called written', async (t) => {
  const all = await stage(t)
  const { worker, ask } = all
  await ask('agent', 'a')
  await worker('one', {}, { ...all.iam, putInlinePolicy: async () => undefined }).idle()
  t.match(await all.kills(), [{ written: false }])
  t.match(await asOwner(all, 'SELECT last_error FROM writ.deny_role'), [{ last_error: 'deny_unconfirmed' }])
  t.strictSame(await all.entries('deny.written'), [])
})

t.test('what somebody takes away is found, told and written again', async (t) => {
  const all = await stage(t)
  const { worker, ask, iam, denies } = all
  await ask('agent', 'a')
  const one = worker()
  await one.idle()
  const due = await asOwner(all, 'SELECT check_at - checked_at AS after FROM writ.deny_role')
  t.match(JSON.stringify(due), /"seconds":5/)
  await check(all)
  await one.idle()
  t.match(await asOwner(all, 'SELECT checks FROM writ.deny_role'), [{ checks: 1 }])
  await iam.deleteInlinePolicy(READ_ROLE, DENY_POLICY)
  await check(all)
  await one.idle()
  t.ok(await denies())
  t.match(await all.entries('deny.failed'), [{ code: 'deny_drifted', agent: 'a' }])
  t.equal((await all.entries('deny.written')).length, 2)
})

for (const persisted of [false, true]) {
  t.test(`a crash ${persisted ? 'after' : 'before'} it is marked`, async (t) => {
    const all = await stage(t)
    const { worker, ask, ledger, aws } = all
    const store = denyStore(ledger.broker)
    await ask('agent', 'a')
    const dying = worker('dying', {
      store: {
        ...store,
        written: async (...what) => {
          if (persisted) await store.written(...what)
          throw new Error('the process dies')
        },
        // Who died says nothing more.
        failed: async () => false,
      },
    })
    await dying.idle()
    await dying.close()
    t.match(await all.kills(), [{ written: persisted }])
    await loseLease(all)
    const next = worker('next')
    await next.idle()
    t.match(await all.kills(), [{ written: true }])
    t.equal(
      aws.calls.filter(({ action }) => action === 'iam:PutRolePolicy').length,
      1,
      'it was there already',
    )
    t.equal((await all.entries('deny.written')).length, 1)
  })
}

t.test('IAM is down: honest all along, and written when it is back', async (t) => {
  const all = await stage(t)
  const { worker, ask, ledger } = all
  let down = true
  const flaky: Iam = {
    ...all.iam,
    inlinePolicy: (...asked) => (down ? unreachable.inlinePolicy(...asked) : all.iam.inlinePolicy(...asked)),
  }
  const unreachable = createIam({ credentials: BROKER, endpoint: () => 'http://127.0.0.1:9', timeoutMs: 500 })
  t.teardown(() => unreachable.close())
  await ask('agent', 'a')
  const one = worker('one', {}, flaky)
  await one.idle()
  t.match(await all.kills(), [{ written: false }])
  t.match(await asOwner(all, 'SELECT last_error, attempts >= 1 AS tried FROM writ.deny_role'), [
    { last_error: 'aws_unavailable', tried: true },
  ])
  t.equal((await all.entries('deny.failed')).length, 0, 'not every hiccup is told')
  await asOwner(all, `UPDATE writ.kill SET asked_at = asked_at - interval '11 seconds'`)
  const tell = () => denyStore(ledger.broker).tell()
  t.strictSame(await Promise.all([tell(), tell()]).then((told) => told.sort()), [0, 1], 'once')
  t.match(await all.entries('deny.failed'), [
    { code: 'aws_unavailable', agent: 'a', unwritten: 1, role_arn: READ_ROLE },
  ])
  await asOwner(all, `UPDATE writ.deny_role SET told_at = told_at - interval '11 minutes'`)
  t.equal(await tell(), 1, 'and again after ten minutes')
  // A new one does not wait for the next attempt.
  await asOwner(all, `UPDATE writ.deny_role SET next_at = clock_timestamp() + interval '1 hour'`)
  down = false
  await ask('agent', 'b')
  await one.idle()
  t.match(await all.kills(), [{ written: true }, { written: true }])
  const [written] = await all.entries('deny.written')
  t.ok(written.waited_ms >= 11_000)
})

t.test('throttled and failing IAM is asked again; a role that is gone is not called written', async (t) => {
  const all = await stage(t)
  const { worker, ask, aws } = all
  aws.faults.fail('throttling', { action: 'PutRolePolicy' })
  aws.faults.fail('internal', { action: 'GetRolePolicy' })
  await ask('agent', 'a')
  const gone = `arn:aws:iam::${BROKER.account}:role/writ/gone`
  await ask('agent', 'a', undefined, gone)
  const one = worker()
  await one.idle()
  t.match(await all.kills(), [{ written: true }, { written: false }])
  t.match(await asOwner(all, 'SELECT last_error FROM writ.deny_role ORDER BY role_arn'), [
    { last_error: 'role_missing' },
    { last_error: null },
  ])
  aws.putRole(role(gone))
  await asOwner(all, `UPDATE writ.deny_role SET next_at = '-infinity'`)
  await one.idle()
  t.match(await all.kills(), [{ written: true }, { written: true }])
})
