import t from 'tap'
import {
  breakGlassSeconds,
  listBreakGlass,
  mayBreakGlass,
  pendingReviews,
  reviewBreakGlass,
} from '../../server/grants/break-glass.js'
import { listGrantRequests, listGrants } from '../../server/grants/store.js'
import { newId } from '../../server/issuance/id.js'
import type { Operator } from '../../server/types.js'
import { testLedger } from '../support/ledger.js'
import { environment } from '../support/policy.js'
import { desk, type Fields, WHY } from './break-glass-setup.js'

const operator = (name: string, ...others: string[]): Operator => ({
  name,
  identity: { issuer: 'https://issuer.example.com', claims: new Map() },
  roles: new Set(['approver']),
  teams: new Set(),
  alsoKnownAs: new Set([name, ...others]),
  approves: new Set(),
})

t.test('policy names the few', async (t) => {
  const few = { breakGlass: { operators: new Set(['bob']), maxSeconds: 1800 } }
  const production = environment('production', few)
  t.equal(mayBreakGlass(production, operator('bob')), true)
  t.equal(mayBreakGlass(production, operator('dora', 'bob')), false, 'by their own name')
  t.equal(mayBreakGlass(environment('production'), operator('bob')), false, 'nobody where nobody is named')
  t.equal(mayBreakGlass(environment('staging', few), operator('bob')), false, 'in production')
  t.equal(breakGlassSeconds(production, 3600), 1800)
  t.equal(breakGlassSeconds(production, 600), 600)
  const lax = environment('production', { breakGlass: { operators: new Set(), maxSeconds: 86_400 } })
  t.equal(breakGlassSeconds(lax, 604_800), 3600, 'an hour, whatever the document says')
})

t.test('one human alone, for an hour at most, and everybody hears of it', async (t) => {
  const ledger = await testLedger(t)
  const { broker } = ledger
  const { open, glass, decide } = desk(ledger)
  const asked = await open({ valid_seconds: 7200, human: 'erin' })
  t.match(await decide(await glass(asked, 'bob')), { code: 'signed_something_else' }, 'two hours')
  t.match(await decide(await glass(asked, 'bob', {}, { valid_seconds: 3601 })), {
    code: 'signed_something_else',
  })
  t.match(await decide(await glass(asked, 'bob', {}, { valid_seconds: 59.5 })), {
    code: 'signed_something_else',
  })
  t.match(await decide(await glass(asked, 'bob', {}, { valid_seconds: '600' })), {
    code: 'signed_something_else',
  })
  t.match(
    await decide(await glass(asked, 'bob', { break_glass: false }, { valid_seconds: 3600 })),
    { code: 'signed_something_else' },
    'signed as an emergency and told as none',
  )
  const done = await decide(await glass(asked, 'bob', {}, { valid_seconds: 3600 }))
  t.match(done, { state: 'granted', approvals: 1, grant_id: String }, 'where two are needed')
  const id = String(done.grant_id)

  const [grant] = await listGrants(broker, { id }, { limit: 1 })
  t.match(grant, { break_glass: true, reviewed_at: null, approved_by: ['bob'], state: 'live' })
  t.equal(Date.parse(grant?.expires_at ?? '') - Date.parse(grant?.not_before ?? ''), 3_600_000)
  const [request] = await listGrantRequests(broker, { id: String(asked.id) }, { limit: 1 })
  t.match(request, { break_glass: true, decisions: [{ operator: 'bob', comment: WHY, break_glass: true }] })
  const [waiting, ...none] = await pendingReviews(broker)
  t.strictSame(none, [])
  t.match(waiting, {
    grant_id: id,
    operator: 'bob',
    comment: WHY,
    overdue: false,
    agent: 'orders-coder',
    uses: 0,
  })
  t.equal(Date.parse(waiting?.review_due ?? '') - Date.parse(waiting?.at ?? ''), 86_400_000)

  const bodies = await broker.query<{ kind: string; body: Fields }>(
    "SELECT kind, convert_from(body, 'UTF8')::jsonb AS body FROM writ.entry WHERE request_id = $1 ORDER BY idx",
    [asked.id],
  )
  t.match(bodies, [
    { kind: 'grant_request.opened', body: { destroys: false, signature_required: true } },
    { kind: 'grant_request.approved', body: { break_glass: true } },
    { kind: 'grant.created', body: { break_glass: true, approved_by: ['bob'] } },
  ])
  t.notMatch(JSON.stringify(bodies), WHY, 'and why they did is beside the log')

  const usual = await open({ approvals_needed: 1 })
  const made = await decide(await ledger.sign(usual, 'dora'))
  const [other] = await listGrants(broker, { id: String(made.grant_id) }, { limit: 1 })
  t.match(other, { break_glass: false, reviewed_at: null })
  t.equal((await pendingReviews(broker)).length, 1, 'others wait for nobody')
})

t.test('not for oneself, not to delete, not without a reason', async (t) => {
  const ledger = await testLedger(t)
  const { open, glass, decide } = desk(ledger)
  const asked = await open({ barred_teams: ['orders'], barred_humans: ['erin'] })
  const refused = async (argument: Promise<object>, code: string, why: string) =>
    t.match(await decide(await argument), { status: 'refused', code }, why)
  await refused(glass(asked, 'bob', { operator_teams: ['orders'] }), 'approver_is_owner', 'the owner')
  await refused(
    glass(asked, 'bob', { operator_names: ['bob', 'Erin'] }),
    'approver_is_beneficiary',
    'for erin',
  )
  await refused(glass(asked, 'bob', { comment: 'too short' }), 'break_glass_not_allowed', 'nine characters')
  await refused(glass(asked, 'bob', { comment: `a${' '.repeat(20)}` }), 'break_glass_not_allowed', 'blanks')
  const deny = { decision: 'deny' }
  await refused(glass(asked, 'bob', deny, deny), 'break_glass_not_allowed', 'denying takes no breaking')
  await refused(glass(await open({ destroys: true }), 'bob'), 'break_glass_not_allowed', 'deleting')
  await refused(glass(await open({ destroys: null }), 'bob'), 'break_glass_not_allowed', 'who knows')
  await refused(glass(asked, 'bob', { policy_digest: 'other' }), 'grant_stale', 'another policy')
  t.match(await decide(await glass(asked, 'bob')), { state: 'granted' })

  const first = await open()
  t.match(await decide(await ledger.sign(first, 'bob')), { state: 'pending' })
  await refused(glass(first, 'bob'), 'already_decided', 'a second decision of the same human')
  const both = await Promise.all([glass(first, 'dora'), glass(first, 'erin')])
  const at = await Promise.all(both.map(decide))
  t.strictSame(at.map(({ code }) => code ?? 'ok').sort(), ['ok', 'request_closed'], 'two at once')
  const [grant] = await listGrants(
    ledger.broker,
    { id: String(at.find((one) => one.grant_id)?.grant_id) },
    { limit: 1 },
  )
  t.equal(grant?.approved_by.length, 2, 'those who approved before are named too')
})

t.test('somebody else reviews it, once', async (t) => {
  const ledger = await testLedger(t)
  const { broker } = ledger
  const { open, glass, decide, broken } = desk(ledger)
  const asked = await open()
  const done = await decide(await glass(asked, 'bob', { operator_names: ['bob', 'bob@example.com'] }))
  const grantId = String(done.grant_id)
  const review = (by: Operator, change = {}) =>
    reviewBreakGlass(broker, by, { grantId, verdict: 'not-justified', comment: 'Dora was there', ...change })

  await t.rejects(review(operator('bob')), { code: 'review_is_own' })
  await t.rejects(
    review(operator('robert', 'BOB@example.com')),
    { code: 'review_is_own' },
    'under another name',
  )
  await t.rejects(review(operator('carol'), { grantId: newId() }), { code: 'not_found' })
  const usual = await decide(await ledger.sign(await open({ approvals_needed: 1 }), 'dora'))
  await t.rejects(
    review(operator('carol'), { grantId: usual.grant_id }),
    { code: 'not_found' },
    'a usual grant',
  )

  const at = await Promise.allSettled([review(operator('carol')), review(operator('dora'))])
  t.strictSame(at.map(({ status }) => status).sort(), ['fulfilled', 'rejected'], 'two at once')
  await t.rejects(review(operator('dora'), { verdict: 'justified' }), { code: 'already_reviewed' })
  const [view] = await listBreakGlass(broker, { grant: grantId }, { limit: 1 })
  t.match(view, { reviewed_at: String, verdict: 'not-justified', overdue: false })
  t.match(await listGrants(broker, { id: grantId }, { limit: 1 }), [{ reviewed_at: view?.reviewed_at }])
  t.strictSame(await pendingReviews(broker), [])

  const entries = await broker.query<{ body: Fields; personal: string }>(
    `SELECT convert_from(body, 'UTF8')::jsonb AS body, convert_from(personal, 'UTF8') AS personal
     FROM writ.entry WHERE kind = 'grant.reviewed'`,
  )
  t.equal(entries.length, 1)
  const said = { verdict: 'not-justified', grant_id: grantId, request_id: asked.id, agent: 'orders-coder' }
  t.match(entries[0]?.body, { ...said, operator: view?.reviewed_by, environment: 'production' })
  t.notOk('comment' in (entries[0]?.body ?? {}))
  t.strictSame(JSON.parse(entries[0]?.personal ?? ''), { comment: 'Dora was there' })

  const later = [await broken(), await broken({}, 'dora'), await broken()].map((one) => one.grant_id)
  t.strictSame(
    (await pendingReviews(broker)).map((one) => one.grant_id),
    later,
    'the longest waiting first',
  )
  const newest = await listBreakGlass(broker, {}, { limit: 3 })
  t.strictSame(
    newest.map((one) => one.grant_id),
    [...later].reverse(),
  )
  const last = newest.at(-1)
  const page = { limit: 5, before: { at: last?.at ?? '', id: last?.grant_id ?? '' } }
  t.strictSame(
    (await listBreakGlass(broker, {}, page)).map((one) => one.grant_id),
    [grantId],
  )
  t.equal((await listBreakGlass(broker, { reviewed: true }, { limit: 9 })).length, 1)
})

t.test('while one waits for its review past its day, nobody breaks the glass there', async (t) => {
  const ledger = await testLedger(t)
  const { open, glass, decide, broken, overdue } = desk(ledger)
  const first = await broken()
  t.match(await broken({}, 'dora'), { state: 'granted' }, 'a day is a day')
  await overdue(first.grant_id)
  t.match(await pendingReviews(ledger.broker), [{ overdue: true }, { overdue: false }])
  const asked = await open()
  for (const human of ['bob', 'dora']) {
    t.match(await decide(await glass(asked, human)), { code: 'break_glass_unreviewed' }, human)
  }
  t.match(await broken({ environment: 'production-us' }), { state: 'granted' }, 'elsewhere they do')
  const usual = await open({ approvals_needed: 1 })
  t.match(await decide(await ledger.sign(usual, 'bob')), { state: 'granted' }, 'and the usual way is open')
  const review = { grantId: String(first.grant_id), verdict: 'justified', comment: 'It was' } as const
  await reviewBreakGlass(ledger.broker, operator('carol'), review)
  t.match(await decide(await glass(asked, 'dora')), { state: 'granted' })
})
