import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { SoftwareKey } from '../../cli/software-key.js'
import { bodyProblem } from '../../server/audit/bodies/registry.js'
import { ProofError } from '../../server/audit/merkle/error.js'
import { canonicalText, challengeOf } from '../../server/audit/proofs/document.js'
import { Authority } from '../../server/audit/verify/authority.js'
import type { LogEntry } from '../../server/audit/verify/entry.js'
import { newId } from '../../server/issuance/id.js'
import { failsWith } from '../support/fails.js'
import { testLedger } from '../support/ledger.js'
import { enrolKey, SITE } from '../support/signing.js'

const EVIDENCE = 'ab'.repeat(32)

/** A database with an agent stopped, and what somebody with the broker's login can call. */
async function stage(t: Test) {
  const ledger = await testLedger(t)
  const { broker, owner } = ledger
  const keys = new Map<string, SoftwareKey>()
  for (const who of ['bob', 'carol', 'bobby']) keys.set(who, await enrolKey(owner, broker, who))
  const call = async (name: string, argument: object) => {
    const [row] = await broker.query<{ answer: Record<string, unknown> }>(
      `SELECT writ.${name}($1::jsonb) AS answer`,
      [JSON.stringify(argument)],
    )
    return row?.answer ?? {}
  }
  const stop = {
    id: newId(),
    kind: 'agent',
    name: 'report-bot',
    operator: 'dora',
    reason: 'a test',
    names: ['report-bot'],
  }
  const { id: stop_id } = await call('engage_stop', {
    ...stop,
    tags: [],
    agents: [{ name: 'report-bot', roles: [] }],
  })
  const id = newId()
  const wanted = { id, agent: 'report-bot', stop_id, operator: 'dora', personal: { reason: 'a test' } }
  const step = (change: object = {}) =>
    call('incident_step', {
      incident: id,
      stage: 'assess',
      operator: 'carol',
      evidence: EVIDENCE,
      personal: { note: 'x' },
      ...change,
    })
  const close = async (operator: string, document: object = {}, change: object = {}) => {
    const [row] = await broker.query<{ leaf: string }>(
      `SELECT encode(leaf, 'hex') AS leaf FROM writ.incident WHERE id = $1`,
      [id],
    )
    const text = canonicalText({
      type: 'writ.close.v1',
      operator,
      incident: id,
      agent: 'report-bot',
      incident_leaf: row?.leaf,
      evidence: EVIDENCE,
      origin: SITE.origin,
      rp_id: SITE.rpId,
      nonce: randomBytes(32).toString('base64url'),
      issued_at: new Date().toISOString(),
      expires_at: new Date(Date.now() + 300_000).toISOString(),
      ...document,
    })
    const challenge = newId()
    await broker.query('SELECT writ.put_challenge($1::jsonb)', [
      JSON.stringify({ id: challenge, purpose: 'close', operator, document: text, seconds: 300 }),
    ])
    const key = keys.get(operator)
    const proof = { ...key?.sign(challengeOf(text)), document: text, public_key: key?.publicKey }
    const names = { operator_names: [operator] }
    return call('close_incident', {
      incident: id,
      operator,
      ...names,
      challenge,
      proof,
      sign_count: 0,
      ...change,
    })
  }
  return { ...ledger, call, wanted, id, stop_id, step, close }
}

t.test('the database closes an incident on two people’s word alone', async (t) => {
  const { broker, owner, call, wanted, id, step, close } = await stage(t)
  t.match(await call('open_incident', { ...wanted, stop_id: 'none00000000' }), { code: 'not_stopped' })
  t.match(await call('open_incident', wanted), { status: 'ok', id, created: true })
  t.match(await call('open_incident', { ...wanted, id: newId() }), { id, created: false })
  t.match(await close('bob'), { code: 'signed_something_else' }, 'evidence that nobody collected')
  t.match(await step(), { status: 'ok' })
  for (const document of [
    { incident: newId() },
    { agent: 'orders-coder' },
    { operator: 'carol' },
    { incident_leaf: 'cd'.repeat(32) },
    { evidence: 'cd'.repeat(32) },
    { type: 'writ.release.v1' },
  ])
    t.match(await close('bob', document), { code: 'signed_something_else' }, JSON.stringify(document))
  const past = { issued_at: '2026-01-01T00:00:00.000Z', expires_at: '2026-01-01T00:05:00.000Z' }
  t.match(await close('bob', past), { code: 'challenge_over' })
  t.match(await close('bob', {}, { challenge: newId() }), { code: 'challenge_over' })
  t.match(await close('bob'), { closed: false, signed: 1 })
  t.match(await close('bob'), { code: 'already_decided' })
  const names = { operator_names: ['bobby', 'BOB'] }
  t.match(await close('bobby', {}, names), { code: 'already_decided' }, 'one person under two names')

  const refused = (sql: string, values: readonly unknown[] = [id]) =>
    failsWith(t, owner.query(sql, values), 'WR001', sql)
  await refused(
    `UPDATE writ.incident SET closed_at = now(), closed_by = '{bob,carol}', evidence = '${EVIDENCE}' WHERE id = $1`,
  )
  await refused(`UPDATE writ.incident SET agent = 'other' WHERE id = $1`)
  await refused('DELETE FROM writ.incident WHERE id = $1')
  await refused('UPDATE writ.incident_step SET by = $1', ['bob'])
  await refused('DELETE FROM writ.incident_close WHERE incident = $1')
  await refused('TRUNCATE writ.incident_close', [])
  // A row by hand for a second name of the same person: the guard still counts people.
  await owner.query(
    `INSERT INTO writ.incident_close SELECT incident, 'bobby', '{bobby,Bob}', evidence, at, proof FROM writ.incident_close WHERE incident = $1`,
    [id],
  )
  await refused(
    `UPDATE writ.incident SET closed_at = now(), closed_by = '{bob,bobby}', evidence = '${EVIDENCE}' WHERE id = $1`,
  )
  for (const sql of [
    'INSERT INTO writ.incident_step',
    'UPDATE writ.incident',
    'DELETE FROM writ.incident_close',
  ]) {
    const rest = sql.startsWith('INSERT')
      ? ' VALUES (NULL)'
      : sql.startsWith('UPDATE')
        ? ' SET agent = NULL'
        : ''
    await failsWith(t, broker.query(sql + rest), '42501', `the broker cannot ${sql}`)
  }
})

interface Recorded {
  readonly entry: LogEntry
  readonly leaf: Buffer
  readonly personal: string | undefined
}

function verdict(log: readonly Recorded[]): string | undefined {
  const authority = new Authority()
  try {
    for (const { entry, leaf, personal } of log) authority.onEntry(entry, leaf, personal)
  } catch (error) {
    if (error instanceof ProofError) return error.message
    throw error
  }
  return undefined
}

t.test('a log shows that an incident was closed by two, or that it was not', async (t) => {
  const { broker, call, wanted, id, stop_id, step, close } = await stage(t)
  await call('open_incident', wanted)
  await step()
  await call('incident_step', { incident: id, stage: 'contain', operator: 'bob', personal: { note: 'x' } })
  t.match(await close('bob'), { closed: false })
  t.match(await close('carol'), { closed: true, signed: 2 })
  t.match(await close('bobby'), { code: 'incident_closed' })
  t.match(await step(), { code: 'incident_closed' })
  const rows = await broker.query<{ body: Buffer; leaf: Buffer; personal: Buffer | null }>(
    'SELECT body, leaf_hash AS leaf, personal FROM writ.entry ORDER BY idx',
  )
  const log = rows.map(({ body, leaf, personal }) => ({
    entry: JSON.parse(body.toString()) as LogEntry,
    leaf,
    personal: personal?.toString(),
  }))
  for (const { entry, personal } of log)
    t.equal(
      bodyProblem(entry, personal === undefined ? undefined : JSON.parse(personal)),
      undefined,
      entry.kind,
    )
  t.equal(verdict(log), undefined)

  const of = (kind: string, operator?: string) => (one: Recorded) =>
    one.entry.kind === kind && (operator === undefined || one.entry.operator === operator)
  const without = (leave: (one: Recorded) => boolean) => verdict(log.filter((one) => !leave(one)))
  const twisted = (which: (one: Recorded) => boolean, change: Record<string, unknown>) =>
    verdict(log.map((one) => (which(one) ? { ...one, entry: { ...one.entry, ...change } } : one)))
  const [carols, bobs] = [of('incident.close_signed', 'carol'), of('incident.close_signed', 'bob')]
  const proofOfBob = log.find(bobs)?.entry.proof
  t.match(without(carols), /closed, is not signed by two different people/)
  t.match(without(of('stop.engaged')), /names a stop that is not in this log/)
  t.match(without(of('incident.opened')), /about no incident that is open/)
  t.match(
    without((one) => one.entry.evidence === EVIDENCE && one.entry.kind === 'incident.step'),
    /evidence that nobody collected/,
  )
  t.match(twisted(carols, { proof: proofOfBob }), /key that was not theirs/)
  t.match(twisted(carols, { proof: proofOfBob, operator: 'bob' }), /uses a signature again/)
  t.match(twisted(of('incident.closed'), { closed_by: ['bob', 'dora'] }), /names others than signed/)
  t.match(twisted(of('incident.closed'), { closed_by: ['bob'] }), /names others than signed/)
  t.match(twisted(of('incident.closed'), { evidence: 'cd'.repeat(32) }), /not signed by two/)
  t.match(twisted(of('incident.closed'), { agent: 'orders-coder' }), /no incident that is open/)
  const opened = of('incident.opened')
  t.match(
    verdict(log.map((one) => (opened(one) ? { ...one, leaf: randomBytes(32) } : one))),
    /signed for another incident/,
  )
  t.match(verdict([...log, ...log.filter(opened)]), /opens an incident again/)
  t.match(verdict([...log, ...log.filter(of('incident.closed'))]), /no incident that is open/)
  t.equal(typeof stop_id, 'string')
})
