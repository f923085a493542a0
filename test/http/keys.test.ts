import t, { type Test } from 'tap'
import { createSoftwareKey, type SoftwareKey } from '../../cli/software-key.js'
import { asOwner } from '../../server/db/owner.js'
import { createEnrolmentCode } from '../../server/operators/codes.js'
import { type Answer, startTestBroker, type TestBroker } from '../support/broker.js'
import { silent } from '../support/postgres.js'
import { softwareSk } from '../support/software-sk.js'

const KEYS = '/v1/operator-keys'

const bytes = (text: string) => Buffer.from(text, 'base64url')

async function codeFor(broker: TestBroker, operator: string): Promise<string> {
  const wanted = { operator, by: 'the test', seconds: 60 }
  return (await asOwner(broker.sql.ownerUrl, silent, (owner) => createEnrolmentCode(owner, wanted))).code
}

const newKey = ({ origin }: TestBroker) => createSoftwareKey({ rpId: 'localhost', origin })

/** Both steps of enrolling with a code. */
async function enrol(broker: TestBroker, operator: string, key: SoftwareKey, code: string): Promise<Answer> {
  const options = await broker.call('POST', `${KEYS}/enrol/options`, undefined, { operator, code })
  if (options.status !== 200) return options
  return broker.call('POST', `${KEYS}/enrol`, undefined, {
    operator,
    code,
    challenge: options.body.challenge,
    credential: key.register(bytes(options.body.options.challenge)),
    label: 'first',
  })
}

async function propose(broker: TestBroker, token: string, key: SoftwareKey): Promise<Answer> {
  const options = await broker.call('POST', `${KEYS}/options`, token)
  if (options.status !== 200) return options
  return broker.call('POST', KEYS, token, {
    kind: 'passkey',
    challenge: options.body.challenge,
    credential: key.register(bytes(options.body.options.challenge)),
    label: 'second',
  })
}

t.test('a key by a code, another by a voucher, and away with both', async (t) => {
  const broker = await startTestBroker(t)
  const [alice, bob] = [await broker.operatorToken('alice'), await broker.operatorToken('bob')]
  const alices = newKey(broker)
  const code = await codeFor(broker, 'alice')
  t.match(await enrol(broker, 'alice', alices, code), { status: 201, body: { key_id: alices.id } })
  t.match(await enrol(broker, 'alice', alices, code), { status: 403, body: { code: 'code_unusable' } })

  const bobs = newKey(broker)
  const proposed = await propose(broker, bob, bobs)
  t.match(proposed, { status: 202, body: { proposal: String, key_id: bobs.id } })
  const at = `${KEYS}/proposals/${proposed.body.proposal}`
  t.match(await broker.call('GET', `${KEYS}/proposals`, alice), {
    body: { items: [{ id: proposed.body.proposal, operator: 'bob', may_vouch: true }] },
  })
  t.match(await broker.call('POST', `${at}/challenge`, bob), {
    status: 403,
    body: { code: 'voucher_is_owner' },
  })
  const asked = await broker.call('POST', `${at}/challenge`, alice)
  t.match(asked, { status: 200, body: { webauthn: { rp_id: 'localhost', user_verification: 'required' } } })
  const proof = alices.sign(bytes(asked.body.webauthn.challenge))
  const vouch = { challenge: asked.body.challenge, proof }
  t.match(await broker.call('POST', `${at}/vouch`, alice, vouch), { status: 200, body: { key_id: bobs.id } })
  t.match(await broker.call('POST', `${at}/vouch`, alice, vouch), {
    status: 404,
    body: { code: 'not_found' },
  })
  const mine = await broker.call('GET', KEYS, bob)
  t.match(mine.body.items, [{ id: bobs.id, label: 'second', vouched_by: 'alice', kind: 'passkey' }])

  const ssh = softwareSk('ed25519')
  const line = { kind: 'ssh-sk', public_key: `${ssh.publicKey} bob@laptop\n`, label: 'blue' }
  const waiting = await broker.call('POST', KEYS, bob, line)
  t.match(waiting, { status: 202, body: { key_id: ssh.keyId } })
  t.match(await broker.call('DELETE', `${KEYS}/proposals/${waiting.body.proposal}`, bob), { status: 200 })

  const carol = await broker.operatorToken('carol')
  t.match(await broker.call('GET', `${KEYS}?operator=bob`, carol), { body: { items: [{ id: bobs.id }] } })
  t.match(await broker.call('GET', `${KEYS}?operator=bob`, alice), { body: { code: 'operator_role' } })
  t.match(await broker.call('DELETE', `${KEYS}/${bobs.id}`, alice), { status: 404 })
  t.match(await broker.call('DELETE', `${KEYS}/${bobs.id}`, bob), {
    status: 200,
    body: { of: 'bob', left: 0 },
  })
  const long = 'A'.repeat(1364)
  t.match(await broker.call('DELETE', `${KEYS}/${long}`, bob), {
    status: 404,
    body: { detail: /no such key/ },
  })
  t.match(await broker.call('DELETE', `${KEYS}/${encodeURIComponent(ssh.keyId)}`, bob), {
    status: 404,
    body: { detail: /no such key/ },
  })
})

t.test('a stale token proposes and removes nothing; an agent has nothing here', async (t) => {
  const broker = await startTestBroker(t)
  const stale = await broker.operatorToken('bob', { authTime: new Date(Date.now() - 301_000) })
  for (const [method, path, body] of [
    ['POST', `${KEYS}/options`, undefined],
    ['POST', KEYS, { kind: 'ssh-sk', public_key: softwareSk('ed25519').publicKey, label: 'x' }],
  ] as const) {
    t.match(await broker.call(method, path, stale, body), { status: 403, body: { code: 'proof_stale' } })
  }
  const key = await broker.enrol('bob')
  t.match(await broker.call('DELETE', `${KEYS}/${key.id}`, stale), {
    status: 403,
    body: { code: 'proof_stale' },
  })
  t.match(await broker.call('GET', KEYS, await broker.agentToken('orders-coder')), { status: 401 })
  t.match(
    await broker.call(
      'POST',
      `${KEYS}/proposals/000000000000/challenge`,
      await broker.operatorToken('carol'),
    ),
    {
      status: 403,
      body: { code: 'operator_role' },
    },
  )
})

t.test('guessing', async (t) => {
  const broker = await startTestBroker(t)
  const guess = (operator: string, code: string) =>
    broker.call('POST', `${KEYS}/enrol/options`, undefined, { operator, code })
  const real = await guess('bob', '0000-0000-0000-0000-0000-0000-0000')
  const unknown = await guess('nobody-at-all', '0000-0000-0000-0000-0000-0000-0000')
  t.match(real, { status: 403, body: { code: 'code_unusable' } })
  const said = ({ body: { request: _, ...rest } }: Answer) => rest
  t.strictSame(said(unknown), said(real), 'nobody learns whom there is')
  for (let i = 0; i < 8; i++) await guess('bob', `${i}`)
  const code = await codeFor(broker, 'bob')
  const full = await guess('bob', code)
  t.match(full, { status: 429, body: { code: 'code_attempts' } })
  t.ok(Number(full.headers.get('retry-after')) > 0)
  await shape(t, broker, code)
  const carol = await broker.operatorToken('carol')
  const events = await broker.call('GET', '/v1/events?code=code_unusable', carol)
  t.match(events.body.items, [{ repeats: 9, personal: { source_ip: '127.0.0.1' } }], 'one entry for all')
  t.notMatch(broker.logged.join(''), code)
})

async function shape(t: Test, broker: TestBroker, code: string): Promise<void> {
  for (const body of [
    { operator: 'bob' },
    { operator: 'bob', code, more: 1 },
    { operator: ['bob'], code },
    { operator: 'bob\n', code },
    { operator: 'bob', code: 'x'.repeat(101) },
  ]) {
    t.match(await broker.call('POST', `${KEYS}/enrol/options`, undefined, body), { status: 422 })
  }
}
