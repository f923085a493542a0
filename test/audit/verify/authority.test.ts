import t, { type Test } from 'tap'
import { ProofError } from '../../../server/audit/merkle/error.js'
import { Authority } from '../../../server/audit/verify/authority.js'
import type { LogEntry } from '../../../server/audit/verify/entry.js'
import { newId } from '../../../server/issuance/id.js'
import { intentItem, READ_ROLE } from '../../support/items.js'
import { testLedger } from '../../support/ledger.js'

const PINS = {
  role_arn: intentItem().role_arn,
  scopes: ['orders:write'],
  policy_digest: 'sha256:policy',
  permissions_sha256: 'permissions',
}

interface Recorded {
  readonly entry: LogEntry
  readonly leaf: Buffer
  readonly personal: string | undefined
}

/** As the database recorded it: a grant for two uses, both used, one delivered again, revoked; and reading. */
async function history(t: Test): Promise<readonly Recorded[]> {
  const { append, grant, broker } = await testLedger(t)
  const grant_id = await grant({ max_uses: 2 })
  const issued = (issuance_id: string, n: number) =>
    ({
      op: 'outcome',
      issuance_id,
      state: 'issued',
      access_key_id: `ASIA${n}`,
      expires_at: '2999-01-01T00:00:00Z',
    }) as const
  const [one, two, read] = [newId(), newId(), newId()]
  const { permissions_sha256, ...shared } = PINS
  const about = { ...shared, permissions_sha256 }
  await append(intentItem({ issuance_id: one, grant_id, payload: about }), issued(one, 1))
  await append({ op: 'delivery', issuance_id: one, agent: 'orders-coder', payload: {} })
  await append(intentItem({ issuance_id: two, grant_id, payload: about }), issued(two, 2))
  await broker.query("SELECT writ.revoke_grant($1, 'bob', 'done')", [grant_id])
  const reading = { ...about, role_arn: READ_ROLE }
  await append(intentItem({ issuance_id: read, role_arn: READ_ROLE, payload: reading }))
  await append({ op: 'outcome', issuance_id: read, state: 'failed', error_code: 'aws_denied' })
  const rows = await broker.query<{
    body: string
    leaf: Buffer
    personal: string | null
    not_after: Date | null
  }>(
    `SELECT convert_from(body, 'UTF8') AS body, leaf_hash AS leaf, convert_from(personal, 'UTF8') AS personal, not_after
     FROM writ.entry e LEFT JOIN writ.intent i ON i.entry_idx = e.idx ORDER BY idx`,
  )
  return rows.map(({ body, leaf, personal, not_after }) => ({
    entry: {
      ...JSON.parse(body),
      ...(not_after === null ? {} : { not_after: not_after.toISOString() }),
    },
    leaf,
    personal: personal ?? undefined,
  }))
}

/** The same as a log from before there were keys: a token was enough, and what it proved is in the entry. */
const before = (recorded: readonly Recorded[]): readonly LogEntry[] =>
  recorded
    .map(({ entry }) => entry)
    .filter(({ kind }) => !kind.startsWith('operator.'))
    .map(({ signature_required, destroys, ...entry }) =>
      entry.kind === 'grant_request.approved'
        ? { ...entry, proof_kind: 'fresh-token', proof: { kind: 'fresh-token' } }
        : entry,
    ) as LogEntry[]

const LEAF = Buffer.alloc(32)

const ORDER = [
  'grant_request.opened',
  'grant_request.approved',
  'grant.created',
  'issuance.intended',
  'issuance.issued',
  'issuance.delivered',
  'issuance.intended',
  'issuance.issued',
  'grant.revoked',
  'issuance.revoked',
  'issuance.revoked',
  'issuance.intended',
  'issuance.failed',
] as const
const [OPENED, APPROVED, CREATED, FIRST, ISSUED, DELIVERED, SECOND, , REVOKED, , , READING, FAILED] =
  ORDER.keys()

t.test('a log gives the authority of everything in it', async (t) => {
  const recorded = await history(t)
  const signed = new Authority()
  for (const { entry, leaf, personal } of recorded) signed.onEntry(entry, leaf, personal)
  t.strictSame(signed.counts(), {
    grants: 1,
    sessions_on_grants: 2,
    keys: 1,
    decisions_signed: 1,
    decisions_by_token: 0,
    decisions_before_signatures: 0,
  })
  const rewritten = new Authority()
  t.throws(
    () => {
      for (const { entry, personal } of recorded) rewritten.onEntry(entry, LEAF, personal)
    },
    { code: 'authority_missing', message: /grant_request.approved, is signed for another request/ },
  )

  const sound = before(recorded)
  t.strictSame(
    sound.map(({ kind }) => kind),
    ORDER,
  )
  const authority = new Authority()
  for (const entry of sound) authority.onEntry(entry, LEAF, undefined)
  t.match(authority.counts(), {
    grants: 1,
    sessions_on_grants: 2,
    decisions_signed: 0,
    decisions_before_signatures: 1,
  })

  /** Where a changed history is refused; undefined when it passes. */
  const refused = (entries: readonly LogEntry[]): string | undefined => {
    const authority = new Authority()
    for (const entry of entries) {
      try {
        authority.onEntry(entry, LEAF, undefined)
      } catch (error) {
        if (!(error instanceof ProofError) || error.code !== 'authority_missing') throw error
        t.equal(error.index, entry.index)
        return entry.kind
      }
    }
    return undefined
  }
  const at = (place: number | undefined, change: Record<string, unknown>) =>
    sound.map((entry, i) => (i === place ? ({ ...entry, ...change } as LogEntry) : entry))
  const without = (...places: readonly (number | undefined)[]) => sound.filter((_, i) => !places.includes(i))
  const moved = (from: number | undefined, to: number | undefined) => {
    const rest = without(from)
    return [...rest.slice(0, to), ...sound.filter((_, i) => i === from), ...rest.slice(to)]
  }
  const later = '2998-01-01T00:00:00.000000Z'

  const attacks: readonly (readonly [string, readonly LogEntry[], string])[] = [
    ['no request', without(OPENED), 'grant_request.approved'],
    ['a request opened twice', [...sound.slice(0, 1), ...sound], 'grant_request.opened'],
    ['no approval', without(APPROVED), 'grant.created'],
    ['two needed, one given', at(OPENED, { approvals_needed: 2 }), 'grant.created'],
    ['no number needed', at(OPENED, { approvals_needed: undefined }), 'grant.created'],
    [
      'one person twice',
      [...at(OPENED, { approvals_needed: 2 }).slice(0, 2), ...sound.slice(1)],
      'grant_request.approved',
    ],
    ['an approval by nobody', at(APPROVED, { operator: undefined }), 'grant_request.approved'],
    ['an approval without proof', at(APPROVED, { proof: undefined }), 'grant_request.approved'],
    ['an approval after the hour', at(APPROVED, { at: later }), 'grant_request.approved'],
    ['another policy approved', at(APPROVED, { policy_digest: 'x' }), 'grant_request.approved'],
    ['other permissions approved', at(APPROVED, { permissions_sha256: 'x' }), 'grant_request.approved'],
    ['no grant', without(CREATED), 'issuance.intended'],
    ['a grant twice', [...sound.slice(0, 3), ...sound.slice(2)], 'grant.created'],
    ['other approvers', at(CREATED, { approved_by: ['alice'] }), 'grant.created'],
    ['more approvers', at(CREATED, { approved_by: ['alice', 'bob'] }), 'grant.created'],
    ['more uses', at(CREATED, { max_uses: 3 }), 'grant.created'],
    ['longer sessions', at(CREATED, { max_session_seconds: 43_200 }), 'grant.created'],
    ['a longer life', at(CREATED, { expires_at: later }), 'grant.created'],
    ['no end', at(CREATED, { expires_at: undefined }), 'grant.created'],
    ['a grant for another agent', at(CREATED, { agent: 'report-bot' }), 'grant.created'],
    ['a write without grant', at(FIRST, { grant_id: undefined }), 'issuance.intended'],
    ['another grant', at(FIRST, { grant_id: 'other' }), 'issuance.intended'],
    ['a use twice', at(SECOND, { grant_use: 1 }), 'issuance.intended'],
    ['a use too many', at(SECOND, { grant_use: 3 }), 'issuance.intended'],
    ['no use', at(SECOND, { grant_use: undefined }), 'issuance.intended'],
    ['a session longer than the grant', at(SECOND, { not_after: later }), 'issuance.intended'],
    ['a session without end', at(SECOND, { not_after: undefined }), 'issuance.intended'],
    ['after the end', at(SECOND, { at: later }), 'issuance.intended'],
    ['before the beginning', at(SECOND, { at: '2001-01-01T00:00:00.000000Z' }), 'issuance.intended'],
    ['an id twice', at(READING, { issuance_id: sound[3]?.issuance_id }), 'issuance.intended'],
    ['after the revocation', moved(REVOKED, SECOND), 'issuance.intended'],
    ['delivered after the revocation', moved(REVOKED, DELIVERED), 'issuance.delivered'],
    ['a revocation of nothing', at(REVOKED, { grant_id: 'other' }), 'grant.revoked'],
    ['an outcome of nothing', at(ISSUED, { issuance_id: 'other' }), 'issuance.issued'],
    ['two outcomes', [...sound.slice(0, 5), ...sound.slice(4)], 'issuance.issued'],
    ['a failure of nothing', without(READING), 'issuance.failed'],
    ['delivered before it was issued', moved(DELIVERED, ISSUED), 'issuance.delivered'],
    ['delivered when over', at(DELIVERED, { at: later }), 'issuance.delivered'],
    ['delivered to another', at(DELIVERED, { agent: 'report-bot' }), 'issuance.delivered'],
    [
      'delivered after it had failed',
      [...sound, { ...sound[5], issuance_id: sound[10]?.issuance_id } as LogEntry],
      'issuance.delivered',
    ],
    ...Object.keys(PINS).flatMap((pin) => [
      [`a grant with another ${pin}`, at(CREATED, { [pin]: ['x'] }), 'grant.created'] as const,
      [`a session with another ${pin}`, at(FIRST, { [pin]: ['x'] }), 'issuance.intended'] as const,
    ]),
    ['a session in another environment', at(FIRST, { environment: 'staging' }), 'issuance.intended'],
    ['the grant of another agent', at(FIRST, { agent: 'report-bot' }), 'issuance.intended'],
  ]
  for (const [name, entries, kind] of attacks) t.equal(refused(entries), kind, name)
  for (const end of ['denied', 'withdrawn', 'expired']) {
    const closed = { ...sound[1], kind: `grant_request.${end}` } as LogEntry
    const earlier = [...sound.slice(0, 1), closed, ...sound.slice(1)]
    t.equal(refused(earlier), 'grant_request.approved', `approved after it was ${end}`)
    const after = [...sound.slice(0, 2), closed, ...sound.slice(2)]
    t.equal(refused(after), 'grant.created', `granted after it was ${end}`)
    t.equal(refused([closed]), closed.kind, `${end}, and never opened`)
  }
  t.equal(
    refused([...sound, { ...sound[0], kind: 'something.new' } as LogEntry]),
    undefined,
    'an unknown kind passes',
  )
  t.equal(refused(without(FAILED)), undefined, 'an intent may still be open')
})

t.test('memory holds what is alive', async (t) => {
  const authority = new Authority()
  const see = (entry: LogEntry) => authority.onEntry(entry, LEAF, undefined)
  const entry = (index: number, kind: string, change: object): LogEntry => ({
    v: 2,
    index,
    kind,
    at: new Date(Date.UTC(2026, 0, 1) + index * 1000).toISOString().replace('Z', '000Z'),
    ...change,
  })
  const open = { issuance_id: 'open', not_after: '2026-01-01T00:10:00.000Z', sensitivity: 'read' }
  see(entry(0, 'issuance.intended', open))
  for (let i = 1; i < 120_001; i += 2) {
    const not_after = new Date(Date.UTC(2026, 0, 1) + i * 1000 + 900_000).toISOString()
    see(entry(i, 'issuance.intended', { issuance_id: `i${i}`, not_after, sensitivity: 'read' }))
    see(entry(i + 1, 'issuance.issued', { issuance_id: `i${i}` }))
  }
  t.throws(() => see(entry(120_001, 'issuance.delivered', { issuance_id: 'i1' })), {
    code: 'authority_missing',
  })
  t.doesNotThrow(() => see(entry(120_002, 'issuance.abandoned', { issuance_id: 'open' })))
})
