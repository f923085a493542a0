import t, { type Test } from 'tap'
import type { Change, SoftwareKey } from '../../../cli/software-key.js'
import { createPool } from '../../../server/db/pool.js'
import { userHandle } from '../../../server/operators/ceremonies.js'
import type { SignInMethod } from '../../../server/operators/sessions.js'
import { compiled, GOOD } from '../../policy/support.js'
import { age, startSession } from '../../support/console.js'
import { type ConsoleApp, consoleApp } from '../../support/console-app.js'
import { silent } from '../../support/postgres.js'
import { enrolKey } from '../../support/signing.js'

const DOCUMENTS: Readonly<Record<string, string>> = {
  ...GOOD,
  'carol.yaml': `operator: carol
identity: { issuer: "https://login.example.com", claims: { sub: carol } }
roles: [security]
`,
}

/** A console without an issuer to sign in at, as in local mode, and a passkey of each operator. */
async function stage(t: Test): Promise<{ at: ConsoleApp; bob: SoftwareKey; carol: SoftwareKey }> {
  const at = await consoleApp(t, await compiled(DOCUMENTS))
  const owner = createPool({
    connectionString: at.sql.superuserUrl,
    applicationName: 'writ test',
    log: silent,
    max: 1,
  })
  const site = { rpId: 'localhost', origin: at.origin }
  const enrol = (operator: string) => enrolKey(owner, at.database, operator, site)
  const keys = { bob: await enrol('bob'), carol: await enrol('carol') }
  await owner.end()
  return { at, ...keys }
}

async function post(at: ConsoleApp, path: string, body: unknown, cookie = '', origin = at.origin) {
  const answer = await fetch(`${at.origin}${path}`, {
    method: 'POST',
    headers: { origin, cookie, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const [set = ''] = answer.headers.getSetCookie()
  return {
    status: answer.status,
    body: (await answer.json()) as Record<string, string>,
    cookie: set.split(';')[0] ?? '',
  }
}

interface Begun {
  readonly challenge: string
  readonly options: {
    challenge: string
    rpId: string
    userVerification: string
    allowCredentials?: unknown[]
  }
}

const begin = async (at: ConsoleApp, cookie = '') =>
  (await post(at, '/console/sign-in/passkey/options', {}, cookie)).body as unknown as Begun

async function signIn(at: ConsoleApp, key: SoftwareKey, operator: string, change: Change = {}, cookie = '') {
  const { challenge, options } = await begin(at, cookie)
  const credential = key.authenticate(
    Buffer.from(options.challenge, 'base64url'),
    userHandle(operator),
    change,
  )
  return post(at, '/console/sign-in/passkey', { challenge, credential, to: '/console/requests?id=1' }, cookie)
}

async function who(at: ConsoleApp, cookie: string) {
  const answer = await fetch(`${at.origin}/console/requests`, {
    headers: { cookie, accept: 'application/json' },
  })
  return (await answer.json()) as {
    operator?: string
    session?: { id: string; authenticatedAt: string; method: SignInMethod }
  }
}

t.test('a passkey signs in where no issuer does', async (t) => {
  const { at, bob } = await stage(t)
  t.match(await (await fetch(`${at.origin}/console/sign-in`)).text(), 'sign-in.js')
  const { options } = await begin(at)
  t.match(options, { rpId: 'localhost', userVerification: 'required' })
  t.strictSame(options.allowCredentials ?? [], [], 'nobody learns who has which key')
  const done = await signIn(at, bob, 'bob')
  t.equal(done.status, 200)
  t.equal(done.body.to, '/console/requests?id=1')
  t.match(await who(at, done.cookie), { operator: 'bob', session: { method: 'passkey' } })
  const [entry] = await at.entries('operator.signed_in')
  t.match(entry?.body, { operator: 'bob', method: 'passkey', key_id: bob.id })
  t.strictSame(entry?.personal, { source_ip: '127.0.0.1' })
})

t.test('nothing else than this passkey, here, now, with its human', async (t) => {
  const { at, bob, carol } = await stage(t)
  const changes: Readonly<Record<string, Change>> = {
    'an unverified user': { userVerified: false },
    'nobody there': { userPresent: false },
    'another origin': { origin: 'https://evil.example' },
    'another site': { rpId: 'evil.example' },
    'another challenge': { challenge: Buffer.alloc(32) },
    'another ceremony': { type: 'webauthn.create' },
    'a frame elsewhere': { crossOrigin: true },
    'another key': { wrongKey: true },
  }
  for (const [what, change] of Object.entries(changes)) {
    const answer = await signIn(at, bob, 'bob', change)
    t.equal(answer.status, 403, what)
    t.equal(answer.body.code, 'signature_invalid', what)
    t.equal(answer.cookie, '', what)
  }
  t.equal((await signIn(at, bob, 'carol')).body.code, 'signature_invalid', "another's user handle")
  const entries = await at.entries('operator.refused')
  t.match(entries[0]?.body, { operator: 'bob', code: 'signature_invalid' })

  const { challenge, options } = await begin(at)
  const credential = carol.authenticate(Buffer.from(options.challenge, 'base64url'), userHandle('carol'))
  const body = { challenge, credential }
  t.equal((await post(at, '/console/sign-in/passkey', body, '', 'https://evil.example')).body.code, 'csrf')
  t.equal((await post(at, '/console/sign-in/passkey', body)).status, 200)
  t.equal((await post(at, '/console/sign-in/passkey', body)).body.code, 'challenge_over', 'replayed')
  await at.database.query('SELECT writ.remove_key($1::jsonb)', [
    JSON.stringify({ key_id: carol.id, operator: 'carol' }),
  ])
  t.equal((await signIn(at, carol, 'carol')).body.code, 'key_unknown', 'removed')
  const { 'bob.yaml': _, ...others } = DOCUMENTS
  at.policySet = await compiled(others)
  t.equal((await signIn(at, bob, 'bob')).body.code, 'operator_unknown', 'an operator without a document')
})

t.test('a passkey shows again that its human is there', async (t) => {
  const { at, bob, carol } = await stage(t)
  const before = await startSession(at.sql, 'bob')
  await age(at.sql, 600)
  t.equal(
    (await signIn(at, carol, 'carol', {}, before.cookie)).body.code,
    'key_unknown',
    "a colleague's does not",
  )
  const other = await begin(at)
  const borrowed = bob.authenticate(Buffer.from(other.options.challenge, 'base64url'), userHandle('bob'))
  const body = { challenge: other.challenge, credential: borrowed }
  t.equal(
    (await post(at, '/console/sign-in/passkey', body, before.cookie)).body.code,
    'key_unknown',
    'of no session',
  )
  const done = await signIn(at, bob, 'bob', {}, before.cookie)
  t.equal(done.status, 200)
  const now = await who(at, done.cookie)
  t.equal(now.session?.id, before.id)
  t.ok(Date.now() - Date.parse(now.session?.authenticatedAt ?? '') < 60_000)
  t.not(done.cookie, before.cookie)
  t.equal((await who(at, before.cookie)).operator, undefined, 'a copy of the old cookie is not fresh')
})
