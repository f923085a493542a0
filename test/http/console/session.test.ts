import type { FastifyReply, FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { readCookie, writeCookie } from '../../../server/http/console/cookies.js'
import { localPath } from '../../../server/http/console/origin.js'
import { compiled, GOOD } from '../../policy/support.js'
import { age, startSession } from '../../support/console.js'
import { type ConsoleApp, consoleApp } from '../../support/console-app.js'

const OPERATORS: Readonly<Record<string, string>> = {
  ...GOOD,
  'carol.yaml': `operator: carol
identity: { issuer: "https://login.example.com", claims: { sub: carol } }
roles: [security]
`,
  'dana.yaml': `operator: dana
identity: { issuer: "https://login.example.com", claims: { sub: dana } }
roles: [admin]
`,
}

const console_ = async (t: Test) => consoleApp(t, await compiled(OPERATORS))

type Headers = Readonly<Record<string, string>>

/** A request as a page of ours makes it, but for what `headers` says. */
const get = (at: ConsoleApp, url: string, headers: Headers = {}) =>
  at.app.inject({ method: 'GET', url, headers: { host: at.host, ...headers } })
const page = (at: ConsoleApp, url: string, headers: Headers = {}) =>
  get(at, url, { accept: 'text/html,*/*;q=0.8', ...headers })
const post = (at: ConsoleApp, url: string, headers: Headers = {}, payload?: string) =>
  at.app.inject({
    method: 'POST',
    url,
    headers: { host: at.host, origin: at.origin, ...headers },
    ...(payload === undefined ? {} : { payload }),
  })

/** The cookie that an answer sets, as the next request sends it. */
const cookieOf = (answer: { headers: Record<string, unknown> }): string | undefined => {
  const [cookie] = [answer.headers['set-cookie'] ?? []].flat() as string[]
  return cookie?.split(';')[0]
}

t.test('cookies are for this host and no script', async (t) => {
  const headers: string[] = []
  const reply = { header: (_name: string, value: string) => headers.push(value) } as unknown as FastifyReply
  writeCookie(reply, 'https://writ.example.com', 'session', 'a.b')
  writeCookie(reply, 'https://writ.example.com', 'sign-in', 'c')
  writeCookie(reply, 'https://writ.example.com', 'session', '')
  writeCookie(reply, 'http://localhost:8080', 'session', 'a.b')
  t.strictSame(headers, [
    '__Host-writ=a.b; Path=/; HttpOnly; Secure; SameSite=Strict',
    '__Host-writ-sign-in=c; Max-Age=600; Path=/; HttpOnly; Secure; SameSite=Lax',
    '__Host-writ=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict',
    'writ-session=a.b; Path=/; HttpOnly; SameSite=Strict',
  ])
  const asked = (cookie: string) =>
    readCookie({ headers: { cookie } } as unknown as FastifyRequest, 'https://writ.example.com', 'session')
  t.equal(asked('a=b; __Host-writ=c.d; e=f'), 'c.d')
  t.equal(asked('__Host-writ=c; __Host-writ=d'), undefined, 'one of them is not ours')
  t.equal(asked('x__Host-writ=c; writ-session=d; __Host-writ-sign-in=e'), undefined)
})

t.test('nobody comes in without a session', async (t) => {
  const at = await console_(t)
  const shown = await page(at, '/console/requests?state=pending')
  t.equal(shown.statusCode, 303)
  t.equal(shown.headers.location, '/console/sign-in?to=%2Fconsole%2Frequests%3Fstate%3Dpending')
  const asked = await get(at, '/console/requests')
  t.equal(asked.statusCode, 401)
  t.equal(asked.json().code, 'session_missing')
  t.match(asked.headers['content-type'], 'application/problem+json')
  t.equal((await post(at, '/console/do')).json().code, 'session_missing')
  for (const cookie of [
    'writ-session=',
    'writ-session=x',
    `writ-session=${'A'.repeat(43)}.${'A'.repeat(22)}`,
  ]) {
    const answer = await get(at, '/console/requests', { cookie })
    t.equal(answer.statusCode, 401, cookie)
  }
  const { cookie } = await startSession(at.sql, 'bob')
  t.equal((await get(at, '/console/requests', { cookie })).json().operator, 'bob')
  t.equal((await get(at, '/console/requests', { cookie: `${cookie}x` })).statusCode, 401, 'altered')
  t.equal(
    (await get(at, '/console/requests', { cookie: `__Host-${cookie}` })).statusCode,
    401,
    'another name',
  )
})

t.test('a link from elsewhere is opened once more from here, where the cookie comes along', async (t) => {
  const at = await console_(t)
  const answer = await page(at, '/console/requests?id=1', { 'sec-fetch-site': 'cross-site' })
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers.refresh, '0; url=/console/requests?id=1')
  t.equal(
    (await page(at, '/console/requests', { 'sec-fetch-site': 'same-origin' })).statusCode,
    303,
    'no circle',
  )
})

t.test('pages cannot be framed, scripted, cached or leaked', async (t) => {
  const at = await console_(t)
  const { cookie } = await startSession(at.sql, 'bob')
  const { headers } = await page(at, '/console', { cookie })
  const policy = String(headers['content-security-policy'])
  for (const part of [
    "default-src 'none'",
    "script-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "require-trusted-types-for 'script'",
  ]) {
    t.ok(policy.split('; ').includes(part), part)
  }
  t.notMatch(policy, /unsafe|\*|https?:/)
  t.match(headers, {
    'x-frame-options': 'DENY',
    'referrer-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    'permissions-policy': /publickey-credentials-get=\(self\)/,
  })
  t.equal((await page(at, '/console/nobody', { cookie })).headers['x-frame-options'], 'DENY', 'refusals too')
})

t.test('a route opens to the roles it names, and one that names none to nobody', async (t) => {
  const at = await console_(t)
  const [bob, carol] = [await startSession(at.sql, 'bob'), await startSession(at.sql, 'carol')]
  t.equal((await get(at, '/console/security', { cookie: carol.cookie })).statusCode, 200)
  const refused = await get(at, '/console/security', { cookie: bob.cookie })
  t.equal(refused.statusCode, 403)
  t.equal(refused.json().code, 'operator_role')
  t.equal((await get(at, '/console/nobody', { cookie: carol.cookie })).json().code, 'operator_role')
  const readable = await page(at, '/console/security', { cookie: bob.cookie })
  t.equal(readable.statusCode, 403)
  t.match(readable.headers['content-type'], 'text/html')
  t.match(readable.body, 'operator_role')
  const [entry] = await at.entries('operator.refused')
  t.match(entry?.body, { operator: 'bob', code: 'operator_role', path: '/console/security' })
})

t.test('tokens open no page, and cookies no API', async (t) => {
  const at = await console_(t)
  const { cookie } = await startSession(at.sql, 'bob')
  const v1 = await get(at, '/v1/probe', { cookie })
  t.equal(v1.statusCode, 401)
  t.equal(v1.json().code, 'token_missing')
  const secret = cookie.split('=')[1] ?? ''
  const shown = await get(at, '/console/requests', { authorization: `Bearer ${secret}` })
  t.equal(shown.json().code, 'session_missing')
  const both = await get(at, '/console/requests', { cookie, authorization: 'Bearer nonsense' })
  t.equal(both.statusCode, 200, 'Authorization is not even read')
})

t.test('only a page of the session changes anything', async (t) => {
  const at = await console_(t)
  const bob = await startSession(at.sql, 'bob')
  const other = await startSession(at.sql, 'bob')
  const { cookie, csrf } = bob
  const tries: Readonly<Record<string, Headers>> = {
    'no origin': { origin: '', 'x-writ-csrf': csrf },
    'another origin': { origin: 'https://evil.example', 'x-writ-csrf': csrf },
    'an opaque origin': { origin: 'null', 'x-writ-csrf': csrf },
    'another port': { origin: 'http://localhost:1', 'x-writ-csrf': csrf },
    'another scheme': { origin: at.origin.replace('http:', 'https:'), 'x-writ-csrf': csrf },
    'the IP address': { origin: at.origin.replace('localhost', '127.0.0.1'), 'x-writ-csrf': csrf },
    'a longer name': { origin: `${at.origin}.evil.example`, 'x-writ-csrf': csrf },
    'another site': { 'sec-fetch-site': 'cross-site', 'x-writ-csrf': csrf },
    'a neighbour': { 'sec-fetch-site': 'same-site', 'x-writ-csrf': csrf },
    'no token': {},
    'an empty token': { 'x-writ-csrf': '' },
    "another session's token": { 'x-writ-csrf': other.csrf },
    'the id of the session': { 'x-writ-csrf': bob.id },
  }
  for (const [name, headers] of Object.entries(tries)) {
    const answer = await post(at, '/console/do', { cookie, ...headers })
    t.equal(answer.statusCode, 403, name)
    t.equal(answer.json().code, 'csrf', name)
  }
  const { origin: _, ...rest } = { origin: '', cookie, 'x-writ-csrf': csrf }
  const without = await at.app.inject({
    method: 'POST',
    url: '/console/do',
    headers: { host: at.host, ...rest },
  })
  t.equal(without.json().code, 'csrf', 'origin left out')
  const done = await post(at, '/console/do', { cookie, 'x-writ-csrf': csrf, 'sec-fetch-site': 'same-origin' })
  t.equal(done.statusCode, 200)
  t.equal((await post(at, '/console/do', { cookie, 'x-writ-csrf': csrf })).statusCode, 200, 'an old browser')
  const entries = await at.entries('operator.refused')
  t.match(entries[0]?.body, { operator: 'bob', code: 'csrf', path: '/console/do' })
})

t.test('where to go on to is always here', async (t) => {
  const good = [
    '/console',
    '/console/',
    '/console/requests',
    '/console/history?from=1&agent=a%20b',
    '/console?x',
  ]
  for (const path of good) t.equal(localPath(path), path)
  for (const path of [
    '//evil.example',
    '/\\evil.example',
    '/console/\\evil',
    'https://evil.example/console',
    'https:evil.example',
    'javascript:alert(1)',
    '/console@evil.example',
    '/consolevil',
    '/console/..//evil.example',
    '/console/%2e%2e//evil.example',
    '/console/\t/evil',
    '/console/\r\nset-cookie: a=b',
    '/console/é',
    '/v1/whoami',
    '/',
    '',
    ' /console',
    `/console/${'a'.repeat(3000)}`,
    '/console/sign-in?to=/console',
    '/console/sign-out',
    '/console/x/../sign-in/start',
    undefined,
    ['/console'],
    7,
  ]) {
    t.equal(localPath(path), '/console', String(path))
  }
  const at = await console_(t)
  const { cookie } = await startSession(at.sql, 'bob')
  const to = encodeURIComponent('//evil.example')
  const sent = await page(at, `/console/sign-in?to=${to}`, { cookie })
  t.equal(sent.statusCode, 303)
  t.equal(sent.headers.location, '/console')
  t.notMatch((await page(at, `/console/sign-in?to=${to}`)).body, 'evil')
})

t.test('under another name the console says nothing', async (t) => {
  const at = await console_(t)
  const { cookie, csrf } = await startSession(at.sql, 'bob')
  for (const host of [
    'evil.example',
    `evil.example:${at.host.split(':')[1]}`,
    `${at.host}.evil.example`,
    'localhost',
  ]) {
    for (const url of ['/console', '/console/sign-in', '/console/requests']) {
      const answer = await page(at, url, { host, cookie })
      t.not(answer.statusCode, 200, `${host} ${url}`)
      t.notMatch(JSON.stringify([answer.headers, answer.body]), 'evil', 'not repeated')
    }
    t.not((await post(at, '/console/do', { host, cookie, 'x-writ-csrf': csrf })).statusCode, 200)
  }
  t.equal((await page(at, '/console', { host: 'evil.example' })).statusCode, 421)
  const numeric = await page(at, '/console/requests?a=b', { host: at.host.replace('localhost', '127.0.0.1') })
  t.equal(numeric.statusCode, 307)
  t.equal(numeric.headers.location, `${at.origin}/console/requests?a=b`)
})

t.test('a session ends by itself', async (t) => {
  const at = await console_(t)
  const idle = await startSession(at.sql, 'bob')
  await age(at.sql, 3590, idle.id)
  t.equal((await get(at, '/console/requests', { cookie: idle.cookie })).statusCode, 200)
  await age(at.sql, 3590, idle.id)
  const kept = await get(at, '/console/requests', { cookie: idle.cookie })
  t.equal(kept.statusCode, 200, 'being there moved the idle end')
  await age(at.sql, 3610, idle.id)
  t.equal(
    (await get(at, '/console/requests', { cookie: idle.cookie })).statusCode,
    401,
    'after an hour without use',
  )
  const tab = await startSession(at.sql, 'bob')
  await age(at.sql, 3590, tab.id)
  const stream = { cookie: tab.cookie, accept: 'text/event-stream' }
  t.equal((await get(at, '/console/requests', stream)).statusCode, 200)
  await age(at.sql, 20, tab.id)
  t.equal((await get(at, '/console/requests', stream)).statusCode, 401, 'an open tab is nobody')
  const busy = await startSession(at.sql, 'bob')
  for (let n = 0; n < 12; n++) {
    await age(at.sql, 3540, busy.id)
    t.equal((await get(at, '/console/requests', { cookie: busy.cookie })).statusCode, 200)
  }
  await age(at.sql, 721, busy.id)
  const over = await page(at, '/console/requests', { cookie: busy.cookie })
  t.equal(over.statusCode, 303, 'after twelve hours')
  t.match(over.headers['set-cookie'], /^writ-session=; Max-Age=0/, 'and the browser forgets it')
})

t.test('the secret changes in use, and no answer that is lost signs anybody out', async (t) => {
  const at = await console_(t)
  const first = await startSession(at.sql, 'bob')
  const before = await get(at, '/console/requests', { cookie: first.cookie })
  t.equal(before.headers['set-cookie'], undefined)
  await age(at.sql, 901)
  const offered = await get(at, '/console/requests', { cookie: first.cookie })
  const next = cookieOf(offered) ?? ''
  t.match(offered.headers['set-cookie'], /; Path=\/; HttpOnly; SameSite=Strict$/)
  t.not(next, first.cookie)
  t.equal(offered.json().session.csrf, first.csrf, 'open pages go on working')
  const meanwhile = await get(at, '/console/requests', { cookie: first.cookie })
  t.equal(meanwhile.statusCode, 200, 'the next has not arrived yet')
  t.equal(meanwhile.headers['set-cookie'], undefined, 'and two requests at once get one')
  t.equal((await get(at, '/console/requests', { cookie: next })).statusCode, 200)
  t.equal((await get(at, '/console/requests', { cookie: first.cookie })).statusCode, 200, 'under way')
  t.equal((await post(at, '/console/do', { cookie: next, 'x-writ-csrf': first.csrf })).statusCode, 200)
  await age(at.sql, 11)
  t.equal((await get(at, '/console/requests', { cookie: first.cookie })).statusCode, 401, 'a copy')
  t.equal((await get(at, '/console/requests', { cookie: next })).statusCode, 401, 'so neither is trusted')
  t.match((await at.entries('operator.session_ended'))[0]?.body, {
    operator: 'bob',
    session: first.id,
    why: 'token_reused',
  })
})

t.test('signing out, and ending sessions elsewhere', async (t) => {
  const at = await console_(t)
  const [here, there] = [await startSession(at.sql, 'bob'), await startSession(at.sql, 'bob')]
  const [carol, dana] = [await startSession(at.sql, 'carol'), await startSession(at.sql, 'dana')]
  const list = (await get(at, '/console/sessions', { cookie: here.cookie })).json()
  t.strictSame(
    new Map(list.items.map((one: { id: string; current: boolean }) => [one.id, one.current])),
    new Map([
      [there.id, false],
      [here.id, true],
    ]),
  )
  const as = (who: { cookie: string; csrf: string }) => ({ cookie: who.cookie, 'x-writ-csrf': who.csrf })
  t.equal((await post(at, `/console/sessions/${carol.id}/end`, as(here))).statusCode, 404, "another's")
  t.equal((await get(at, '/console/sessions?of=all', { cookie: here.cookie })).statusCode, 403)
  t.strictSame((await post(at, `/console/sessions/${there.id}/end`, as(here))).json(), { ended: true })
  t.equal((await get(at, '/console/requests', { cookie: there.cookie })).statusCode, 401)
  t.equal((await get(at, '/console/sessions?of=all', { cookie: dana.cookie })).json().items.length, 3)
  t.equal((await post(at, `/console/sessions/${carol.id}/end`, as(dana))).statusCode, 200)
  t.equal((await get(at, '/console/requests', { cookie: carol.cookie })).statusCode, 401)

  const form = {
    cookie: here.cookie,
    'content-type': 'application/x-www-form-urlencoded',
    accept: 'text/html',
  }
  t.equal((await post(at, '/console/sign-out', form, 'csrf=nonsense')).statusCode, 403)
  t.equal((await post(at, '/console/sign-out', form, '')).statusCode, 403)
  t.equal(
    (await post(at, '/console/sign-out', { ...form, origin: 'null' }, `csrf=${here.csrf}`)).statusCode,
    403,
  )
  t.equal((await get(at, '/console/requests', { cookie: here.cookie })).statusCode, 200, 'still there')
  const out = await post(at, '/console/sign-out', form, `csrf=${here.csrf}`)
  t.equal(out.statusCode, 303)
  t.equal(out.headers.location, '/console/sign-in')
  t.match(out.headers['set-cookie'], /^writ-session=; Max-Age=0/)
  t.equal((await get(at, '/console/requests', { cookie: here.cookie })).statusCode, 401)
  const ended = await at.entries('operator.session_ended')
  t.match(
    ended.map(({ body }) => [body.operator, body.session, body.why, body.by]),
    [
      ['bob', there.id, 'ended', undefined],
      ['carol', carol.id, 'ended_by_admin', 'dana'],
      ['bob', here.id, 'signed_out', undefined],
    ],
  )
})

t.test('whoever policy no longer names is out at once', async (t) => {
  const at = await console_(t)
  const bob = await startSession(at.sql, 'bob')
  t.equal((await get(at, '/console/requests', { cookie: bob.cookie })).statusCode, 200)
  const { 'bob.yaml': _, ...others } = OPERATORS
  at.policySet = await compiled(others)
  t.equal((await get(at, '/console/requests', { cookie: bob.cookie })).statusCode, 401)
  at.policySet = await compiled(OPERATORS)
  t.equal(
    (await get(at, '/console/requests', { cookie: bob.cookie })).statusCode,
    401,
    'and does not come back',
  )
  t.match((await at.entries('operator.session_ended'))[0]?.body, { operator: 'bob', why: 'policy_changed' })
})
