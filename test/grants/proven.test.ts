import t, { type Test } from 'tap'
import { createSoftwareKey } from '../../cli/software-key.js'
import { canonicalText, challengeOf } from '../../server/audit/proofs/document.js'
import { newId } from '../../server/issuance/id.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'

const WISH = { environment: 'production', scopes: ['orders:write'], reason: 'a test' }

/** What a thief of the broker's database login can do: call the functions, with whatever they like. */
async function asThief(t: Test) {
  const broker = await startTestBroker(t)
  const agent = await broker.agentToken('orders-coder')
  const bobs = await broker.enrol('bob')
  const call = async (name: string, argument: object) => {
    const rows = await broker.database.query<{ answer: { status: string; grant_id?: string } }>(
      `SELECT writ.${name}($1::jsonb) AS answer`,
      [JSON.stringify(argument)],
    )
    return rows[0]?.answer
  }
  const asked = (await broker.call('POST', '/v1/grant-requests', agent, WISH)).body
  /** A decision in bob's name with this key's id, and whatever signature. */
  const decide = async (key: { id: string; publicKey: string }, sign: (challenge: Buffer) => object) => {
    const token = await broker.operatorToken('bob')
    const path = `/v1/grant-requests/${asked.id}/challenge`
    const { body } = await broker.call('POST', path, token, { decision: 'approve' })
    return call('decide_grant_request', {
      request_id: asked.id,
      grant_id: newId(),
      decision: 'approve',
      operator: 'bob',
      operator_names: ['bob'],
      operator_teams: [],
      policy_digest: asked.policy_digest,
      permissions_sha256: asked.permissions_sha256,
      proof_kind: 'passkey',
      proof: {
        kind: 'passkey',
        document: body.document,
        public_key: key.publicKey,
        ...sign(challengeOf(body.document)),
      },
      challenge: body.challenge,
      sign_count: 0,
    })
  }
  return { broker, agent, bobs, call, decide }
}

async function issuesNothing(t: Test, broker: TestBroker, agent: string): Promise<void> {
  t.match(await broker.call('POST', '/v1/credentials', agent, WISH), {
    status: 403,
    body: { code: 'grant_unproven' },
  })
  const minted = broker.localAws.calls.filter(({ action }) => action === 'sts:AssumeRole')
  t.strictSame(minted, [], 'AWS was not asked')
}

t.test('a grant that only rows in the database speak for is worth nothing', async (t) => {
  const { broker, agent, bobs, decide } = await asThief(t)
  const other = createSoftwareKey({ rpId: 'localhost', origin: broker.origin })
  const made = await decide(bobs, (challenge) => ({ ...other.sign(challenge), key_id: bobs.id }))
  t.match(made, { status: 'ok', grant_id: String }, 'the database takes it: it cannot check a signature')
  await issuesNothing(t, broker, agent)
})

t.test('nor is one with a key that nobody really vouched for', async (t) => {
  const { broker, agent, bobs, call, decide } = await asThief(t)
  const alices = await broker.enrol('alice')
  const thiefs = createSoftwareKey({ rpId: 'localhost', origin: broker.origin })
  const key = { id: thiefs.id, kind: 'passkey', public_key: thiefs.publicKey, label: 'new phone' }
  const [proposal, challenge] = [newId(), newId()]
  await call('propose_key', { id: proposal, operator: 'bob', key })
  const now = Date.now()
  const document = canonicalText({
    type: 'writ.vouch.v1',
    voucher: 'alice',
    operator: 'bob',
    proposal,
    key_id: key.id,
    key_kind: key.kind,
    public_key: key.public_key,
    label: key.label,
    origin: broker.origin,
    rp_id: 'localhost',
    nonce: Buffer.alloc(32, 1).toString('base64url'),
    issued_at: new Date(now).toISOString(),
    expires_at: new Date(now + 300_000).toISOString(),
  })
  await call('put_challenge', { id: challenge, purpose: 'vouch', operator: 'alice', document, seconds: 300 })
  const vouched = await call('vouch_for_key', {
    proposal,
    operator: 'alice',
    challenge,
    sign_count: 0,
    proof: {
      ...thiefs.sign(challengeOf(document)),
      key_id: alices.id,
      public_key: alices.publicKey,
      document,
    },
  })
  t.match(vouched, { status: 'ok' }, 'the database takes this too')
  t.match(await decide(thiefs, (challenge) => thiefs.sign(challenge)), { status: 'ok', grant_id: String })
  await issuesNothing(t, broker, agent)
  t.ok(bobs)
})

t.test('what bob signed is proven, and his key may go afterwards', async (t) => {
  const { broker, agent, bobs, call, decide } = await asThief(t)
  t.match(await decide(bobs, (challenge) => bobs.sign(challenge)), { status: 'ok' })
  await call('remove_key', { key_id: bobs.id, operator: 'bob' })
  t.match(await broker.call('POST', '/v1/credentials', agent, WISH), { status: 200 })
})
