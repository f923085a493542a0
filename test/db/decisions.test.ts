import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import { newId } from '../../server/issuance/id.js'
import { failsWith } from '../support/fails.js'
import { READ_ROLE } from '../support/items.js'
import { testLedger } from '../support/ledger.js'
import { desk, type Fields } from './decisions-setup.js'

const without = (name: string) => (document: Fields) =>
  Object.fromEntries(Object.entries(document).filter(([field]) => field !== name))

t.test('what was signed is this very decision, field by field', async (t) => {
  const { open, sign, altered, decide } = desk(await testLedger(t))
  const asked = await open({ not_before: new Date(Date.now() + 60_000).toISOString(), human: 'erin' })
  const honest = await sign(asked, 'bob')
  const refused = async (change: (document: Fields) => Fields, why: string) =>
    t.match(await decide(await altered(honest, change)), { code: 'signed_something_else' }, why)

  const other: Fields = {
    type: 'writ.vouch.v1',
    scopes: ['orders:write', 'orders:purge'],
    permissions: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
    max_uses: 1000,
    valid_seconds: 604_800,
    max_session_seconds: 43_200,
    approvals_needed: 2,
    break_glass: true,
    decision: 'deny',
    not_before: null,
    personal: null,
    comment: 'a'.repeat(64),
  }
  const free = ['origin', 'rp_id', 'nonce', 'network', 'issued_at', 'expires_at']
  for (const field of Object.keys(JSON.parse(honest.proof.document))) {
    await refused(without(field), `without ${field}`)
    if (!free.includes(field)) {
      await refused((d) => ({ ...d, [field]: other[field] ?? 'other' }), `another ${field}`)
    }
  }
  await refused((d) => ({ ...d, more: true }), 'a field that nobody knows')
  await refused((d) => ({ ...d, not_before: 'tomorrow' }), 'no instant')
  await refused((d) => ({ ...d, not_before: '2026-13-45T25:00:00Z' }), 'no day')
  await refused((d) => ({ ...d, valid_seconds: null }), 'no duration')
  await refused((d) => ({ ...d, scopes: 'orders:write' }), 'text in place of a list')
  t.match(await decide(honest), { status: 'ok', state: 'granted' }, 'and the honest one counts')

  const now = await open()
  const soon = await sign(now, 'bob')
  t.match(await decide(await altered(soon, without('not_before'))), { code: 'signed_something_else' })
  t.match(await decide(await altered(soon, (d) => ({ ...d, not_before: 'now' }))), {
    code: 'signed_something_else',
  })
  t.match(await decide({ ...soon, decision: 'deny' }), { code: 'signed_something_else' })
  t.match(await decide({ ...soon, operator: 'dora', operator_names: ['dora'] }), {
    code: 'signed_something_else',
  })
  t.match(await decide({ ...soon, operator: null }), { status: 'refused' }, 'nobody')
  t.match(await decide({ ...soon, break_glass: true, comment: 'the shop is down' }), {
    code: 'signed_something_else',
  })
  t.match(await decide({ ...soon, comment: 'not in the document' }), { code: 'signed_something_else' })
})

t.test('a comment is the one whose hash was signed', async (t) => {
  const { open, sign, altered, decide } = desk(await testLedger(t))
  const salt = randomBytes(16)
  const hash = createHash('sha256').update(Uint8Array.of(3)).update(salt).update('fine by me').digest('hex')
  const signed = await altered(await sign(await open(), 'bob'), (d) => ({ ...d, comment: hash }))
  const said = { ...signed, comment: 'fine by me', comment_salt: salt.toString('hex') }
  for (const [change, why] of [
    [{ comment: 'never' }, 'another comment'],
    [{ comment: null }, 'none'],
    [{ comment_salt: null }, 'no salt'],
    [{ comment_salt: 'zz' }, 'no hex'],
    [{ comment_salt: randomBytes(16).toString('hex') }, 'another salt'],
  ] as const) {
    t.match(await decide({ ...said, ...change }), { code: 'signed_something_else' }, why)
  }
  t.match(await decide(said), { state: 'granted' })
})

t.test('what cannot be read is refused and is no error', async (t) => {
  const { open, sign, decide } = desk(await testLedger(t))
  const honest = await sign(await open(), 'bob')
  const texts = [
    '',
    'not json',
    '{',
    '[]',
    '[{}]',
    '5',
    'null',
    '"text"',
    '{"a":"\\u0000"}',
    '{"a":"\\ud800"}',
  ]
  for (const document of [...texts, `${'['.repeat(60_000)}`, '{"a":1e999999}', null]) {
    const answer = await decide({ ...honest, proof: { ...honest.proof, document } })
    t.match(answer, { code: 'signed_something_else' }, String(document).slice(0, 20))
  }
  t.match(await decide({ ...honest, proof: null }), { code: 'signed_something_else' }, 'no proof')
  t.match(await decide({ ...honest, proof_kind: null }), { code: 'signed_something_else' }, 'no kind')
  t.match(await decide({ ...honest, proof: [] }), { code: 'signed_something_else' })
})

t.test('a document is good for its minutes', async (t) => {
  const ledger = await testLedger(t)
  const { open, sign, altered, decide } = desk(ledger)
  const asked = await open()
  const honest = await sign(asked, 'bob')
  const at = (issued: unknown, expires: unknown) => (d: Fields) => ({
    ...d,
    issued_at: typeof issued === 'number' ? new Date(Date.now() + issued * 1000).toISOString() : issued,
    expires_at: typeof expires === 'number' ? new Date(Date.now() + expires * 1000).toISOString() : expires,
  })
  for (const [issued, expires, why] of [
    [-400, -100, 'expired'],
    [120, 300, 'issued in two minutes'],
    [-60, 3600, 'good for an hour'],
    ['yesterday', 300, 'no instant'],
    ['now', 300, 'whenever it is read'],
    [new Date().toISOString().slice(0, -1), 300, 'a time of nowhere'],
    [-10, '2999-01-01', 'a day'],
    [-10, 'infinity', 'for ever'],
    [null, 300, 'null'],
    [-10, null, 'null at the end'],
  ] as const) {
    const late = await altered(honest, at(issued, expires))
    t.match(await decide(late), { code: 'challenge_over' }, why)
  }
  await ledger.owner.query(
    `UPDATE writ.challenge SET created_at = created_at - interval '1 hour', expires_at = expires_at - interval '1 hour'
     WHERE id = $1`,
    [honest.challenge],
  )
  t.match(
    await decide(honest),
    { code: 'challenge_over' },
    'the challenge is over, whatever its document says',
  )
})

t.test('a challenge is used once, by whom it is for, with a key that is theirs', async (t) => {
  const ledger = await testLedger(t)
  const { open, sign, put, decide, call } = desk(ledger)
  const asked = await open({ approvals_needed: 2 })
  const second = await open({ approvals_needed: 2 })
  const bob = await sign(asked, 'bob')
  const dora = await sign(asked, 'dora')

  t.match(
    await decide({ ...bob, request_id: second.id }),
    { code: 'signed_something_else' },
    'another request',
  )
  t.match(
    await decide({ ...bob, challenge: dora.challenge }),
    { code: 'challenge_over' },
    "another's challenge",
  )
  t.match(await decide({ ...bob, challenge: newId() }), { code: 'challenge_over' }, 'no such challenge')
  const foreign = { ...bob.proof, key_id: dora.proof.key_id, public_key: dora.proof.public_key }
  t.match(await decide({ ...bob, proof: foreign }), { code: 'key_unknown' }, "another's key")
  const swapped = { ...bob.proof, public_key: dora.proof.public_key }
  t.match(
    await decide({ ...bob, proof: swapped }),
    { code: 'key_unknown' },
    'a key that is not under this id',
  )
  t.match(await decide({ ...bob, proof_kind: 'ssh-sk' }), { code: 'signed_something_else' }, 'two kinds')
  const ssh = { ...bob.proof, kind: 'ssh-sk' }
  t.match(await decide({ ...bob, proof_kind: 'ssh-sk', proof: ssh }), { code: 'key_unknown' }, 'not its kind')
  const vouch = { id: newId(), purpose: 'vouch', operator: 'bob', document: bob.proof.document, seconds: 300 }
  await call('put_challenge', vouch)
  t.match(await decide({ ...bob, challenge: vouch.id }), { code: 'challenge_over' }, 'of another purpose')

  const same = await Promise.all([1, 2, 3, 4].map(() => decide(bob)))
  t.equal(same.filter(({ status }) => status === 'ok').length, 1, 'one of four at once')
  t.strictSame(
    new Set(same.filter(({ status }) => status !== 'ok').map(({ code }) => code)),
    new Set(['already_decided']),
  )
  const again = { ...bob, challenge: await put(bob.proof.document, 'bob') }
  t.match(await decide(again), { code: 'already_decided' }, 'the same document, asked for again')

  await call('remove_key', { key_id: dora.proof.key_id, operator: 'dora' })
  t.match(await decide(dora), { code: 'key_unknown' }, 'a key removed after it signed')
  const rows = await ledger.broker.query('SELECT operator FROM writ.grant_decision')
  t.strictSame(rows, [{ operator: 'bob' }])
  const open2 = await ledger.broker.query('SELECT used_at FROM writ.challenge WHERE id = $1', [
    dora.challenge,
  ])
  t.strictSame(open2, [{ used_at: null }], 'a refusal uses nothing up')
})

t.test('a token alone decides nothing in production', async (t) => {
  const { open, sign, decide } = desk(await testLedger(t))
  const asked = await open()
  const signed = await sign(asked, 'bob')
  const token = { ...signed, proof_kind: 'fresh-token', proof: { kind: 'fresh-token' } }
  t.match(await decide(token), { code: 'signature_required' })
  t.match(await decide({ ...token, proof: signed.proof }), { code: 'signature_required' }, 'in disguise')
  t.match(await decide({ ...token, decision: 'deny' }), { code: 'signature_required' }, 'nor does it deny')
  const elsewhere = await open({ role_arn: READ_ROLE })
  const there = {
    ...(await sign(elsewhere, 'bob')),
    proof_kind: 'fresh-token',
    proof: { kind: 'fresh-token' },
  }
  t.match(await decide({ ...there, break_glass: true, comment: 'the shop is down' }), {
    code: 'signature_required',
  })
  t.match(await decide(there), { state: 'granted' }, 'elsewhere it does')
})

t.test('one person is one approval', async (t) => {
  const ledger = await testLedger(t)
  const { open, sign, decide } = desk(ledger)
  const asked = await open({ approvals_needed: 2 })
  const names = ['bob', 'bob@example.com']
  t.match(await decide({ ...(await sign(asked, 'bob')), operator_names: names }), {
    state: 'pending',
    approvals: 1,
  })
  await ledger.owner.query(
    `INSERT INTO writ.operator_key (id, operator, kind, public_key, label, added_at)
     VALUES ('a-second-key-of-bob', 'bob', 'passkey', 'another', 'second', now())`,
  )
  const secondKey = await sign(asked, 'bob')
  const proof = { ...secondKey.proof, key_id: 'a-second-key-of-bob', public_key: 'another' }
  t.match(await decide({ ...secondKey, proof }), { code: 'already_decided' }, 'with a second key')
  const robert = { ...(await sign(asked, 'robert')), operator_names: ['robert', 'BOB@example.com'] }
  t.match(await decide(robert), { code: 'already_decided' }, 'under a second name')
  t.match(await decide({ ...robert, operator_names: ['robert', 'Bob'] }), { code: 'already_decided' })
  await failsWith(t, decide({ ...robert, operator_names: ['dora'] }), '23514', 'names without their own')

  const token = {
    proof_kind: 'fresh-token',
    proof: { kind: 'fresh-token', issuer: 'https://i', subject: 's' },
  }
  const elsewhere = await open({ role_arn: READ_ROLE, approvals_needed: 2 })
  t.match(await decide({ ...(await sign(elsewhere, 'bob')), ...token }), { state: 'pending' })
  t.match(
    await decide({ ...(await sign(elsewhere, 'robert')), ...token }),
    { code: 'already_decided' },
    'one sign-in',
  )
  t.match(await decide(await sign(asked, 'dora')), { state: 'granted', approvals: 2 })

  const barred = await open({ barred_humans: ['Erin@Example.com'] })
  const erin = { ...(await sign(barred, 'erin')), operator_names: ['erin', 'erin@example.com'] }
  t.match(
    await decide(erin),
    { code: 'approver_is_beneficiary' },
    'capital letters make nobody somebody else',
  )
})

t.test('an approval by token from before signatures were asked for does not count', async (t) => {
  const { owner, ...ledger } = await testLedger(t)
  const { open, sign, decide } = desk({ owner, ...ledger })
  const asked = await open({ approvals_needed: 2 })
  await owner.query('ALTER TABLE writ.grant_decision DISABLE TRIGGER guard')
  await owner.query(
    `INSERT INTO writ.grant_decision (request_id, operator, decision, at, proof_kind, proof, operator_names, operator_teams)
     VALUES ($1, 'carol', 'approve', now(), 'fresh-token', '{"kind": "fresh-token"}', '{carol}', '{}')`,
    [asked.id],
  )
  await owner.query('ALTER TABLE writ.grant_decision ENABLE TRIGGER guard')
  t.match(await decide(await sign(asked, 'bob')), { state: 'pending', approvals: 1 })
  t.match(await decide(await sign(asked, 'dora')), { state: 'granted', approvals: 2 })
})
