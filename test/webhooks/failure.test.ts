import type { ServerResponse } from 'node:http'
import t from 'tap'
import { delaySeconds, GIVE_UP_AFTER_SECONDS, retryAfterSeconds } from '../../server/webhooks/schedule.js'
import { dump } from '../support/dump.js'
import { hook, indexes, newSecret, stage, statuses, target } from './support.js'

const DAY = 86_400

t.test('a failed delivery is tried again, later each time, under the same id', async (t) => {
  const siem = await target(t)
  siem.answer = statuses(500, 404, 302, 503, 204)
  const { webhooks, entries, row, elapse } = await stage(t, [hook(t, { url: siem.url })])
  const [first = -1] = await entries('policy.loaded', 2)
  const waits: number[] = []
  for (const failure of ['answered_500', 'answered_404', 'answered_302', 'answered_503']) {
    await webhooks.round()
    await webhooks.round()
    const now = await row()
    t.equal(now.last_failure, failure)
    waits.push(now.waits ?? 0)
    await elapse(now.waits ?? 0)
  }
  t.equal(siem.received.length, 4, 'not before its time')
  t.strictSame(
    waits.map((wait, n) => wait > ([4, 29, 119, 299][n] ?? 0) && wait < ([7, 37, 145, 361][n] ?? 0)),
    [true, true, true, true],
    String(waits),
  )
  await webhooks.round()
  t.strictSame(
    indexes(siem.received),
    [first, first, first, first, first, first + 1],
    'and nothing goes past it',
  )
  t.equal(new Set(siem.received.slice(0, 5).map(({ id }) => id)).size, 1)
  t.match(await row(), { attempts: 0, last_failure: null, next: first + 2 })
})

t.test('a redirect is not followed', async (t) => {
  const [siem, elsewhere] = [await target(t), await target(t)]
  siem.answer = (_, response) => response.writeHead(307, { location: elsewhere.url }).end()
  const { webhooks, entries, row } = await stage(t, [hook(t, { url: siem.url })])
  await entries('policy.loaded')
  await webhooks.round()
  t.equal((await row()).last_failure, 'answered_307')
  t.equal(elsewhere.received.length, 0)
})

t.test('Retry-After is a least wait', async (t) => {
  const siem = await target(t)
  const { webhooks, entries, row, elapse } = await stage(t, [hook(t, { url: siem.url })])
  await entries('policy.loaded')
  const waits = async (status: number, header: string) => {
    siem.answer = (_, response) => response.writeHead(status, { 'retry-after': header }).end()
    await webhooks.round()
    const { waits: wait } = await row()
    await elapse(DAY)
    return Math.round((wait ?? 0) / 60)
  }
  t.equal(await waits(429, '1200'), 20)
  t.equal(await waits(503, new Date(Date.now() + 3 * 3_600_000).toUTCString()), 180)
  t.equal(await waits(503, '99999999'), 1440, 'a day at most')
  t.ok((await waits(503, '0')) >= 5, 'and never a shorter one')
})

t.test('the schedule', async (t) => {
  const steps = [5, 30, 120, 300, 900, 1800, 3600, 3600]
  t.strictSame(
    steps.map((_, n) => delaySeconds(n + 1, 0, 0)),
    steps,
  )
  t.equal(delaySeconds(400, 0, 0), 3600)
  t.equal(delaySeconds(3, 0, 1), 144)
  t.equal(delaySeconds(1, 1e9, 0), 86_400)
  const now = new Date('2026-11-21T12:00:00Z')
  const cases: [string | undefined, number | undefined][] = [
    [undefined, undefined],
    ['7', 7],
    ['-7', undefined],
    ['7.5', undefined],
    ['1e9', undefined],
    ['soon', undefined],
    ['2030', 2030],
    ['Sat, 21 Nov 2026 12:01:00 GMT', 60],
    ['Sat, 21 Nov 2020 12:01:00 GMT', 0],
  ]
  for (const [header, seconds] of cases) t.equal(retryAfterSeconds(header, now), seconds, String(header))
})

t.test('410 disables at once, and it says so in the log and in readiness', async (t) => {
  const siem = await target(t)
  siem.answer = statuses(410, 204)
  const { webhooks, entries, row, kinds, elapse } = await stage(t, [hook(t, { url: siem.url })])
  const [first = -1] = await entries('policy.loaded', 3)
  await webhooks.round()
  t.match(await row(), { disabled_why: 'answered_410', next: first })
  t.match(await kinds('webhook.%'), [
    { kind: 'webhook.disabled', webhook: 'siem', code: 'answered_410', next_index: first },
  ])
  await elapse(30 * DAY)
  await webhooks.round()
  t.equal(siem.received.length, 1, 'for good')
  t.match(webhooks.check(), { ok: false, detail: /1 disabled/ })
  const [view] = await webhooks.list()
  t.match(view?.state, { disabled_why: 'answered_410', behind: 4 })

  t.match(await webhooks.enable('siem', 'alice'), { state: { disabled_at: null, attempts: 0 } })
  await webhooks.round()
  t.strictSame(
    indexes(siem.received),
    [first, first, first + 1, first + 2, first + 3, first + 4],
    'nothing is lost',
  )
  t.strictSame(
    siem.received.slice(-2).map(({ message }) => message.type),
    ['webhook.disabled', 'webhook.enabled'],
  )
  t.match(await kinds('webhook.enabled'), [{ operator: 'alice', webhook: 'siem', next_index: first }])
  await webhooks.enable('siem', 'alice')
  t.equal((await kinds('webhook.enabled')).length, 1, 'one that was not disabled was not enabled')
})

t.test('after failing for five days it is disabled, not before', async (t) => {
  const siem = await target(t)
  siem.answer = statuses(500)
  const { webhooks, entries, row, kinds, elapse } = await stage(t, [hook(t, { url: siem.url })])
  await entries('policy.loaded')
  await webhooks.round()
  await elapse(GIVE_UP_AFTER_SECONDS - 600)
  await webhooks.round()
  t.match(await row(), { attempts: 2, disabled_why: null })
  await elapse(600)
  await webhooks.round()
  t.match(await row(), { attempts: 3, disabled_why: 'answered_500' })
  t.equal((await kinds('webhook.disabled')).length, 1)
  siem.answer = statuses(204)
  await webhooks.enable('siem', 'alice')
  await webhooks.round()
  siem.answer = statuses(500)
  await entries('policy.loaded')
  await webhooks.round()
  t.match(await row(), { attempts: 1, disabled_why: null }, 'a success ends the count')
})

t.test("one that the policy no longer names is nobody's to enable", async (t) => {
  const siem = await target(t)
  siem.answer = statuses(410)
  const given = [hook(t, { url: siem.url })]
  const { webhooks, entries, row } = await stage(t, given)
  await entries('policy.loaded')
  await webhooks.round()
  given.pop()
  t.equal(await webhooks.enable('siem', 'alice'), undefined)
  t.match(await row(), { disabled_why: 'answered_410' })
  t.strictSame(await webhooks.list(), [])
})

t.test('enabling one that waits ends the wait', async (t) => {
  const siem = await target(t)
  siem.answer = statuses(500, 500, 500, 204)
  const { webhooks, entries, elapse, row } = await stage(t, [hook(t, { url: siem.url })])
  await entries('policy.loaded')
  for (const _ of [1, 2, 3]) {
    await webhooks.round()
    await elapse(300)
  }
  await webhooks.enable('siem', 'alice')
  await webhooks.round()
  t.match(await row(), { attempts: 0, last_failure: null })
  t.equal(siem.received.length, 4)
})

t.test('entries that are no longer there are not passed over in silence', async (t) => {
  const siem = await target(t)
  const { asOwner, webhooks, entries, row, kinds } = await stage(t, [hook(t, { url: siem.url })])
  const [first = -1] = await entries('policy.loaded', 6)
  await asOwner('ALTER TABLE writ.entry DISABLE TRIGGER append_only')
  await asOwner('DELETE FROM writ.entry WHERE idx BETWEEN $1 AND $2', [first + 2, first + 3])
  await webhooks.round()
  t.strictSame(indexes(siem.received), [first, first + 1])
  t.match(await row(), { next: first + 2, disabled_why: 'entries_missing' })
  await webhooks.enable('siem', 'alice')
  t.match(await kinds('webhook.enabled'), [{ next_index: first + 4 }], 'a human decided to go on behind them')
  await webhooks.round()
  t.strictSame(indexes(siem.received).slice(2, 4), [first + 4, first + 5])
})

/** What a receiver can do instead of answering. */
const LIMITS = { connectMs: 300, totalMs: 400 }
const rude = (what: string, failure: string | null, act: (response: ServerResponse) => unknown) => ({
  what,
  failure,
  act,
})

t.test('receivers that do not behave', async (t) => {
  let sent = 0
  const cases = [
    rude('never answers', 'timeout', () => undefined),
    rude('answers and never ends', null, (response) => {
      response.writeHead(200).write('a')
    }),
    rude('sends without end', null, (response) => {
      response.writeHead(200)
      const more = () => {
        do sent += 65_536
        while (response.write('x'.repeat(65_536)))
      }
      response.on('drain', more).on('error', () => undefined)
      more()
    }),
    rude('hangs up', 'connection_failed', (response) => response.destroy()),
    rude('sends no HTTP', 'answer_unreadable', (response) => {
      response.socket?.end('220 mail.example.com ESMTP\r\n')
    }),
    rude('sends headers without end', 'answer_unreadable', (response) => {
      response.socket?.write(`HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(20_000)}`)
    }),
    rude('switches protocols', 'connection_failed', (response) => {
      response.socket?.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n')
    }),
    rude('keeps saying that it goes on', 'timeout', (response) => {
      response.socket?.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(50))
    }),
  ]
  for (const { what, failure, act } of cases) {
    const siem = await target(t)
    siem.answer = (_, response) => act(response)
    const { webhooks, entries, row } = await stage(t, [hook(t, { url: siem.url })], { limits: LIMITS })
    await entries('policy.loaded')
    const before = performance.now()
    await webhooks.round()
    t.equal((await row()).last_failure, failure, what)
    t.ok(performance.now() - before < 5_000, `${what}, and is let go`)
  }
  t.ok(sent > 0 && sent < 30_000_000, `${sent} bytes, most of them in the buffers of the system`)
})

t.test('a port where nobody is, and a name that is none', async (t) => {
  const closed = await target(t)
  const url = closed.url.replace(String(closed.port), '1025')
  const gone = await stage(t, [hook(t, { url })])
  await gone.entries('policy.loaded')
  await gone.webhooks.round()
  t.equal((await gone.row()).last_failure, 'connection_failed')
  const nowhere = async (): Promise<never> => {
    throw new Error('ENOTFOUND')
  }
  const lost = await stage(t, [hook(t, { url: 'https://siem.example.com/', local: false })], {
    resolve: nowhere,
  })
  await lost.entries('policy.loaded')
  await lost.webhooks.round()
  t.equal((await lost.row()).last_failure, 'name_not_found')
})

t.test('the secret is nowhere but in its file', async (t) => {
  const siem = await target(t)
  const secret = newSecret()
  const echoes: string[] = []
  siem.answer = ({ headers }, response) => {
    // A receiver that says back all it can, and one that even knows the secret.
    const text = `${secret} ${String(headers['webhook-signature'])}`
    echoes.push(String(headers['webhook-signature']))
    response
      .writeHead(500, text.replaceAll(/[^\x20-\x7e]/g, ''), { 'retry-after': text, 'x-echo': text })
      .end(text)
  }
  const { ledger, webhooks, entries, elapse, logged, row } = await stage(t, [
    hook(t, { url: siem.url }, secret),
  ])
  await entries('policy.loaded')
  await webhooks.round()
  t.equal((await row()).last_failure, 'answered_500')
  await elapse(GIVE_UP_AFTER_SECONDS)
  await webhooks.round()
  const told = JSON.stringify([await webhooks.list(), webhooks.check(), await webhooks.test('siem')])
  const places = { log: logged.join('\n'), database: await dump(ledger.superuserUrl), api: told }
  t.ok(logged.length >= 2 && echoes.length === 3)
  for (const [place, text] of Object.entries(places)) {
    for (const word of [secret, secret.slice(6), ...echoes]) t.notOk(text.includes(word), place)
  }
})
