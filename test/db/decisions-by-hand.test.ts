import t from 'tap'
import { failsWith } from '../support/fails.js'
import { testLedger } from '../support/ledger.js'
import { desk, type Fields } from './decisions-setup.js'

t.test('the owner of the tables cannot insert a decision that nobody signed', async (t) => {
  const ledger = await testLedger(t)
  const { open, sign, altered, call } = desk(ledger)
  const asked = await open({ approvals_needed: 2, barred_humans: ['erin'] })
  const signed = await sign(asked, 'bob')
  const insert = (change: Fields = {}) => {
    const row: Fields = {
      request_id: asked.id,
      operator: 'bob',
      decision: 'approve',
      at: new Date(),
      comment: null,
      proof_kind: 'passkey',
      proof: JSON.stringify(signed.proof),
      operator_names: ['bob'],
      operator_teams: [],
      break_glass: false,
      ...change,
    }
    const names = Object.keys(row)
    return ledger.owner.query(
      `INSERT INTO writ.grant_decision (${names.join(', ')}) VALUES (${names.map((_, i) => `$${i + 1}`).join(', ')})`,
      Object.values(row),
    )
  }
  const unsigned = (change: Fields, why: string) => failsWith(t, insert(change), 'WR006', why)
  await unsigned({}, 'a challenge that nobody answered')
  await ledger.owner.query('UPDATE writ.challenge SET used_at = now() WHERE id = $1', [signed.challenge])
  await unsigned({ proof_kind: 'fresh-token', proof: '{"kind": "fresh-token"}' }, 'a token')
  await unsigned({ proof_kind: 'fresh-token' }, 'a token in disguise')
  await unsigned({ proof_kind: 'ssh-sk' }, 'another kind than the proof says')
  const claims = { ...signed.proof, kind: 'ssh-sk' }
  await unsigned({ proof: JSON.stringify(claims) }, 'a proof that says another kind')
  await unsigned({ proof: '{}' }, 'nothing')
  await unsigned({ proof: '{"kind": "passkey", "document": "not json"}' }, 'no document')
  await unsigned({ proof: 'null' }, 'null')
  await unsigned({ decision: 'deny' }, 'another decision')
  await unsigned({ operator: 'dora', operator_names: ['dora'] }, 'by another')
  await unsigned({ comment: 'never said' }, 'a comment of somebody else')
  await unsigned({ break_glass: true, comment: 'the shop is down' }, 'broken glass that nobody signed')
  await unsigned({ proof: JSON.stringify({ ...signed.proof, public_key: 'another' }) }, 'another key')
  const late = await altered(signed, (d) => ({
    ...d,
    expires_at: new Date(Date.now() - 60_000).toISOString(),
  }))
  await ledger.owner.query('UPDATE writ.challenge SET used_at = now() WHERE id = $1', [late.challenge])
  await unsigned({ proof: JSON.stringify(late.proof) }, 'expired')
  await failsWith(t, insert({ operator_names: ['bob', 'Erin'] }), 'WR003', 'the beneficiary')
  await failsWith(
    t,
    insert({ break_glass: true, proof_kind: 'fresh-token', proof: '{"kind": "fresh-token"}' }),
    'WR006',
    'broken glass without a signature',
  )
  await insert()
  await failsWith(
    t,
    insert({ operator: 'robert', operator_names: ['robert', 'BOB'] }),
    'WR003',
    'the same person under another name',
  )

  const removed = await open()
  const gone = await sign(removed, 'dora')
  await ledger.owner.query('UPDATE writ.challenge SET used_at = now() WHERE id = $1', [gone.challenge])
  await call('remove_key', { key_id: gone.proof.key_id, operator: 'dora' })
  await unsigned(
    { request_id: removed.id, operator: 'dora', operator_names: ['dora'], proof: JSON.stringify(gone.proof) },
    'a key that was removed',
  )
  await failsWith(
    t,
    ledger.owner.query('UPDATE writ.grant_decision SET break_glass = true'),
    'WR001',
    'glass broken afterwards',
  )
})
