import t, { type Test } from 'tap'
import type { PolicySet } from '../../../server/types.js'
import { compiled, GOOD } from '../../policy/support.js'
import { age, asSuperuser } from '../../support/console.js'
import { type ConsoleApp, consoleApp } from '../../support/console-app.js'
import { Browser, CLIENT_ID, startProvider, type TestProvider } from '../../support/oidc-provider.js'

type Documents = Readonly<Record<string, string>>

const documents = (issuer: string, more: Documents = {}): Documents => {
  const { 'bob.yaml': _, ...rest } = GOOD
  return {
    ...rest,
    'staff.yaml': `issuer: ${issuer}
for: operators
audience: https://writ.example.com/operators
algorithms: [RS256]
max_token_age: 1h
max_token_life: 1h
sign_in: { client_id: ${CLIENT_ID} }
`,
    'bob.yaml': `operator: bob
identity: { issuer: "${issuer}", claims: { sub: bob } }
roles: [approver, operator]
approves: [prod]
`,
    'carol.yaml': `operator: carol
identity: { issuer: "${issuer}", claims: { sub: carol, email: carol@example.com } }
roles: [security]
`,
    ...more,
  }
}

async function stage(t: Test): Promise<{ at: ConsoleApp; provider: TestProvider }> {
  const at = await consoleApp(t, await compiled(GOOD))
  const provider = await startProvider(t, `${at.origin}/console/sign-in/callback`)
  provider.claims.set('carol', { email: 'carol@example.com', groups: ['security'] })
  at.policySet = await compiled(documents(provider.issuer))
  return { at, provider }
}

const startOf = (at: ConsoleApp, issuer: string, more: Readonly<Record<string, string>> = {}) =>
  `${at.origin}/console/sign-in/start?${new URLSearchParams({ issuer, to: '/console/requests', ...more })}`

/** Leaves for the provider; answers where to. */
async function leave(browser: Browser, start: string): Promise<string> {
  const response = await browser.go(start)
  if (response.status !== 303) throw new Error(`not sent on: ${response.status} ${await response.text()}`)
  return response.headers.get('location') ?? ''
}

/** Everything up to the way back; answers the address of the callback. */
const wayBack = async (browser: Browser, at: ConsoleApp, issuer: string, login: string) =>
  browser.signInAt(await leave(browser, startOf(at, issuer)), login)

const who = async (browser: Browser, at: ConsoleApp) => {
  const response = await browser.go(`${at.origin}/console/requests`, {
    headers: { accept: 'application/json' },
  })
  return ((await response.json()) as { operator?: string }).operator
}

t.test('signing in at the issuer', async (t) => {
  const { at, provider } = await stage(t)
  const browser = new Browser()
  const page = await (await browser.go(`${at.origin}/console/sign-in?to=/console/requests`)).text()
  const link = /href="(\/console\/sign-in\/start[^"]+)"/.exec(page)?.[1]?.replaceAll('&amp;', '&') ?? ''
  t.notMatch(page, 'passkey', 'an issuer is offered: a passkey alone does not sign in')
  const authorization = new URL(await leave(browser, `${at.origin}${link}`))
  t.match(Object.fromEntries(authorization.searchParams), {
    response_type: 'code',
    client_id: CLIENT_ID,
    redirect_uri: `${at.origin}/console/sign-in/callback`,
    code_challenge_method: 'S256',
    scope: 'openid',
    state: /^[\w-]{43}$/,
    nonce: /^[\w-]{43}$/,
    code_challenge: /^[\w-]{43}$/,
  })
  const back = await browser.signInAt(authorization.href, 'carol')
  t.equal(new URL(back).searchParams.get('iss'), provider.issuer)
  const arrived = await browser.go(back)
  t.equal(arrived.status, 200, 'a page, and no redirect: a strict cookie would not come along')
  t.equal(arrived.headers.get('refresh'), '0; url=/console/requests')
  const [cleared, session] = arrived.headers.getSetCookie()
  t.match(cleared, /^writ-sign-in=; Max-Age=0/)
  t.match(session, /^writ-session=[\w-]{43}\.[\w-]{22}; Path=\/; HttpOnly; SameSite=Strict$/)
  t.equal(await who(browser, at), 'carol')
  const [entry] = await at.entries('operator.signed_in')
  t.match(entry?.body, {
    operator: 'carol',
    method: 'oidc',
    issuer: provider.issuer,
    authenticated_at: String,
  })
  t.match(entry?.personal, { subject: 'carol', source_ip: '127.0.0.1' })
  const [row] = await at.database.query<{ identity: { claims: object } }>(
    'SELECT identity FROM writ.console_session',
  )
  t.strictSame(
    row?.identity.claims,
    { sub: 'carol', email: 'carol@example.com' },
    'only what policy looks at',
  )
  const [code, state] = ['code', 'state'].map((name) => new URL(back).searchParams.get(name) ?? '')
  const rows = await at.database.query('SELECT to_jsonb(s) AS s FROM writ.console_session s')
  for (const secret of [code, state, session?.split(/[=;]/)[1] ?? '']) {
    t.notMatch(JSON.stringify(rows), secret, 'hashes only')
  }
})

t.test('what comes back is taken once, from the browser that left, as it was sent', async (t) => {
  const { at, provider } = await stage(t)
  const refused = async (browser: Browser, url: string, what: string) => {
    const answer = await browser.go(url)
    t.equal(answer.status, 403, what)
    t.match(await answer.text(), 'sign_in_failed', what)
    t.equal(await who(browser, at), undefined, `${what}: no session`)
  }
  const changed = (url: string, name: string, value: string | undefined) => {
    const copy = new URL(url)
    if (value === undefined) copy.searchParams.delete(name)
    else copy.searchParams.set(name, value)
    return copy.href
  }
  const mallory = new Browser()
  const malloryBack = await wayBack(mallory, at, provider.issuer, 'carol')
  await refused(new Browser(), malloryBack, 'login CSRF: a browser that began nothing')
  const victim = new Browser()
  const bobBack = await wayBack(victim, at, provider.issuer, 'bob')
  await refused(
    victim,
    malloryBack,
    "login CSRF: a browser that began another sign-in, with the other's answer",
  )

  const thief = new Browser()
  const own = await wayBack(thief, at, provider.issuer, 'carol')
  const stolen = new URL(bobBack).searchParams.get('code') ?? ''
  await refused(thief, changed(own, 'code', stolen), 'a stolen code in a sign-in of the thief')

  for (const [what, change] of Object.entries({
    'an altered state': (url: string) => changed(url, 'state', 'a'.repeat(43)),
    'no state': (url: string) => changed(url, 'state', undefined),
    'two states': (url: string) => `${url}&state=${'a'.repeat(43)}`,
    'another issuer': (url: string) => changed(url, 'iss', 'https://evil.example'),
    'no issuer, where it says it sends one': (url: string) => changed(url, 'iss', undefined),
    'no code': (url: string) => changed(url, 'code', undefined),
    'an error': (url: string) => changed(changed(url, 'code', undefined), 'error', 'access_denied'),
  })) {
    const browser = new Browser()
    await refused(browser, change(await wayBack(browser, at, provider.issuer, 'carol')), what)
  }

  const altered = new Browser()
  const back = await wayBack(altered, at, provider.issuer, 'carol')
  const jar = altered.cookies(at.origin)
  const content = JSON.parse(Buffer.from(jar.get('writ-sign-in') ?? '', 'base64url').toString())
  jar.set(
    'writ-sign-in',
    Buffer.from(JSON.stringify({ ...content, to: '/console/grants' })).toString('base64url'),
  )
  await refused(altered, back, 'an altered cookie')

  const late = new Browser()
  const lateBack = await wayBack(late, at, provider.issuer, 'carol')
  await asSuperuser(at.sql, "UPDATE writ.sign_in SET expires_at = expires_at - interval '10 minutes'")
  await refused(late, lateBack, 'ten minutes later')

  const honest = new Browser()
  const once = await wayBack(honest, at, provider.issuer, 'carol')
  const kept = new Map(honest.cookies(at.origin))
  t.equal((await honest.go(once)).status, 200)
  t.equal(await who(honest, at), 'carol')
  const replay = new Browser()
  replay.cookies(at.origin).set('writ-sign-in', kept.get('writ-sign-in') ?? '')
  await refused(replay, once, 'replayed, cookie and all')
})

t.test('who the issuer knows and policy does not is nobody', async (t) => {
  const { at, provider } = await stage(t)
  const good = at.policySet
  const [bob, carol] = [good.operators.get('bob'), good.operators.get('carol')]
  const coder = good.agents.get('coder')
  if (bob === undefined || carol === undefined || coder === undefined) throw new Error('not in the set')
  const tries: Readonly<Record<string, readonly [string, PolicySet]>> = {
    'a stranger': ['stranger', good],
    'two operators': ['carol', { ...good, operatorsMatching: () => [bob, carol] }],
    'an agent too': ['carol', { ...good, agentsMatching: () => [coder] }],
  }
  for (const [what, [login, policySet]] of Object.entries(tries)) {
    at.policySet = policySet
    const browser = new Browser()
    const answer = await browser.go(await wayBack(browser, at, provider.issuer, login))
    t.equal(answer.status, 403, what)
    t.match(await answer.text(), 'operator_unknown', what)
    t.equal(await who(browser, at), undefined, what)
  }
  const [entry] = await at.entries('operator.refused')
  t.match(entry?.body, {
    code: 'operator_unknown',
    issuer: provider.issuer,
    path: '/console/sign-in/callback',
  })
  t.equal(entry?.personal?.subject, 'stranger')
})

t.test('a session ends with the matcher that let it in', async (t) => {
  const { at, provider } = await stage(t)
  const browser = new Browser()
  await browser.go(await wayBack(browser, at, provider.issuer, 'carol'))
  t.equal(await who(browser, at), 'carol')
  at.policySet = await compiled(
    documents(provider.issuer, {
      'dana.yaml': `operator: dana
identity: { issuer: "${provider.issuer}", claims: { sub: dana } }
roles: [admin]
`,
    }),
  )
  t.equal(await who(browser, at), 'carol', 'a change elsewhere is none')
  at.policySet = await compiled(
    documents(provider.issuer, {
      'carol.yaml': `operator: carol
identity: { issuer: "${provider.issuer}", claims: { sub: carol, email: carol@other.example } }
roles: [security]
`,
    }),
  )
  t.equal(await who(browser, at), undefined)
  const renamed = new Browser()
  await renamed.go(await wayBack(renamed, at, provider.issuer, 'bob'))
  t.equal(await who(renamed, at), 'bob')
  at.policySet = await compiled(
    documents(provider.issuer, {
      'bob.yaml': `operator: robert
identity: { issuer: "${provider.issuer}", claims: { sub: bob } }
roles: [approver, operator]
approves: [prod]
`,
    }),
  )
  t.equal(await who(renamed, at), undefined, "nor does it become another operator's")
  const [entry] = await at.entries('operator.session_ended')
  t.match(entry?.body, { operator: 'carol', why: 'policy_changed' })
  const kept = await at.database.query('SELECT FROM writ.console_session WHERE identity IS NOT NULL')
  t.equal(kept.length, 0, 'and nothing of the person stays')
})

t.test('showing again that it is them', async (t) => {
  const { at, provider } = await stage(t)
  const browser = new Browser()
  await browser.go(await wayBack(browser, at, provider.issuer, 'bob'))
  await age(at.sql, 1800)
  const session = async () => {
    const response = await browser.go(`${at.origin}/console/requests`, {
      headers: { accept: 'application/json' },
    })
    return ((await response.json()) as { session: { id: string; authenticatedAt: string } }).session
  }
  const before = await session()
  t.ok(Date.now() - Date.parse(before.authenticatedAt) > 1_700_000)
  const page = await (await browser.go(`${at.origin}/console/sign-in?again=1&to=/console/keys`)).text()
  t.match(page, 'again=1')
  const authorization = new URL(await leave(browser, startOf(at, provider.issuer, { again: '1' })))
  t.match(Object.fromEntries(authorization.searchParams), { prompt: 'login', max_age: '0' })
  await browser.go(await browser.signInAt(authorization.href, 'bob'))
  const after = await session()
  t.not(after.id, before.id)
  t.ok(Date.now() - Date.parse(after.authenticatedAt) < 60_000)
  const [entry] = await at.entries('operator.session_ended')
  t.match(entry?.body, { session: before.id, why: 'signed_in_again' })

  // A browser can leave out what asks for it; the provider then answers from its own session.
  const lazy = new URL(await leave(browser, startOf(at, provider.issuer, { again: '1' })))
  for (const name of ['prompt', 'max_age']) lazy.searchParams.delete(name)
  const answer = await browser.go(await browser.signInAt(lazy.href, 'bob'))
  t.equal(answer.status, 403)
  t.match(await answer.text(), 'auth_time')
})

t.test('another site cannot begin a sign-in', async (t) => {
  const { at, provider } = await stage(t)
  const answer = await new Browser().go(startOf(at, provider.issuer), {
    headers: { 'sec-fetch-site': 'cross-site' },
  })
  t.equal(answer.headers.get('location'), '/console/sign-in?to=%2Fconsole%2Frequests')
  t.strictSame(answer.headers.getSetCookie(), [])
})

t.test('an issuer that is down', async (t) => {
  const { at, provider } = await stage(t)
  const browser = new Browser()
  const authorization = await leave(browser, startOf(at, provider.issuer))
  const back = await browser.signInAt(authorization, 'bob')
  await provider.stop()
  const answer = await browser.go(back)
  t.equal(answer.status, 503)
  t.match(await answer.text(), /issuer_unavailable/)
  t.match(answer.headers.get('content-type'), 'text/html')
  at.policySet = await compiled(documents('http://127.0.0.1:9'))
  const start = await browser.go(startOf(at, 'http://127.0.0.1:9'))
  t.equal(start.status, 503)
  t.match(await start.text(), /issuer_unavailable/)
  t.equal((await browser.go(`${at.origin}/console/sign-in`)).status, 200, 'the broker goes on')
  t.equal((await browser.go(startOf(at, 'https://unknown.example'))).status, 403, 'no issuer of ours')
})

t.test('a passkey alone signs nobody in where an issuer does', async (t) => {
  const { at } = await stage(t)
  const answer = await fetch(`${at.origin}/console/sign-in/passkey/options`, {
    method: 'POST',
    headers: { origin: at.origin },
  })
  t.equal(answer.status, 403)
  t.match(await answer.json(), { code: 'sign_in_failed' })
})
