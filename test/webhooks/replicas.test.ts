import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { Webhook } from '../../server/types.js'
import { type WebhookStore, webhookStore } from '../../server/webhooks/store.js'
import { hook, indexes, type Stage, stage, type Target, target } from './support.js'

/** A stage without a replica of its own: the test starts those it needs. */
async function empty(t: Test): Promise<Stage & { readonly siem: Target; readonly store: WebhookStore }> {
  const siem = await target(t)
  const given: Webhook[] = []
  const made = await stage(t, given)
  await made.webhooks.close()
  given.push(hook(t, { url: siem.url }))
  const store = webhookStore(made.ledger.broker)
  await store.begin('siem')
  return { ...made, siem, store }
}

const loseLease = ({ asOwner }: Stage) => asOwner(`UPDATE writ.webhook SET until = '-infinity'`)

t.test('a crash between the delivery and its commit', async (t) => {
  for (const persisted of [false, true]) {
    await t.test(persisted ? 'persisted' : 'not persisted', async (t) => {
      const all = await empty(t)
      const { siem, store, entries, replica, row } = all
      const crashing: WebhookStore = {
        ...store,
        advance: async (...move) => {
          if (persisted) await store.advance(...move)
          throw new Error('the process dies')
        },
        // Who died releases nothing.
        release: async () => undefined,
      }
      const [index = -1] = await entries('policy.loaded', 3)
      const dying = replica({ store: crashing })
      await dying.round()
      await dying.close()
      t.equal((await row()).next, persisted ? index + 1 : index)

      const next = replica()
      await next.round()
      t.equal(siem.received.length, 1, 'the lease of the dead one is waited for')
      await loseLease(all)
      await next.round()
      const again = persisted ? [] : [index]
      t.strictSame(indexes(siem.received), [index, ...again, index + 1, index + 2])
      if (!persisted) t.equal(siem.received[0]?.id, siem.received[1]?.id, 'and can be told as the same')
    })
  }
})

t.test('two replicas never deliver at once', async (t) => {
  const all = await empty(t)
  const { siem, entries, replica } = all
  let open = 0
  let most = 0
  siem.answer = (_, response) => {
    most = Math.max(most, ++open)
    setImmediate(() => {
      open--
      response.writeHead(204).end()
    })
  }
  const [one, two, three] = [replica(), replica(), replica()]
  const [first = -1] = await entries('policy.loaded', 30)
  for (let n = 0; n < 4; n++) {
    await Promise.all([one.round(), two.round(), three.round(), entries('policy.loaded', 5)])
  }
  await one.round()
  t.equal(most, 1)
  t.strictSame(
    indexes(siem.received),
    Array.from({ length: 50 }, (_, n) => first + n),
    'each once, in order',
  )
})

for (const [late, status] of [
  ['success', 204],
  ['failure', 500],
  ['410', 410],
] as const) {
  t.test(`who was stopped past its lease cannot commit a late ${late}`, async (t) => {
    const all = await empty(t)
    const { siem, entries, replica, row, kinds, logged } = all
    const [stopped, other] = [replica(), replica()]
    const [first = -1] = await entries('policy.loaded', 2)
    const held = new Promise<ServerResponse>((resolve) => {
      siem.answer = (_, response) => resolve(response)
    })
    const stalled = stopped.round()
    const response = await held
    siem.answer = (_, answer) => answer.writeHead(204).end()
    await other.round()
    t.equal(siem.received.length, 1, 'nobody else while it has the lease')
    await loseLease(all)
    await other.round()
    t.strictSame(indexes(siem.received), [first, first, first + 1])
    const after = await row()
    const finished = once(response, 'close')
    response.writeHead(status).end()
    await Promise.all([finished, stalled])
    t.strictSame(await row(), after)
    t.strictSame(await kinds('webhook.%'), [])
    t.match(logged.join('\n'), /taken over by another replica/)
    t.equal(siem.received.length, 3)
  })
}

t.test('who was stopped past its lease before sending does not send', async (t) => {
  const all = await empty(t)
  const { siem, store, entries, replica } = all
  const [first = -1] = await entries('policy.loaded', 2)
  const other = replica()
  let jump = 0
  const stopping: WebhookStore = {
    ...store,
    read: async (...range) => {
      const stretch = await store.read(...range)
      jump = 60_000
      await loseLease(all)
      await other.round()
      return stretch
    },
  }
  const stopped = replica({ store: stopping, monotonic: () => performance.now() + jump })
  await stopped.round()
  t.strictSame(indexes(siem.received), [first, first + 1], 'the other one sent them, once')
})

t.test('a shutdown breaks off what does not answer, and another replica goes on', async (t) => {
  const all = await empty(t)
  const { siem, entries, replica, row, logged } = all
  const [first = -1] = await entries('policy.loaded')
  const asked = new Promise<void>((resolve) => {
    siem.answer = () => resolve()
  })
  const ending = replica()
  const round = ending.round()
  await asked
  await Promise.all([ending.close(), round])
  t.match(await row(), { attempts: 0, next: first }, 'which is no failure of the receiver')
  t.strictSame(logged, [])
  siem.answer = (_, response) => response.writeHead(204).end()
  await replica().round()
  t.strictSame(indexes(siem.received), [first, first], 'at once: the lease was given back')
})

t.test("the broker's login moves nothing by itself", async (t) => {
  const { ledger, store, entries, asOwner } = await empty(t)
  await entries('policy.loaded', 5)
  const denied = { message: /permission denied/ }
  for (const statement of [
    `UPDATE writ.webhook SET next_idx = 99`,
    `INSERT INTO writ.webhook (name, next_idx) VALUES ('x', 0)`,
    `DELETE FROM writ.webhook`,
    `TRUNCATE writ.webhook`,
  ]) {
    await t.rejects(ledger.broker.query(statement), denied, statement)
  }
  await t.rejects(asOwner('DELETE FROM writ.webhook'), /append-only/, 'nor does the owner delete')
  const lease = await store.claim('siem', 'me', 30)
  if (lease === undefined) throw new Error('no lease')
  const move = (from: number, to: number, fence = lease.fence) =>
    store.advance('siem', { ...lease, fence }, { from, to, delivered: true }, 30)
  t.equal(await move(0, 6), false, 'not past the head')
  t.equal(await move(1, 2), false, 'not from where it is not')
  t.equal(await move(0, 0), false)
  t.equal(await move(0, 1, lease.fence - 1), false, 'not on another fence')
  t.equal(await move(0, 1), true)
  t.equal(await move(1, 0), false, 'not back')
  const [search] = await asOwner<{ wrong: string }>(
    `SELECT count(*) AS wrong FROM pg_proc WHERE pronamespace = 'writ'::regnamespace AND proname LIKE '%webhook'
       AND (NOT prosecdef OR proconfig[1] NOT LIKE 'search_path=writ, pg_temp' OR has_function_privilege('public', oid, 'EXECUTE'))`,
  )
  t.equal(Number(search?.wrong), 0)
})
