import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import type { SoftwareKey } from '../../../cli/software-key.js'
import { bodyProblem } from '../../../server/audit/bodies/registry.js'
import { ProofError } from '../../../server/audit/merkle/error.js'
import { canonicalText, challengeOf } from '../../../server/audit/proofs/document.js'
import { Authority } from '../../../server/audit/verify/authority.js'
import type { LogEntry } from '../../../server/audit/verify/entry.js'
import { newId } from '../../../server/issuance/id.js'
import { intentItem, READ_ROLE } from '../../support/items.js'
import { testLedger } from '../../support/ledger.js'
import { enrolKey, SITE } from '../../support/signing.js'
import { ageStops } from '../../support/stops.js'

interface Recorded {
  readonly entry: LogEntry
  readonly leaf: Buffer
  readonly personal: string | undefined
}

const read = { role_arn: READ_ROLE, agent: 'report-bot' }
const outcome = (issuance_id: string) =>
  ({
    op: 'outcome',
    issuance_id,
    state: 'issued',
    access_key_id: `ASIA${issuance_id}`,
    expires_at: '2999-01-01T00:00:00Z',
  }) as const

/** As the database recorded it: a session, a stop while another was being minted, two signatures, and going on. */
async function history(t: Test, kind: string, name: string): Promise<readonly Recorded[]> {
  const ledger = await testLedger(t)
  const { append, broker, owner } = ledger
  const keys = new Map<string, SoftwareKey>()
  for (const who of ['bob', 'carol']) keys.set(who, await enrolKey(owner, broker, who))
  const [one, minting, after] = [newId(), newId(), newId()]
  const payload = { role_arn: READ_ROLE }
  const asking = { ...read, payload, personal: { ...intentItem().personal, human: 'ann' } }
  await append(intentItem({ ...asking, issuance_id: one }), outcome(one))
  await append(intentItem({ ...asking, issuance_id: minting }))
  const call = async (name: string, argument: object) => {
    const [row] = await broker.query<{ answer: { id: string; status: string } }>(
      `SELECT writ.${name}($1::jsonb) AS answer`,
      [JSON.stringify(argument)],
    )
    t.equal(row?.answer.status, 'ok', JSON.stringify(row))
    return row?.answer.id ?? ''
  }
  const agents = [{ name: 'report-bot', roles: [READ_ROLE] }]
  const wanted = { id: newId(), kind, name, operator: 'dora', reason: 'a test', names: [name], tags: [name] }
  const id = await call('engage_stop', { ...wanted, ...(kind === 'agent' ? { agents } : {}) })
  const humans = ['ann']
  t.match(await append({ ...outcome(minting), humans }), [{ status: 'refused' }])
  t.match(await append(intentItem({ ...asking, humans })), [{ status: 'refused' }])
  await ageStops(ledger)
  const [stop] = await broker.query<{ leaf: string }>(
    "SELECT encode(leaf, 'hex') AS leaf FROM writ.stop WHERE id = $1",
    [id],
  )
  for (const [operator, key] of keys) {
    const document = canonicalText({
      type: 'writ.release.v1',
      operator,
      stop: id,
      stops: kind,
      name: kind === 'human' ? null : name,
      stop_leaf: stop?.leaf,
      approvals_needed: 2,
      origin: SITE.origin,
      rp_id: SITE.rpId,
      nonce: randomBytes(32).toString('base64url'),
      issued_at: new Date().toISOString(),
      expires_at: new Date(Date.now() + 300_000).toISOString(),
    })
    const challenge = newId()
    const put = { id: challenge, purpose: 'release', operator, document, seconds: 300 }
    await broker.query('SELECT writ.put_challenge($1::jsonb)', [JSON.stringify(put)])
    const proof = { ...key.sign(challengeOf(document)), document, public_key: key.publicKey }
    await call('release_stop', {
      stop_id: id,
      operator,
      operator_names: [operator],
      proof,
      challenge,
      sign_count: 0,
    })
  }
  await append(intentItem({ ...asking, issuance_id: after }), outcome(after))
  await append({ op: 'delivery', issuance_id: one, agent: 'report-bot', payload: {} })
  const rows = await broker.query<{
    body: string
    leaf: Buffer
    personal: string | null
    not_after: Date | null
  }>(
    `SELECT convert_from(body, 'UTF8') AS body, leaf_hash AS leaf, convert_from(personal, 'UTF8') AS personal, not_after
     FROM writ.entry e LEFT JOIN writ.intent i ON i.entry_idx = e.idx ORDER BY idx`,
  )
  return rows.map(({ body, leaf, personal, not_after }) => {
    const entry = JSON.parse(body)
    if (entry.kind.startsWith('stop.'))
      t.equal(bodyProblem(entry, personal === null ? undefined : JSON.parse(personal)), undefined)
    if (not_after !== null) entry.not_after = not_after.toISOString()
    return { entry, leaf, personal: personal ?? undefined }
  })
}

/** As if everything had been later than the stop's cutoff: the clock of the database is not the test's. */
const aged = (log: readonly Recorded[]): readonly Recorded[] =>
  log.map((one) =>
    one.entry.kind === 'stop.engaged' ? { ...one, entry: { ...one.entry, cutoff: one.entry.at } } : one,
  )

function verdict(log: readonly Recorded[], withPersonal = true): string | undefined {
  const authority = new Authority()
  for (const { entry, leaf, personal } of log) {
    try {
      authority.onEntry(entry, leaf, withPersonal ? personal : undefined)
    } catch (error) {
      if (!(error instanceof ProofError)) throw error
      return error.message
    }
  }
  return undefined
}

for (const [kind, name] of [
  ['agent', 'report-bot'],
  ['environment', 'production'],
  ['account', '111122223333'],
  ['human', 'ann'],
  ['everything', ''],
] as const) {
  t.test(`a stop on ${kind}, as the database records it, is sound, and a changed one is found`, async (t) => {
    const recorded = await history(t, kind, name)
    const log = aged(recorded)
    t.equal(verdict(log), undefined)
    t.equal(verdict(log, false), undefined, 'without what lies beside it too')
    t.match(verdict(recorded), /came before what was being minted was over/)

    const at = (kind: string, nth = 0) =>
      log.flatMap(({ entry }, i) => (entry.kind === kind ? [i] : [])).at(nth) ?? -1
    const change = (i: number, fields: object, leaf = log[i]?.leaf) =>
      log.map((one, j) =>
        j === i ? { ...one, leaf: leaf as Buffer, entry: { ...one.entry, ...fields } as LogEntry } : one,
      )
    const without = (i: number) => log.filter((_, j) => j !== i)
    const moved = (from: number, to: number) => {
      const rest = without(from)
      return [...rest.slice(0, to), log[from] as Recorded, ...rest.slice(to)]
    }
    const [engaged, bob, carol, released] = [
      at('stop.engaged'),
      at('stop.release_signed'),
      at('stop.release_signed', 1),
      at('stop.released'),
    ]
    const found = (changed: readonly Recorded[], why: RegExp, how: string) =>
      t.match(verdict(changed), why, how)
    found(
      moved(at('issuance.intended', -1), released),
      /is of what was stopped/,
      'a session intended meanwhile',
    )
    found(moved(at('issuance.delivered'), released), /hands out what was stopped/, 'one handed out meanwhile')
    found(without(carol), /names others than signed/, 'one signature less')
    found(
      change(released, { released_by: ['bob'] }).filter((_, j) => j !== carol),
      /fewer signatures/,
      'released by one',
    )
    found(
      without(carol).map((one) =>
        one.entry.kind === 'stop.engaged' || one.entry.kind === 'stop.released'
          ? { ...one, entry: { ...one.entry, approvals_needed: 1, released_by: ['bob'] } as LogEntry }
          : one,
      ),
      /more or fewer people than it takes/,
      'a stop of a human that one may release',
    )
    found(change(engaged, {}, Buffer.alloc(32)), /is signed for another stop/, 'a rewritten stop')
    found(change(carol, { operator: 'bob' }), /by somebody who had signed already/, 'one person twice')
    found(change(carol, { operator: 'dora' }), /with a key that was not theirs/, "with another's key")
    found(change(bob, { stop: newId() }), /for no stop that is engaged/, 'for another stop')
    const twice = { proof: log[bob]?.entry.proof, operator: 'Bob ' }
    found(change(carol, twice), /not theirs/, 'the same signature again')
    found(
      change(released, { stops: 'account' === kind ? 'agent' : 'account' }),
      /releases something else/,
      'of another',
    )
    found([...log, log[released] as Recorded], /no stop that is engaged/, 'released twice')
    found([...log, log[engaged] as Recorded], /one again/, 'engaged again')
  })
}
