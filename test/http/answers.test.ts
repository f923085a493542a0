import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { startTestBroker } from '../support/broker.js'

const WISH = { environment: 'development', scopes: ['orders:read'], reason: 'a test' }

t.test('what a good answer says', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const { status, headers, body } = await broker.call('POST', '/v1/credentials', agent, WISH)
  t.equal(status, 200)
  t.equal(headers.get('cache-control'), 'no-store')
  t.equal(headers.get('x-content-type-options'), 'nosniff')
  t.match(headers.get('content-security-policy'), /default-src 'none'/)
  t.match(headers.get('strict-transport-security'), /max-age/)
  t.match(headers.get('x-request-id'), /^[\w-]{12}$/)
  t.match(body, {
    environment: 'development',
    tier: 'development',
    scopes: ['orders:read'],
    notice: /this machine only/,
  })
  t.ok(Date.parse(body.credentials.expires_at) > Date.now())

  const again = await broker.call('POST', '/v1/credentials', agent, WISH)
  t.match(again.body, { issuance: body.issuance, delivered_again: true, credentials: body.credentials })
  t.ok(again.body.entry > body.entry, 'and the delivery has its own entry')
  const other = await broker.call('POST', '/v1/credentials', agent, { ...WISH, session: 'other' })
  t.not(other.body.issuance, body.issuance)
  const forwarded = await fetch(`${broker.url}/v1/credentials`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${agent}`,
      'content-type': 'application/json',
      'x-forwarded-for': '8.8.8.8',
    },
    body: JSON.stringify(WISH),
  })
  t.equal(
    ((await forwarded.json()) as { issuance: string }).issuance,
    body.issuance,
    'X-Forwarded-For of a stranger is not believed',
  )
})

t.test('what a bad request hears', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const post = async (body: unknown, type = 'application/json', path = '/v1/credentials') => {
    const response = await fetch(broker.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${agent}`, 'content-type': type },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
    t.equal(response.headers.get('content-type'), 'application/problem+json')
    const problem = (await response.json()) as { code: string }
    t.match(problem, { type: `urn:writ:problem:${problem.code}`, next: /\w/, title: /\w/, request: /\w/ })
    return `${response.status} ${problem.code}`
  }
  t.equal(await post('{'), '422 request_invalid')
  t.equal(await post(''), '422 request_invalid')
  t.equal(await post('a=b', 'application/x-www-form-urlencoded'), '415 media_type')
  t.equal(await post({ ...WISH, reason: 'x'.repeat(70_000) }), '413 body_too_large')
  t.equal(await post({ ...WISH, extra: 1 }), '422 request_invalid', 'an unknown field')
  t.equal(await post({ ...WISH, scopes: [] }), '422 request_invalid')
  t.equal(await post({ ...WISH, scopes: ['*'] }), '422 request_invalid')
  t.equal(await post({ ...WISH, reason: 'line\nbreak' }), '422 request_invalid', 'no forged log lines')
  t.equal(await post({ ...WISH, reason: 'nul \u0000' }), '422 request_invalid')
  t.equal(await post({ ...WISH, reason: 'rtl \u202e' }), '422 request_invalid')
  t.equal(await post({ ...WISH, reason: 'half a pair \ud800' }), '422 request_invalid')
  t.equal(await post({ ...WISH, ttl: -1 }), '422 request_invalid')
  t.equal(await post('{"__proto__": {"environment": "x"}}'), '422 request_invalid')
  t.equal(await post({ ...WISH, environment: 'Production' }), '422 request_invalid')
  t.equal(await post({}, 'application/json', '/v1/nothing'), '404 not_found')
  t.equal(await post({ ...WISH, environment: 'nowhere' }), '403 environment_unknown')
  t.equal(await post({ ...WISH, scopes: ['reports:nothing'] }), '403 scope_unknown')
  const wish = { environment: 'production', scopes: ['orders:read'], reason: 'r' }
  t.equal(await post(wish, 'application/json', '/v1/grant-requests'), '422 grant_not_needed')
  const purge = { environment: 'production', scopes: ['orders:purge'], reason: 'r' }
  t.match(
    await post(purge, 'application/json', '/v1/grant-requests'),
    /403 (delete_not_allowed|scope_unknown)/,
  )
})

t.test('bytes that are no request do not take the process down', async (t) => {
  const broker = await startTestBroker(t)
  const { port } = new URL(broker.url)
  const raw = async (bytes: string | Buffer) => {
    const socket = connect(Number(port), '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => undefined)
    socket.end(bytes)
    await once(socket, 'close')
    return Buffer.concat(chunks).toString()
  }
  t.match(await raw('nonsense\r\n\r\n'), /^HTTP\/1.1 400/)
  t.match(
    await raw(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Big: ${'a'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1.1 431/,
  )
  t.match(
    await raw(
      'POST /v1/credentials HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    ),
    /^HTTP\/1.1 4/,
  )
  t.match(await raw('GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 4/)
  t.equal((await broker.call('GET', '/healthz')).status, 200)
})

t.test('pages', async (t) => {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const carol = await broker.operatorToken('carol')
  for (let i = 0; i < 7; i++)
    await broker.call('POST', '/v1/credentials', agent, { ...WISH, session: `s${i}` })
  for (const path of ['/v1/issuances', '/v1/events']) {
    const whole = await broker.call('GET', `${path}?limit=500`, carol)
    const seen: unknown[] = []
    let next: string | null = ''
    for (let page = 0; next !== null && page < 50; page++) {
      const { body }: { body: { items: unknown[]; next: string | null } } = await broker.call(
        'GET',
        `${path}?limit=3${next === '' ? '' : `&before=${next}`}`,
        carol,
      )
      seen.push(...body.items)
      next = body.next
    }
    t.strictSame(seen, whole.body.items, `${path}: nothing lost, nothing twice`)
  }
  t.match(await broker.call('GET', '/v1/issuances?before=x', carol), { status: 422 })
  t.match(await broker.call('GET', '/v1/issuances?limit=0', carol), { status: 422 })
  const [first] = (await broker.call('GET', '/v1/issuances?limit=1', carol)).body.items
  const found = await broker.call('GET', `/v1/issuances?access_key=${first.access_key_id}`, carol)
  t.match(found.body.items, [{ issuance: first.issuance }])
  const one = await broker.call('GET', `/v1/issuances/${first.issuance}`, carol)
  t.match(
    one.body.events.map((event: { body: { kind: string } }) => event.body.kind),
    ['issuance.issued', 'issuance.intended'],
  )
})
