import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { decisionCode } from '../../server/audit/proofs/decision-code.js'
import { challengeOf } from '../../server/audit/proofs/document.js'
import { proofProblem } from '../../server/audit/proofs/proof.js'
import { type SoftwareSk, softwareSk, writeSshKeygen } from '../support/software-sk.js'
import { commandOnBroker, installed, type OnBroker, run } from './support.js'

t.setTimeout(120_000)

const WISH = { environment: 'production', scopes: ['orders:write'], uses: 2, ticket: 'T-7' }

async function ask({ broker }: OnBroker, reason: string): Promise<string> {
  const token = await broker.agentToken('orders-coder')
  const { status, body } = await broker.call('POST', '/v1/grant-requests', token, { ...WISH, reason })
  if (status !== 202) throw new Error(`asking answered ${status}: ${JSON.stringify(body)}`)
  return body.id
}

/** Bob proposes his key, and Alice signs for it with her passkey. */
async function enrolSsh(t: Test, { broker }: OnBroker, { publicKey: public_key }: SoftwareSk): Promise<void> {
  const [alice, bob] = [await broker.operatorToken('alice'), await broker.operatorToken('bob')]
  const wish = { kind: 'ssh-sk', public_key, label: 'security key' }
  const proposed = await broker.call('POST', '/v1/operator-keys', bob, wish)
  t.equal(proposed.status, 202, JSON.stringify(proposed.body))
  const path = `/v1/operator-keys/proposals/${proposed.body.proposal}`
  const { body: asked } = await broker.call('POST', `${path}/challenge`, alice, {})
  const proof = (await broker.enrol('alice')).sign(challengeOf(asked.document))
  const vouched = await broker.call('POST', `${path}/vouch`, alice, { challenge: asked.challenge, proof })
  t.equal(vouched.status, 200, JSON.stringify(vouched.body))
}

t.test('a FIDO2 SSH key decides on a broker', async (t) => {
  if (!installed(t, 'script (util-linux)', 'script', ['--version'])) return
  const here = await commandOnBroker(t)
  const { broker, folder } = here
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  writeSshKeygen(bin)
  const sk = softwareSk('ecdsa')
  const key = sk.save(join(folder, 'id_sk'))
  const types = async (typed: string, args: readonly string[]) => {
    const env = {
      WRIT_URL: broker.url,
      WRIT_OPERATOR_TOKEN: await broker.operatorToken('bob'),
      HOME: folder,
    }
    const line = ['env', `PATH=${bin}:${process.env.PATH}`, process.execPath, here.launcher, ...args].join(
      ' ',
    )
    return run('sh', ['-c', `printf '${typed}\\n' | script -qec "${line}" /dev/null`], { env, cwd: folder })
  }

  const id = await ask(here, 'correct order 7')

  await t.test('only once somebody else has signed for it', async (t) => {
    const early = await types('orders-coder', ['approve', id, '--key', key])
    t.equal(early.code, 3)
    t.match(early.stdout, /is not enrolled for bob/)
    await enrolSsh(t, here, sk)
  })

  await t.test('approve: the grant, and a proof in the record that anybody can check', async (t) => {
    const ran = await types('orders-coder', ['approve', id, '--key', key, '--comment', 'fine'])
    t.equal(ran.code, 0, ran.stdout)
    t.match(
      ran.stdout,
      /orders-coder, acting for nobody named, will be able to use s3:PutObject on arn:aws:s3:::orders-production/,
    )
    t.match(ran.stdout, /is granted: grant \w{12}\./)
    const events = await broker.call(
      'GET',
      `/v1/events?kind=grant_request.approved&request=${id}`,
      await broker.operatorToken('carol'),
    )
    const { body } = events.body.items[0]
    const { proof, proof_kind } = body.payload ?? body
    t.equal(proof_kind, 'ssh-sk')
    t.match(proof, { key_id: sk.keyId, public_key: sk.publicKey })
    t.equal(proofProblem(proof), undefined)
    t.match(JSON.parse(proof.document), {
      approver: 'bob',
      request: id,
      decision: 'approve',
      origin: broker.origin,
    })
    const again = await types('orders-coder', ['approve', id, '--key', key])
    t.equal(again.code, 7, 'a request is decided once')
  })

  await t.test('the link, and the code that the page shows too', async (t) => {
    const id = await ask(here, 'from the phone')
    const linked = await here.operator('bob', ['approve', id, '--json'])
    t.equal(linked.code, 4)
    const { body } = await broker.call(
      'GET',
      `/v1/grant-requests?id=${id}`,
      await broker.operatorToken('bob'),
    )
    t.strictSame(linked.json, {
      request: id,
      link: `${broker.origin}/console/requests/${id}`,
      code: decisionCode(body.items[0]),
      state: 'pending',
    })
    const waiting = here.operator('bob', ['approve', id, '--wait'])
    t.match((await broker.decide(id, 'bob')).body, { state: 'granted' })
    const waited = await waiting
    t.equal(waited.code, 0, waited.stderr)
    t.match(waited.stdout, /is granted \(approve by bob\)/)
  })

  await t.test('breaking glass, for no longer than that may be', async (t) => {
    const token = await broker.agentToken('orders-coder')
    const wish = { ...WISH, reason: 'the shop is down', valid_for: 86_400 }
    const { body } = await broker.call('POST', '/v1/grant-requests', token, wish)
    const args = ['approve', body.id, '--key', key, '--break-glass', '--comment', 'nobody-else-answers']
    const ran = await types('orders-coder', args)
    t.equal(ran.code, 0, ran.stdout)
    t.match(ran.stdout, /BY BREAKING GLASS/)
    t.notMatch(ran.stdout, /begun within 1 d/, 'what is shown is what is signed, not what was asked for')
    t.match(ran.stdout, /is granted/)
  })

  // Last: after a denial the agent has to wait before it may ask again.
  await t.test('what no honest client sends', (t) => forged(t, here, sk))
})

async function forged(t: Test, here: OnBroker, sk: SoftwareSk): Promise<void> {
  const { broker } = here
  const id = await ask(here, 'forged')
  const bob = await broker.operatorToken('bob')
  const path = `/v1/grant-requests/${id}`
  const challenge = async (decision: string) =>
    (await broker.call('POST', `${path}/challenge`, bob, { decision })).body as {
      challenge: string
      document: string
    }
  const send = (challenge: string, signature: string, change: object = {}, token = bob) =>
    broker.call('POST', `${path}/decisions`, token, {
      challenge,
      proof: { kind: 'ssh-sk', key_id: sk.keyId, signature, ...change },
    })
  const asked = await challenge('approve')
  const signed = (document: string, options = {}) => sk.proof(document, options).signature
  for (const [name, signature] of [
    ['only touched', signed(asked.document, { flags: 0x01 })],
    ['not touched', signed(asked.document, { flags: 0x04 })],
    ['another namespace', signed(asked.document, { namespace: 'git' })],
    ['another document', signed((await challenge('deny')).document)],
    ['another key', softwareSk('ecdsa').proof(asked.document).signature],
  ] as const) {
    t.match(
      await send(asked.challenge, signature),
      { status: 403, body: { code: 'signature_invalid' } },
      name,
    )
  }
  const good = signed(asked.document)
  const foreign = { key_id: softwareSk('ecdsa').keyId }
  t.match(await send(asked.challenge, good, foreign), { status: 403, body: { code: 'key_unknown' } })
  const alice = await broker.operatorToken('alice')
  t.match(
    (await send(asked.challenge, good, {}, alice)).body,
    { code: 'challenge_over' },
    "another's challenge",
  )
  const denial = await challenge('deny')
  t.match(
    await send(denial.challenge, good),
    { status: 403, body: { code: 'signature_invalid' } },
    'an approval for a denial',
  )
  t.match((await send(denial.challenge, signed(denial.document))).body, { state: 'denied' })
  t.match((await send(denial.challenge, signed(denial.document))).status, 409, 'used up')
}
