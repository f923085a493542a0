import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import { createSoftwareKey } from '../../../cli/software-key.js'
import type { DecisionDocument } from '../../../server/audit/proofs/document.js'
import type { LogEntry } from '../../../server/audit/verify/entry.js'
import { countsOf, Scribe, SHOWN, type Twist, verdict, type Written, wrote } from './scribe.js'

const HOUR = 3_600_000

t.test('a decision that its human signed', async (t) => {
  const log = wrote((scribe, asked) => {
    scribe.approve(asked, 'bob', { comment: 'go ahead — é' })
    scribe.use(scribe.grant(asked, ['bob']))
    scribe.decide(scribe.ask(), 'bob', 'denied')
    scribe.decide(scribe.ask(), 'bob', 'denied', { comment: 'no' })
    const two = scribe.ask({ approvals_needed: 2, not_before: '2026-03-01T11:00:00.250+00:00' })
    scribe.enrol('ada')
    scribe.approve(two, 'ada', { document: { not_before: '2026-03-01T11:00:00.250Z' } })
    scribe.approve(two, 'bob')
    scribe.grant(two, ['bob', 'ada'], {
      not_before: '2026-03-01T11:00:00.250Z',
      expires_at: '2026-03-01T12:00:00.000Z',
    })
  })
  t.equal(verdict(log), undefined)
  t.equal(verdict(log, false), undefined, 'without personal data, or with all of it erased')
  t.strictSame(countsOf(log), {
    grants: 2,
    sessions_on_grants: 1,
    keys: 2,
    decisions_signed: 5,
    decisions_by_token: 0,
    decisions_before_signatures: 0,
  })
})

t.test('every field of the document is what the entries say', async (t) => {
  const approved = (twist: Twist, asked?: Record<string, unknown>) =>
    verdict(wrote((scribe, request) => scribe.approve(request, 'bob', twist), asked))
  const others: Readonly<Record<(typeof SHOWN)[number], unknown>> = {
    agent: 'report-bot',
    environment: 'staging',
    tier: 'staging',
    account: '444455556666',
    role_arn: 'arn:aws:iam::111122223333:role/other',
    scopes: ['orders:write', 'orders:read'],
    permissions: [],
    permissions_sha256: 'other',
    policy_digest: 'sha256:other',
    max_uses: 2,
    valid_seconds: 60,
    max_session_seconds: 901,
    approvals_needed: 2,
  }
  for (const field of SHOWN) {
    const document = { [field]: others[field] } as Partial<DecisionDocument>
    t.match(approved({ document }), new RegExp(`approved, is signed with another ${field} `), field)
    t.match(approved({}, { [field]: undefined }), /approved|opened/, `nothing to hold ${field} against`)
  }
  const now = Date.parse('2026-03-01T10:00:00.000Z')
  const at = (ms: number) => new Date(now + ms).toISOString()
  const documents: readonly (readonly [Partial<DecisionDocument>, RegExp])[] = [
    [{ decision: 'deny' }, /not the decision that was signed/],
    [{ approver: 'ada' }, /not the decision that was signed/],
    [{ request: '0123456789ab' }, /another request/],
    [{ request_leaf: randomBytes(32).toString('hex') }, /another request/],
    [{ personal: null }, /another reason/],
    [{ personal: 'ab'.repeat(32) }, /another reason/],
    [{ not_before: at(HOUR) }, /another not_before/],
    [{ break_glass: true }, /breaks the glass/],
    [{ comment: 'ab'.repeat(32) }, /another comment/],
    [{ issued_at: at(-10 * 60_000), expires_at: at(0) }, /over, or not yet/],
    [{ issued_at: at(5 * 60_000), expires_at: at(10 * 60_000) }, /over, or not yet/],
    [{ issued_at: at(-HOUR), expires_at: at(HOUR) }, /over, or not yet/],
    [{ issued_at: 'yesterday' }, /no document/],
    [{ type: 'writ.vouch.v1' } as unknown as Partial<DecisionDocument>, /no document/],
  ]
  for (const [document, why] of documents) t.match(approved({ document }), why, JSON.stringify(document))
  t.equal(approved({}, { not_before: at(HOUR), expires_at: at(2 * HOUR) }), undefined)
  t.match(approved({ document: { not_before: null } }, { not_before: at(HOUR) }), /another not_before/)
})

t.test('the signature is by a key that was the operator’s then', async (t) => {
  const approved = (twist: Twist) => verdict(wrote((scribe, asked) => scribe.approve(asked, 'bob', twist)))
  t.match(approved({ assertion: { userVerified: false } }), /did not verify who was there/)
  t.match(approved({ assertion: { userPresent: false } }), /nobody there/)
  t.match(approved({ assertion: { wrongKey: true } }), /not by this key/)
  t.match(approved({ assertion: { crossOrigin: true } }), /frame/)
  t.match(approved({ assertion: { origin: 'https://evil.example' } }), /another origin/)
  t.match(approved({ assertion: { challenge: randomBytes(32) } }), /another document/)
  const foreign = createSoftwareKey({ rpId: 'writ.example.com', origin: 'https://writ.example.com' })
  t.match(approved({ key: foreign }), /key that was not theirs/, 'a key that nobody enrolled')
  t.match(approved({ key: foreign, proof: { key_id: 'AAAAAAAAAAAAAAAAAAAAAA' } }), /not theirs/)

  // The id of an enrolled key, and the public key of another.
  const borrowed = wrote((scribe, asked) =>
    scribe.approve(asked, 'bob', { key: foreign, proof: { key_id: scribe.key('bob').id } }),
  )
  t.match(verdict(borrowed), /another key than it names/)
  const another = wrote((scribe, asked) => {
    scribe.enrol('ada')
    scribe.approve(asked, 'bob', { key: scribe.key('ada') })
  })
  t.match(verdict(another), /key that was not theirs/)
  const before = new Scribe()
  const key = createSoftwareKey({ rpId: 'writ.example.com', origin: 'https://writ.example.com' })
  before.approve(before.ask(), 'bob', { key })
  before.enrol('bob', key)
  t.match(verdict(before.log), /key that was not theirs/, 'enrolled only after')
  const removed = wrote((scribe, asked) => {
    scribe.put('operator.key_removed', { operator: 'ada', of: 'bob', key_id: scribe.key('bob').id })
    scribe.approve(asked, 'bob')
  })
  t.match(verdict(removed), /key that was not theirs/, 'removed before')
  const after = wrote((scribe, asked) => {
    scribe.approve(asked, 'bob')
    scribe.put('operator.key_removed', { operator: 'ada', of: 'bob', key_id: scribe.key('bob').id })
    scribe.grant(asked, ['bob'])
  })
  t.equal(verdict(after), undefined, 'removed after: what was signed before counts')
})

t.test('one signature is one decision, by one human', async (t) => {
  const replayed = wrote((scribe, asked) => {
    const { entry } = scribe.approve(asked, 'bob')
    scribe.grant(asked, ['bob'])
    const again = scribe.ask()
    scribe.put('grant_request.approved', { ...entry, request_id: again.entry.request_id, index: 5 })
  })
  t.equal(verdict(replayed.slice(0, -1)), undefined)
  t.match(verdict(replayed), /uses a signature again/)

  const nonce = randomBytes(32).toString('base64url')
  const sameNonce = wrote((scribe, asked) => {
    scribe.enrol('ada')
    scribe.approve(asked, 'bob', { document: { nonce } })
    scribe.approve(asked, 'ada', { document: { nonce } })
  })
  t.match(verdict(sameNonce), /uses a signature again/)

  const twoKeys = wrote(
    (scribe, asked) => {
      scribe.approve(asked, 'bob')
      scribe.enrol('bob')
      scribe.approve(asked, 'bob')
      scribe.grant(asked, ['bob'])
    },
    { approvals_needed: 2 },
  )
  t.match(verdict(twoKeys), /somebody who had approved already/)
  const capitals = wrote(
    (scribe, asked) => {
      scribe.approve(asked, 'bob')
      scribe.enrol('Bob')
      scribe.approve(asked, 'Bob')
    },
    { approvals_needed: 2 },
  )
  t.match(verdict(capitals), /somebody who had approved already/)
})

t.test('a denial is signed like an approval', async (t) => {
  const denied = (twist: Twist) =>
    verdict(wrote((scribe, asked) => scribe.decide(asked, 'bob', 'denied', twist)))
  t.equal(denied({}), undefined)
  t.match(denied({ document: { decision: 'approve' } }), /denied, is not the decision/)
  t.match(denied({ assertion: { wrongKey: true } }), /denied, is not proven/)
  t.match(denied({ entry: { proof: undefined, proof_kind: undefined } }), /denied, is not signed/)
  t.match(
    denied({
      entry: { break_glass: true },
      document: { break_glass: true, valid_seconds: 60 },
      comment: 'x',
    }),
    /breaks the glass for what nobody may/,
  )
})

t.test('a token counts where it always did, and nowhere else', async (t) => {
  const token = (asked: Record<string, unknown>) =>
    wrote((scribe, request) => {
      scribe.approveByToken(request, 'bob')
      scribe.grant(request, ['bob'])
    }, asked)
  t.match(verdict(token({})), /approved, is not signed/)
  t.match(countsOf(token({ tier: 'staging', signature_required: false })), {
    decisions_by_token: 1,
    decisions_before_signatures: 0,
  })
  const old = token({ signature_required: undefined, destroys: undefined })
  t.match(countsOf(old), { decisions_by_token: 0, decisions_before_signatures: 1, decisions_signed: 0 })

  // What the kind says and what the proof is.
  const claimed = (entry: Record<string, unknown>) =>
    verdict(wrote((scribe, asked) => scribe.approve(asked, 'bob', { entry })))
  t.match(claimed({ proof_kind: 'fresh-token' }), /no form that is valid/)
  t.match(claimed({ proof_kind: 'ssh-sk' }), /no form that is valid/)
  t.match(claimed({ proof_kind: 'passkey', proof: { kind: 'fresh-token' } }), /no form that is valid/)
  t.match(claimed({ proof_kind: 'magic', proof: { kind: 'magic' } }), /is not signed/)
  t.match(claimed({ proof: 'signed' }), /has no proof/)
})

t.test('signatures cannot be switched off again', async (t) => {
  const off = wrote((scribe) => {
    scribe.approveByToken(scribe.ask({ signature_required: false }), 'bob')
  })
  t.match(verdict(off), /Entry 3, grant_request.opened, asks for no signature/)
  const absent = wrote((scribe) => scribe.ask({ signature_required: undefined }))
  t.match(verdict(absent), /asks for no signature/)
  t.equal(verdict(wrote((scribe) => scribe.ask({ tier: 'staging', signature_required: false }))), undefined)

  // Called another tier, and used for a production write all the same.
  const disguised = wrote((scribe) => {
    const asked = scribe.ask({ tier: 'staging', signature_required: false })
    scribe.approveByToken(asked, 'bob')
    scribe.use(scribe.grant(asked, ['bob']))
  })
  t.match(verdict(disguised), /production write on a grant that nobody signed/)
  const honest = wrote((scribe) => {
    const asked = scribe.ask({ tier: 'staging', signature_required: false })
    scribe.approveByToken(asked, 'bob')
    scribe.use(scribe.grant(asked, ['bob']), { sensitivity: 'write' })
  })
  t.equal(verdict(honest), undefined)

  const scribe = new Scribe()
  const old = scribe.ask({ signature_required: undefined, destroys: undefined, max_uses: 2 })
  scribe.approveByToken(old, 'bob')
  const grant = scribe.grant(old, ['bob'])
  scribe.use(grant)
  const open = scribe.ask({ signature_required: undefined, destroys: undefined })
  scribe.approveByToken(open, 'bob')
  scribe.enrol('ada')
  scribe.ask()
  scribe.use(grant, { grant_use: 2 })
  t.equal(verdict(scribe.log), undefined, 'a grant from before is used up')
  // Half of it approved before: the database counts only what was signed.
  scribe.approve(open, 'ada')
  scribe.use(scribe.grant(open, ['ada']))
  t.equal(verdict(scribe.log), undefined)
})

t.test('a grant begins no earlier than was asked for', async (t) => {
  const granted = (not_before: string) =>
    verdict(
      wrote(
        (scribe, asked) => {
          scribe.approve(asked, 'bob')
          scribe.grant(asked, ['bob'], { not_before, expires_at: '2026-03-01T12:00:00.000Z' })
        },
        { not_before: '2026-03-01T11:00:00+00:00' },
      ),
    )
  t.equal(granted('2026-03-01T11:00:00.000Z'), undefined)
  t.match(granted('2026-03-01T10:59:59.000Z'), /begins earlier/)
})

t.test('the comment that was signed', async (t) => {
  const log = wrote((scribe, asked) => scribe.approve(asked, 'bob', { comment: 'go ahead' }))
  const withPersonal = (personal: unknown) =>
    verdict([
      ...log.slice(0, -1),
      {
        ...(log.at(-1) as Written),
        personal: typeof personal === 'string' ? personal : JSON.stringify(personal),
      },
    ])
  const { comment_salt } = JSON.parse(log.at(-1)?.personal ?? '')
  t.equal(withPersonal({ comment: 'go ahead', comment_salt }), undefined)
  t.match(withPersonal({ comment: 'go away', comment_salt }), /another comment/)
  t.match(withPersonal({ comment: 'go ahead', comment_salt: 'ab'.repeat(16) }), /another comment/)
  t.match(withPersonal({ comment: 'go ahead' }), /another comment/)
  t.match(withPersonal({}), /another comment/)
  t.match(withPersonal('no JSON'), /another comment/)
  const added = wrote((scribe, asked) =>
    scribe.approve(asked, 'bob', { comment: 'nobody signed this', document: { comment: null } }),
  )
  t.match(verdict(added, false), /another comment/, 'there although nobody signed one')
  const lost = log.map((one) =>
    one.entry.kind === 'grant_request.approved'
      ? { ...one, entry: { ...one.entry, personal: undefined } as LogEntry }
      : one,
  )
  t.match(verdict(lost, false), /another comment/, 'signed, and its hash is gone')
})

t.test('whatever is changed in what was asked for, the signature does not fit', async (t) => {
  const log = wrote((scribe, asked) => {
    scribe.approve(asked, 'bob')
    scribe.grant(asked, ['bob'])
  })
  const opened = log.findIndex(({ entry }) => entry.kind === 'grant_request.opened')
  t.equal(verdict(log), undefined)
  for (const field of Object.keys(log[opened]?.entry ?? {})) {
    if (['v', 'index', 'at', 'kind', 'signature_required'].includes(field)) continue
    const changed = log.map((one, i) => {
      if (i !== opened) return one
      const entry = { ...one.entry, [field]: 'x' } as LogEntry
      // As who rewrites the log would: with the leaf hash that now is right.
      const leaf = createHash('sha256').update(Buffer.of(0)).update(JSON.stringify(entry)).digest()
      return { ...one, entry, leaf }
    })
    t.match(verdict(changed), /grant_request.approved/, field)
  }
})
