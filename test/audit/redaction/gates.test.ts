import t, { type Test } from 'tap'
import { previewRedaction, RedactionRefused, redact } from '../../../server/audit/redact.js'
import { bodyProblems } from '../../support/bodies.js'
import { dump } from '../../support/dump.js'
import { failsWith } from '../../support/fails.js'
import { intentItem, READ_ROLE, requestArgument } from '../../support/items.js'
import type { Ledger } from '../../support/ledger.js'
import { ownedLedger } from './support.js'

const ORDER = { by: 'dana', why: 'asked to' }
const about = (human: string, change = {}) =>
  intentItem({
    role_arn: READ_ROLE,
    personal: {
      human,
      subject: 'agent:orders-coder',
      source_ip: '192.0.2.7',
      reason: `for ${human}`,
      ...change,
    },
    seen: { human, source_ip: '192.0.2.7' },
  })

const refusedWith = async (
  t: Test,
  work: Promise<unknown>,
  code: string,
  requests: readonly string[] = [],
) => {
  const found = await work.then(
    () => 'done',
    (error: unknown) => error,
  )
  t.match(found, found instanceof RedactionRefused ? { code, requests } : { code }, code)
}

/** What a run of the log says it erased, as single indexes. */
async function erasedOf(ledger: Pick<Ledger, 'broker'>): Promise<number[]> {
  const rows = await ledger.broker.query<{ body: Buffer }>(
    "SELECT body FROM writ.entry WHERE kind = 'log.redacted' ORDER BY idx",
  )
  return rows.flatMap(({ body }) =>
    (JSON.parse(body.toString('utf8')).erased as [number, number][]).flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i),
    ),
  )
}

t.test('the broker cannot erase', async (t) => {
  const { broker, append } = await ownedLedger(t)
  await append(about('Mia'))
  const call = (sql: string, values: unknown[] = []) => failsWith(t, broker.query(sql, values), '42501', sql)
  await call('SELECT writ.redact($1::jsonb)', [JSON.stringify({ ...ORDER, human: 'Mia' })])
  await call("SELECT writ.redaction_names('{}', 0)")
  await call('UPDATE writ.entry SET personal = NULL, salt = NULL, human = NULL, source_ip = NULL')
  await call('UPDATE writ.grant_request SET reason = NULL')
  await call('UPDATE writ.grant_decision SET comment = NULL')
  await call('SELECT FROM writ_archive.entry_0')
  await call('SET ROLE writ_owner')
  const forged = { op: 'event', kind: 'log.redacted', payload: { ...ORDER, erased: [] } }
  await failsWith(
    t,
    broker.query('SELECT writ.append($1::jsonb)', [JSON.stringify([forged])]),
    'WR009',
    'nor say it did',
  )
})

t.test('who asks must say who and why, and not whose', async (t) => {
  const { owner } = await ownedLedger(t)
  const order = (change: object) => redact(owner, { ...ORDER, human: 'Mia Moss', ...change })
  await refusedWith(t, order({ by: '' }), 'by_and_why')
  await refusedWith(t, order({ why: '' }), 'by_and_why')
  await refusedWith(t, order({ why: 'w'.repeat(1001) }), 'by_and_why')
  await refusedWith(t, redact(owner, ORDER), 'nobody_named')
  await refusedWith(t, order({ human: '' }), 'nobody_named')
  await refusedWith(t, order({ why: 'MIA MOSS asked for it' }), 'names_the_person')
  await refusedWith(t, order({ by: 'mia moss' }), 'names_the_person')
  await refusedWith(t, order({ human: undefined, subject: 'repo:x', why: 'of Repo:X' }), 'names_the_person')
  t.match(await order({}), { entries: 0, tables: [] })
})

t.test('by index, by subject, and what is only mentioned', async (t) => {
  const ledger = await ownedLedger(t)
  const { owner, append, broker, superuserUrl } = ledger
  const issued = about('Mia Moss')
  const verdicts = await append(
    issued,
    about('Noah', { reason: 'as Mia Moss told me' }),
    about('Noah', { subject: 'user:noah' }),
    {
      op: 'outcome',
      issuance_id: issued.issuance_id,
      state: 'issued',
      access_key_id: 'ASIA1',
      expires_at: new Date(Date.now() + 60_000).toISOString(),
      assumed_role_arn: 'arn',
      assumed_role_id: 'id',
      seen: { human: 'Mia Moss' },
    },
  )
  const [mia, noah, user, outcome] = verdicts.map((one) => (one.status === 'ok' ? one.index : -1)) as [
    number,
    number,
    number,
    number,
  ]
  t.match(await previewRedaction(owner, { ...ORDER, human: 'Mia Moss' }), {
    entries: 2,
    mentioned: [noah],
    alive: 1,
  })
  await redact(owner, { ...ORDER, indexes: [[mia, mia]] })
  t.strictSame(await erasedOf(ledger), [mia, outcome], 'with the names on what followed from it')
  await redact(owner, { ...ORDER, indexes: [[noah, noah]] })
  t.notMatch(await dump(superuserUrl), /Mia Moss/)
  t.match(await dump(superuserUrl), /user:noah/)
  await redact(owner, { ...ORDER, subject: 'user:noah' })
  t.strictSame(await erasedOf(ledger), [mia, outcome, noah, user])
  const left = await broker.query(
    'SELECT FROM writ.entry WHERE num_nonnulls(personal, salt, human, source_ip) > 0',
  )
  t.equal(left.length, 0)
  const problems = (await bodyProblems(superuserUrl)).filter((one) => one.startsWith('log.redacted'))
  t.strictSame(problems, [], 'the entries that tell of it are of their kind')
})

t.test('a request that waits for a human is not erased under their eyes', async (t) => {
  const { owner, broker, append } = await ownedLedger(t)
  const asked = requestArgument({
    human: 'Mia Moss',
    human_how: 'verified',
    reason: 'hers',
    barred_humans: ['Mia Moss'],
  })
  await broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(asked)])
  await append(about('Mia Moss'))
  const order = { ...ORDER, human: 'Mia Moss' }
  t.match(await previewRedaction(owner, order), { pending: [asked.id] })
  await refusedWith(t, redact(owner, order), 'requests_pending', [String(asked.id)])
  const [row] = await broker.query('SELECT count(*)::int AS n FROM writ.entry WHERE human IS NOT NULL')
  t.match(row, { n: 2 }, 'nothing of it was erased')
  const erase = `UPDATE writ.grant_request SET reason = NULL, ticket = NULL, human = NULL, human_how = NULL,
    barred_humans = '{}', content_sha256 = NULL`
  await failsWith(t, owner.query(erase), 'WR001', 'the trigger says so too')
  await broker.query("SELECT writ.withdraw_grant_request($1, 'agent:orders-coder', NULL)", [asked.id])
  t.match(await redact(owner, order), { entries: 3, requests: [asked.id] })
  const [barred] = await broker.query('SELECT to_jsonb(r) AS row FROM writ.grant_request r')
  t.notMatch(JSON.stringify(barred), /Mia/)
})

t.test('a human who was only barred from approving', async (t) => {
  const { owner, broker, superuserUrl } = await ownedLedger(t)
  const asked = requestArgument({ human: 'Noah', human_how: 'verified', barred_humans: ['Noah', 'Mia Moss'] })
  await broker.query('SELECT writ.open_grant_request($1::jsonb)', [JSON.stringify(asked)])
  await broker.query("SELECT writ.withdraw_grant_request($1, 'agent:orders-coder', NULL)", [asked.id])
  t.match(await redact(owner, { ...ORDER, human: 'Mia Moss' }), { requests: [asked.id] })
  t.notMatch(await dump(superuserUrl), /Mia Moss/)
})

t.test('the triggers allow that one change and no other, to the owner of the tables too', async (t) => {
  const { owner, append, grant, broker } = await ownedLedger(t)
  await append(about('Mia'))
  const id = await grant()
  const other = async (sql: string) => failsWith(t, owner.query(sql), 'WR001', sql)
  await other("UPDATE writ.entry SET human = 'Noah'")
  await other(
    "UPDATE writ.entry SET personal = NULL, salt = NULL, human = NULL, source_ip = NULL, agent = 'other'",
  )
  await other(
    "UPDATE writ.grant_request SET reason = 'better', ticket = NULL, human = NULL, human_how = NULL, content_sha256 = NULL",
  )
  await other(`UPDATE writ.grant_request SET reason = NULL, ticket = NULL, human = NULL, human_how = NULL,
    content_sha256 = NULL, barred_humans = '{}', max_uses = 99`)
  await other("UPDATE writ.grant_decision SET comment = 'nicer'")
  await other("UPDATE writ.grant_decision SET comment = NULL, operator = 'carol', operator_names = '{carol}'")
  await other('UPDATE writ.grants SET revoke_reason = NULL')
  await broker.query("SELECT writ.revoke_grant($1, 'bob', 'enough')", [id])
  await other("UPDATE writ.grants SET revoke_reason = 'other'")
  await other("UPDATE writ.grants SET revoke_reason = NULL, revoked_by = 'carol'")
  await other('DELETE FROM writ.grants')
  await owner.query('UPDATE writ.grants SET revoke_reason = NULL')
})

t.test('many runs are told in entries that fit a bundle', { timeout: 60_000 }, async (t) => {
  const ledger = await ownedLedger(t)
  const wanted: number[] = []
  for (let batch = 0; batch < 10; batch++) {
    const items = Array.from({ length: 250 }, (_, i) => about(i % 2 === 0 ? 'Mia' : 'Noah'))
    for (const [i, one] of (await ledger.append(...items)).entries())
      if (i % 2 === 0 && one.status === 'ok') wanted.push(one.index)
  }
  await redact(ledger.owner, { by: 'd'.repeat(200), why: '\u0001'.repeat(1000), human: 'Mia' })
  t.strictSame(await erasedOf(ledger), wanted)
  const told = await ledger.broker.query("SELECT FROM writ.entry WHERE kind = 'log.redacted'")
  t.equal(told.length, 2, '1,250 runs in two entries')
})

t.test('what is recorded while it works is erased as well', { timeout: 60_000 }, async (t) => {
  const { owner, append, broker, superuserUrl } = await ownedLedger(t)
  let going = true
  const appending = (async () => {
    while (going) await append(...Array.from({ length: 20 }, () => about('Mia')))
  })()
  const ends: number[] = []
  // Until appending kept up with it often enough, however busy the machine is.
  for (let i = 0; i < 5 || ends.length < 2; i++) {
    const { log } = await redact(owner, { ...ORDER, human: 'Mia' })
    if (log !== undefined) ends.push(log[0])
  }
  going = false
  await appending
  t.ok(ends.length > 1)
  const [row] = await broker.query<{ first: string | null }>(
    "SELECT min(idx) AS first FROM writ.entry WHERE human = 'Mia'",
  )
  t.ok(
    Number(row?.first ?? Number.MAX_SAFE_INTEGER) > (ends.at(-1) ?? 0),
    'all that came before the entry that says so',
  )
  await redact(owner, { ...ORDER, human: 'Mia' })
  t.notMatch(await dump(superuserUrl), /Mia/)
})
