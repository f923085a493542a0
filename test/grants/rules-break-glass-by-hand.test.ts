import t from 'tap'
import { pendingReviews } from '../../server/grants/break-glass.js'
import { newId } from '../../server/issuance/id.js'
import { failsWith } from '../support/fails.js'
import { testLedger } from '../support/ledger.js'
import { desk, type Fields, WHY } from './break-glass-setup.js'

t.test('the owner of the tables cannot make such a grant, nor hide one', async (t) => {
  const ledger = await testLedger(t)
  const { owner } = ledger
  const { open, glass, broken, overdue } = desk(ledger)
  const fails = (sql: string, values: unknown[], state: string, why: string) =>
    failsWith(t, owner.query(sql, values), state, why)
  const grantSql = `INSERT INTO writ.grants (id, request_id, created_at, agent, environment, role_arn, scopes, policy_digest,
      permissions_sha256, max_uses, not_before, expires_at, max_session_seconds, approved_by)
    SELECT $2, id, now(), agent, environment, role_arn, scopes, policy_digest, permissions_sha256, max_uses, now(),
      now() + make_interval(secs => $3), max_session_seconds, '{bob}' FROM writ.grant_request WHERE id = $1`
  const decisionSql = `INSERT INTO writ.grant_decision
      (request_id, operator, decision, at, comment, proof_kind, proof, operator_names, operator_teams, break_glass)
    VALUES ($1, 'bob', 'approve', now(), $2, 'passkey', $3, '{bob}', '{}', $4)`
  const prepared = async (asked: Fields, change: Fields = {}, document: Fields = {}) => {
    const signed = await glass(asked, 'bob', change, document)
    await owner.query('UPDATE writ.challenge SET used_at = now() WHERE id = $1', [signed.challenge])
    return JSON.stringify(signed.proof)
  }

  const asked = await open({ valid_seconds: 3600 })
  await fails(grantSql, [asked.id, newId(), 600], 'WR004', 'no approval')
  const proof = await prepared(asked, {}, { valid_seconds: 900 })
  await fails(decisionSql, [asked.id, WHY, proof, false], 'WR006', 'told as a usual approval')
  await fails(decisionSql, [asked.id, 'too short', proof, true], 'WR003', 'without a reason')
  await fails(decisionSql, [asked.id, null, proof, true], 'WR006', 'without a comment')
  const purge = await open({ destroys: true })
  await fails(decisionSql, [purge.id, WHY, await prepared(purge), true], 'WR003', 'to delete')
  await owner.query(decisionSql, [asked.id, WHY, proof, true])
  await fails(grantSql, [asked.id, newId(), 901], 'WR004', 'longer than was signed')
  await owner.query(grantSql, [asked.id, newId(), 900])
  t.match(
    await pendingReviews(ledger.broker),
    [{ operator: 'bob' }],
    'and it waits for its review all the same',
  )

  const done = await broken()
  await overdue(done.grant_id)
  const again = await open()
  await fails(decisionSql, [again.id, WHY, await prepared(again), true], 'WR003', 'while one is overdue')
  const change = (set: string) => `UPDATE writ.break_glass SET ${set} WHERE grant_id = $1`
  const reviewed = "reviewed_at = now(), verdict = 'justified'"
  await fails(change("review_due = 'infinity'"), [done.grant_id], 'WR001', 'a review put off')
  await fails(change("operator = 'dora'"), [done.grant_id], 'WR001', 'on another')
  await fails(change(`${reviewed}, reviewed_by = 'Bob'`), [done.grant_id], '23514', 'reviewed by themselves')
  await fails(change(reviewed), [done.grant_id], '23514', 'by nobody')
  const moved = change(`${reviewed}, reviewed_by = 'carol', environment = 'sandbox'`)
  await fails(moved, [done.grant_id], 'WR001', 'reviewed and moved elsewhere')
  await fails('DELETE FROM writ.break_glass', [], 'WR001', 'deleted')
  await fails('TRUNCATE writ.break_glass', [], 'WR001', 'truncated')
  await owner.query(change(`${reviewed}, reviewed_by = 'carol'`), [done.grant_id])
  await fails(change("verdict = 'not-justified'"), [done.grant_id], 'WR001', 'judged anew')
  const row = `INSERT INTO writ.break_glass (grant_id, request_id, environment, operator, at, review_due)
    SELECT id, request_id, environment, 'bob', created_at, created_at + interval '24 hours' FROM writ.grants WHERE id = $1`
  await fails(row, [await ledger.grant({ limit_pending: false })], 'WR001', 'noted where no glass was broken')
})
