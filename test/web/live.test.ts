import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { TABS, topicOf } from '../../server/http/console/live-routes.js'
import { startConsole } from '../browser/console.js'
import { startSession } from '../support/console.js'

interface Hint {
  readonly id: string
  readonly data: Readonly<Record<string, unknown>>
}

t.test('hints of what is recorded', async (t) => {
  const { broker, origin } = await startConsole(t)
  const token = await broker.agentToken('orders-coder')
  const ask = async (reason: string): Promise<string> =>
    (
      await broker.call('POST', '/v1/grant-requests', token, {
        environment: 'production',
        scopes: ['orders:write'],
        reason,
      })
    ).body.id
  const issue = () =>
    broker.call('POST', '/v1/credentials', token, {
      environment: 'development',
      scopes: ['orders:read'],
      reason: 'a look',
      session: String(Math.random()).slice(2),
    })
  const cookieOf = async (operator: string) =>
    (await startSession(broker.sql, operator, new Date(), origin)).cookie
  const open = async (cookie: string | undefined, after?: string) => {
    const abort = new AbortController()
    t.teardown(() => abort.abort())
    const response = await fetch(`${origin}/console/live`, {
      headers: {
        ...(cookie === undefined ? {} : { cookie }),
        ...(after === undefined ? {} : { 'last-event-id': after }),
      },
      signal: abort.signal,
    })
    return { response, close: () => abort.abort(), hints: hintsOf(response) }
  }

  await t.test('small, without anything personal, and nothing of issuances for an approver', async (t) => {
    const bob = await open(await cookieOf('bob'))
    const carol = await open(await cookieOf('carol'))
    await issue()
    const id = await ask('of the secret customer 4711')
    const [first] = await bob.hints(1)
    t.strictSame(first?.data, {
      kind: 'grant_request.opened',
      topic: 'request',
      request: id,
      agent: 'orders-coder',
    })
    const seen = (await carol.hints(3)).map(({ data }) => data.topic)
    t.strictSame(seen, ['issuance', 'issuance', 'request'])
    bob.close()
    carol.close()
  })

  await t.test('goes on after Last-Event-ID, and from now on where that is of another log', async (t) => {
    const cookie = await cookieOf('bob')
    const first = await open(cookie)
    const one = await ask('one')
    const [hint] = await first.hints(1)
    first.close()
    const two = await ask('two')
    const again = await open(cookie, hint?.id)
    t.match(await again.hints(1), [{ data: { request: two } }], `not ${one} again`)
    again.close()
    const other = await open(cookie, `${hint?.id.split('.')[0]}.${'0'.repeat(16)}`)
    t.equal(other.response.status, 200)
    other.close()
  })

  await t.test('only with a session, and a few at a time', async (t) => {
    t.equal((await open(undefined)).response.status, 401)
    const bearer = await fetch(`${origin}/console/live`, {
      headers: { authorization: `Bearer ${await broker.operatorToken('bob')}` },
    })
    t.equal(bearer.status, 401, 'a token opens no page')
    const cookie = await cookieOf('alice')
    const opened = []
    for (let n = 0; n < TABS; n++) opened.push(await open(cookie))
    t.ok(opened.every(({ response }) => response.status === 200))
    t.equal((await open(cookie)).response.status, 429)
    for (const { close } of opened) close()
    for (let left = 50; left > 0; left--) {
      const { response, close } = await open(cookie)
      close()
      if (response.status === 200) return t.pass('closed ones are off the count')
      await delay(20)
    }
    return t.fail('closed ones stay on the count')
  })
})

t.test('topics', async (t) => {
  t.equal(topicOf('grant_request.opened'), 'request')
  t.equal(topicOf('grant.revoked'), 'grant')
  t.equal(topicOf('issuance.issued'), 'issuance')
  t.equal(topicOf('operator.key_added'), 'key')
  t.equal(topicOf('operator.signed_in'), undefined)
  t.equal(topicOf('constructor'), undefined)
})

/** Reads events until there are so many hints. */
function hintsOf(response: Response): (count: number) => Promise<Hint[]> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  return async (count) => {
    for (;;) {
      const events = text.split('\n\n').slice(0, -1)
      const hints = events.flatMap((event) => {
        const data = /^data: (.*)$/m.exec(event)?.[1]
        const id = /^id: (.*)$/m.exec(event)?.[1] ?? ''
        return data === undefined ? [] : [{ id, data: JSON.parse(data) }]
      })
      if (hints.length >= count) return hints.slice(0, count)
      const read = await reader?.read()
      if (read === undefined || read.done) throw new Error(`the stream ended: ${text}`)
      text += read.value
    }
  }
}
