import t from 'tap'
import { newId } from '../../server/issuance/id.js'
import { createSessions } from '../../server/operators/sessions.js'
import { createSignInStates } from '../../server/operators/sign-in-states.js'
import { age } from '../support/console.js'
import { testLedger } from '../support/ledger.js'
import { databaseError } from '../support/postgres.js'

const identity = {
  issuer: 'https://login.example.com',
  subject: 'bob-4711',
  claims: { sub: 'bob-4711' },
  looked_at: ['sub'],
}
const started = { operator: 'bob', method: 'oidc', identity, authenticatedAt: new Date() } as const

t.test("the broker's login can do no more than sign in and out", async (t) => {
  const { broker } = await testLedger(t)
  const sessions = createSessions(broker, newId)
  const { id, secret } = await sessions.start(started)
  for (const statement of [
    "UPDATE writ.console_session SET operator = 'alice'",
    'UPDATE writ.console_session SET authenticated_at = now()',
    "UPDATE writ.console_session SET expires_at = expires_at + interval '1 day'",
    'DELETE FROM writ.console_session',
    'TRUNCATE writ.console_session',
    'SELECT * FROM writ.sign_in',
    'DELETE FROM writ.sign_in',
    `INSERT INTO writ.console_session SELECT * FROM writ.console_session`,
    "SELECT writ.end_session_row(NULL, NULL, 'x', 'y')",
  ]) {
    await t.rejects(broker.query(statement), databaseError({ sqlState: '42501' }), statement)
  }
  t.equal((await sessions.find(secret))?.id, id)
  const [row] = await broker.query<{ text: string }>(
    'SELECT to_jsonb(s)::text AS text FROM writ.console_session s',
  )
  const [token = '', seed = ''] = secret.split('.')
  t.notMatch(row?.text, token, 'not the secret')
  t.notMatch(row?.text, seed, 'nor what CSRF tokens are made of')
})

t.test('what cannot be in a row is refused by the table itself', async (t) => {
  const { broker, owner } = await testLedger(t)
  const sessions = createSessions(broker, newId)
  await t.rejects(sessions.start({ ...started, method: 'passkey' }), databaseError({ sqlState: '23514' }))
  const { identity: _, ...without } = started
  await t.rejects(sessions.start(without), databaseError({ sqlState: '23514' }))
  await sessions.start(started)
  for (const change of [
    "expires_at = created_at + interval '12 hours 1 second'",
    'ended_at = now()',
    "ended_at = now(), why = 'ended'",
    "why = 'ended'",
    "ended_at = now(), why = 'felt like it', identity = NULL",
  ]) {
    await t.rejects(
      owner.query(`UPDATE writ.console_session SET ${change}`),
      databaseError({ sqlState: '23514' }),
      change,
    )
  }
  await t.rejects(owner.query('TRUNCATE writ.console_session'), databaseError({ sqlState: 'WR001' }))
})

t.test('nothing of a person stays when a session is over, and after a month nothing at all', async (t) => {
  const ledger = await testLedger(t)
  const { broker } = ledger
  const sessions = createSessions(broker, newId)
  const rows = () =>
    broker.query<{ id: string; why: string | null; identity: unknown }>(
      'SELECT id, why, identity FROM writ.console_session ORDER BY created_at',
    )
  const ended = await sessions.start(started)
  t.equal(await sessions.end(ended.id, 'signed_out'), true)
  t.equal(await sessions.end(ended.id, 'signed_out'), false, 'once')
  t.equal(await sessions.end('000000000000', 'signed_out'), undefined)
  const idle = await sessions.start(started)
  await age(ledger, 3601)
  const before = await sessions.start(started)
  const idleToo = await sessions.start(started)
  await age(ledger, 3601, idleToo.id)
  const authenticatedAt = new Date(Date.now() + 3_600_000)
  const last = await sessions.start({ ...started, authenticatedAt, replaces: before.id })
  t.strictSame(
    (await rows()).map(({ id, why, identity }) => [id, why, identity === null]),
    [
      [ended.id, 'signed_out', true],
      [idle.id, 'idle', true],
      [idleToo.id, 'idle', true],
      [before.id, 'signed_in_again', true],
      [last.id, null, false],
    ],
  )
  const [told] = await broker.query<{ n: number }>(
    "SELECT count(*)::integer AS n FROM writ.entry WHERE kind = 'operator.session_ended'",
  )
  t.equal(told?.n, 4)
  const [log] = await broker.query<{ whole: boolean }>(
    'SELECT (SELECT size FROM writ.log_head) = (SELECT count(*) FROM writ.entry) AS whole',
  )
  t.equal(log?.whole, true, 'two batches in one statement')
  const found = await sessions.find(last.secret)
  t.ok((found?.authenticatedAt.getTime() ?? 0) <= Date.now() + 1000, 'nobody authenticated in the future')
  await age(ledger, 31 * 86_400)
  const next = await sessions.start(started)
  t.strictSame(
    (await rows()).map(({ id }) => id),
    [last.id, next.id],
  )
})

t.test('sessions of many at once', async (t) => {
  const { broker } = await testLedger(t)
  const sessions = createSessions(broker, newId)
  const all = await Promise.all(Array.from({ length: 20 }, () => sessions.start(started)))
  t.equal((await sessions.list('bob')).length, 20)
  t.equal((await sessions.list('alice')).length, 0)
  await Promise.all(all.map(({ id }) => sessions.end(id, 'ended', { operator: 'bob' })))
  t.equal((await sessions.list()).length, 0)
  t.equal(await sessions.end(all[0]?.id ?? '', 'ended', { operator: 'alice' }), undefined, "not alice's")
  const one = await sessions.start(started)
  const rotated = await Promise.all(Array.from({ length: 8 }, () => sessions.rotate(one.secret)))
  t.equal(rotated.filter((next) => next !== undefined).length, 1, 'one secret follows')
})

t.test('a sign-in under way is taken once, even by many at once', async (t) => {
  const { broker } = await testLedger(t)
  const states = createSignInStates(broker)
  const cookie = await states.begin('state', { to: '/console' })
  const taken = await Promise.allSettled(Array.from({ length: 8 }, () => states.take('state', cookie)))
  t.equal(taken.filter(({ status }) => status === 'fulfilled').length, 1)
  const another = await states.begin('second', { to: '/console/grants' })
  await t.rejects(states.take('second', cookie), { code: 'sign_in_failed' }, 'not with the cookie of another')
  await t.rejects(states.take('second', another), { code: 'sign_in_failed' }, 'and that used it up')
})
