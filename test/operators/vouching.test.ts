import t from 'tap'
import { createSoftwareKey, type SoftwareKey } from '../../cli/software-key.js'
import { challengeOf, SSH_NAMESPACE, type VouchDocument } from '../../server/audit/proofs/document.js'
import { proofProblem } from '../../server/audit/proofs/proof.js'
import { newId } from '../../server/issuance/id.js'
import type { SignChallenge } from '../../server/operators/asking.js'
import { putChallenge } from '../../server/operators/challenges.js'
import { proposeKey } from '../../server/operators/enrolment.js'
import { keysOf, listKeys, removeKey } from '../../server/operators/keys.js'
import { recordingRefusals } from '../../server/operators/refusals.js'
import {
  listProposals,
  vouchChallenge,
  vouchForKey,
  withdrawProposal,
} from '../../server/operators/vouching.js'
import { SITE } from '../support/signing.js'
import { softwareSk } from '../support/software-sk.js'
import { type Keys, operator, testKeys } from './support.js'

/** Signs what a voucher is asked to, with whatever a thief would change. */
const vouch = (
  { deps, caller }: Keys,
  name: string,
  proposal: string,
  key: SoftwareKey,
  asked: SignChallenge,
  change: Parameters<SoftwareKey['sign']>[1] = {},
) =>
  vouchForKey(deps, caller(name), proposal, {
    challenge: asked.challenge,
    proof: key.sign(challengeOf(asked.document), change),
  })

t.test('a second key, on somebody else’s signature', async (t) => {
  const keys = await testKeys(t)
  const { deps, caller, enrol, propose, recorded, broker } = keys
  const alices = await enrol('alice')
  const { id, key } = await propose('bob')
  t.match(await listProposals(deps, operator('alice')), [
    { id, operator: 'bob', key_id: key.id, label: 'second', may_vouch: true },
  ])
  t.match(await listProposals(deps, operator('bob')), [{ id, may_vouch: false }])
  t.strictSame(await listProposals(deps, operator('eve', ['operator'])), [], 'nobody else’s business')
  t.match(await listProposals(deps, operator('carol', ['security'])), [{ id, may_vouch: false }])

  const asked = await vouchChallenge(deps, operator('alice'), id)
  const document = JSON.parse(asked.document) as VouchDocument
  t.match(document, {
    type: 'writ.vouch.v1',
    voucher: 'alice',
    operator: 'bob',
    key_id: key.id,
    public_key: key.publicKey,
    label: 'second',
    origin: SITE.origin,
  })
  t.match(asked, {
    keys: [{ id: alices.id }],
    webauthn: {
      challenge: challengeOf(asked.document).toString('base64url'),
      allow_credentials: [{ id: alices.id }],
      user_verification: 'required',
    },
  })
  t.strictSame(await vouch(keys, 'alice', id, alices, asked, { counter: 5 }), {
    operator: 'bob',
    key_id: key.id,
  })
  t.match(await listKeys(deps, operator('bob')), [{ id: key.id, vouched_by: 'alice', removed_at: null }])
  t.match(await keysOf(deps, 'alice'), [{ sign_count: 5 }])
  t.strictSame(await listProposals(deps, operator('alice')), [])
  t.match((await recorded()).slice(-2), [
    { kind: 'operator.key_proposed', operator: 'bob' },
    { kind: 'operator.key_added', operator: 'alice' },
  ])
  const [entry] = await broker.query<{ body: { proof: unknown } }>(
    `SELECT convert_from(body, 'UTF8')::jsonb AS body FROM writ.entry WHERE kind = 'operator.key_added' AND operator = 'alice'
       AND convert_from(body, 'UTF8')::jsonb->>'by' = 'vouch'`,
  )
  t.equal(proofProblem(entry?.body.proof), undefined, 'the record alone shows the signature')

  await t.rejects(vouch(keys, 'alice', id, alices, asked), { code: 'not_found' }, 'again, to the same end')
  const other = await propose('bob')
  await t.rejects(
    vouch(keys, 'alice', other.id, alices, asked, { counter: 6 }),
    { code: 'challenge_over' },
    'replayed',
  )
  const lower = await vouchChallenge(deps, operator('alice'), other.id)
  await t.rejects(
    vouch(keys, 'alice', other.id, alices, lower, { counter: 5 }),
    { code: 'signature_invalid', message: /signed 5 times.*copy/ },
    'a count that stands still: the key was copied',
  )
  t.ok(await vouch(keys, 'alice', other.id, alices, lower, { counter: 6 }))
  t.ok(caller)
})

t.test('who may not vouch, and how', async (t) => {
  const keys = await testKeys(t)
  const { deps, caller, enrol, propose, broker } = keys
  const alices = await enrol('alice')
  const bobs = await enrol('bob')
  const { id } = await propose('bob')

  await t.rejects(vouchChallenge(deps, operator('bob'), id), { code: 'voucher_is_owner' })
  await t.rejects(vouchChallenge(deps, operator('eve', ['operator', 'security']), id), {
    code: 'operator_role',
  })
  await t.rejects(
    vouchChallenge(deps, operator('dora', ['admin']), id),
    { code: 'key_unknown' },
    'without a key',
  )
  await t.rejects(vouchChallenge(deps, operator('alice'), newId()), { code: 'not_found' })

  const asked = await vouchChallenge(deps, operator('alice'), id)
  const bad: Readonly<Record<string, [string, Parameters<SoftwareKey['sign']>[1]]>> = {
    'without user verification': ['signature_invalid', { userVerified: false }],
    'without user presence': ['signature_invalid', { userPresent: false }],
    'at another origin': ['signature_invalid', { origin: 'https://evil.example' }],
    'for another site': ['signature_invalid', { rpId: 'evil.example' }],
    'within another page': ['signature_invalid', { crossOrigin: true }],
    'by a key that is not enrolled': ['signature_invalid', { wrongKey: true }],
    'over something else': ['signature_invalid', { challenge: Buffer.alloc(32) }],
    'as a registration': ['signature_invalid', { type: 'webauthn.create' }],
  }
  for (const [what, [code, change]] of Object.entries(bad)) {
    await t.rejects(vouch(keys, 'alice', id, alices, asked, change), { code }, what)
  }
  await t.rejects(
    vouch(keys, 'alice', id, bobs, asked),
    { code: 'key_unknown' },
    'with the key of another operator',
  )
  await t.rejects(vouch(keys, 'bob', id, bobs, asked), { code: 'voucher_is_owner' }, 'for oneself')
  await enrol('dora')
  const doras = await enrol('dora')
  await t.rejects(vouch(keys, 'dora', id, doras, asked), { code: 'challenge_over' }, 'another’s challenge')

  const altered = {
    label: 'blue',
    operator: 'eve',
    public_key: createSoftwareKey(SITE).publicKey,
    voucher: 'dora',
    key_kind: 'ssh-sk',
    proposal: newId(),
    type: 'writ.decision.v1',
  }
  for (const [field, value] of Object.entries(altered)) {
    // As if the broker had shown one thing and meant another: the database compares what was signed.
    const document = JSON.stringify({ ...JSON.parse(asked.document), [field]: value })
    const challenge = await putChallenge(deps, { purpose: 'vouch', operator: 'alice', document })
    const proof = { ...alices.sign(challengeOf(document)), document, public_key: alices.publicKey }
    const [row] = await broker.query<{ answer: object }>('SELECT writ.vouch_for_key($1) AS answer', [
      JSON.stringify({ proposal: id, operator: 'alice', challenge: challenge.id, proof, sign_count: 0 }),
    ])
    t.match(row?.answer, { status: 'refused', code: 'signed_something_else' }, `another ${field}`)
  }
  t.strictSame(await keysOf(deps, 'eve'), [])

  await removeKey(deps, caller('alice'), alices.id)
  await t.rejects(vouch(keys, 'alice', id, alices, asked), { code: 'key_unknown' }, 'with a removed key')
  const proof = {
    ...alices.sign(challengeOf(asked.document)),
    document: asked.document,
    public_key: alices.publicKey,
  }
  const [row] = await broker.query<{ answer: object }>('SELECT writ.vouch_for_key($1) AS answer', [
    JSON.stringify({ proposal: id, operator: 'alice', challenge: asked.challenge, proof, sign_count: 0 }),
  ])
  t.match(row?.answer, { code: 'key_unknown' }, 'nor past the broker')
  t.match(await listProposals(deps, operator('bob')), [{ id }], 'and the proposal waits on')
})

t.test('what has run out, was taken back or decided twice', async (t) => {
  const keys = await testKeys(t)
  const { deps, enrol, propose, owner } = keys
  const alices = await enrol('alice')
  const doras = await enrol('dora')
  const { id } = await propose('bob')
  const asked = await vouchChallenge(deps, operator('alice'), id)
  await owner.query('UPDATE writ.challenge SET expires_at = clock_timestamp()')
  await t.rejects(vouch(keys, 'alice', id, alices, asked), { code: 'challenge_over' }, 'signed too late')

  const [byAlice, byDora] = [
    await vouchChallenge(deps, operator('alice'), id),
    await vouchChallenge(deps, operator('dora'), id),
  ]
  const both = await Promise.allSettled([
    vouch(keys, 'alice', id, alices, byAlice),
    vouch(keys, 'dora', id, doras, byDora),
  ])
  t.equal(both.filter(({ status }) => status === 'fulfilled').length, 1, 'two vouchers at once: one entry')
  t.equal((await keysOf(deps, 'bob')).length, 1)

  const other = await propose('bob')
  const late = await vouchChallenge(deps, operator('dora'), other.id)
  await t.rejects(withdrawProposal(deps, operator('eve', ['operator']), other.id), { code: 'not_found' })
  await withdrawProposal(deps, operator('bob'), other.id)
  await t.rejects(vouch(keys, 'dora', other.id, doras, late), { code: 'not_found' }, 'taken back')
  const third = await propose('bob')
  await owner.query('UPDATE writ.proposed_key SET expires_at = created_at WHERE closed_at IS NULL')
  await t.rejects(vouchChallenge(deps, operator('alice'), third.id), { code: 'not_found' }, 'a day later')
})

t.test('an SSH key of an authenticator is vouched for, and vouches', async (t) => {
  const keys = await testKeys(t)
  const { deps, caller, enrol, propose } = keys
  const alices = await enrol('alice')
  const ssh = softwareSk('ecdsa')
  const { proposal } = await proposeKey(deps, caller('bob'), {
    kind: 'ssh-sk',
    public_key: ssh.publicKey,
    label: 'blue',
  })
  await vouch(keys, 'alice', proposal, alices, await vouchChallenge(deps, operator('alice'), proposal))
  t.match(await keysOf(deps, 'bob'), [{ id: ssh.keyId, kind: 'ssh-sk', public_key: ssh.publicKey }])

  const { id } = await propose('dora')
  const asked = await vouchChallenge(deps, operator('bob'), id)
  t.match(asked, { keys: [{ id: ssh.keyId }], webauthn: { allow_credentials: [] } })
  const signed = (change: Parameters<typeof ssh.proof>[1]) => {
    const { kind, key_id, signature } = ssh.proof(asked.document, change)
    return vouchForKey(deps, caller('bob'), id, {
      challenge: asked.challenge,
      proof: { kind, key_id, signature },
    })
  }
  await t.rejects(signed({ flags: 0x01 }), { code: 'signature_invalid', message: /PIN or fingerprint/ })
  await t.rejects(signed({ namespace: `${SSH_NAMESPACE}x` }), { code: 'signature_invalid' })
  t.match(await signed({ counter: 7 }), { operator: 'dora' })
  t.match(await keysOf(deps, 'bob'), [{ sign_count: 7 }])
})

t.test('refusals are recorded before they are answered', async (t) => {
  const keys = await testKeys(t)
  const { deps, caller, propose, recorded } = keys
  const { id } = await propose('bob')
  const tried = {
    caller: caller('bob'),
    issuer: 'https://issuer.example.com',
    subject: 'b',
    request: 'r',
    path: '/x',
  }
  const own = () => vouchChallenge(deps, operator('bob'), id)
  await t.rejects(recordingRefusals(deps, tried, own), { code: 'voucher_is_owner' })
  t.match((await recorded()).at(-1), { kind: 'operator.refused', operator: 'bob', code: 'voucher_is_owner' })
  const down = { record: () => Promise.reject(new Error('down')) }
  await t.rejects(recordingRefusals(down, tried, own), { message: 'down' })
})
