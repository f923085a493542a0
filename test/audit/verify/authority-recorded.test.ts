import { randomBytes } from 'node:crypto'
import t from 'tap'
import { createSoftwareKey } from '../../../cli/software-key.js'
import { bodyProblem } from '../../../server/audit/bodies/registry.js'
import { commitment } from '../../../server/audit/personal.js'
import { canonicalText, challengeOf } from '../../../server/audit/proofs/document.js'
import { Authority } from '../../../server/audit/verify/authority.js'
import type { LogEntry } from '../../../server/audit/verify/entry.js'
import type { Queryable } from '../../../server/db/pool.js'
import { newId } from '../../../server/issuance/id.js'
import { requestArgument } from '../../support/items.js'
import { testLedger } from '../../support/ledger.js'
import { enrolKey, SITE } from '../../support/signing.js'

type Answer = Readonly<Record<string, unknown>>

async function call(database: Queryable, name: string, argument: unknown): Promise<Answer> {
  const [row] = await database.query<{ answer: Answer }>(`SELECT writ.${name}($1::jsonb) AS answer`, [
    JSON.stringify(argument),
  ])
  return row?.answer ?? {}
}

t.test('what the database records of keys and decisions is what a verifier takes', async (t) => {
  const { broker, owner } = await testLedger(t)
  const ok = async (name: string, argument: unknown): Promise<Answer> => {
    const answer = await call(broker, name, argument)
    t.equal(answer.status, 'ok', `${name}: ${JSON.stringify(answer)}`)
    return answer
  }
  const bob = await enrolKey(owner, broker, 'bob')
  const personal = { source_ip: '192.0.2.7' }

  /** A document of these fields, put up as a challenge and signed. */
  const signed = async (purpose: string, operator: string, fields: object, comment: object | null = null) => {
    const now = Date.now()
    const document = canonicalText({
      origin: SITE.origin,
      rp_id: SITE.rpId,
      nonce: randomBytes(32).toString('base64url'),
      issued_at: new Date(now).toISOString(),
      expires_at: new Date(now + 300_000).toISOString(),
      ...fields,
    })
    const challenge = newId()
    const put = { id: challenge, purpose, operator, document, personal: comment, seconds: 300 }
    await broker.query('SELECT writ.put_challenge($1::jsonb)', [JSON.stringify(put)])
    const proof = { ...bob.sign(challengeOf(document)), document, public_key: bob.publicKey }
    return { challenge, proof, proof_kind: proof.kind, sign_count: 0 }
  }

  const ada = createSoftwareKey(SITE)
  const key = { id: ada.id, kind: 'passkey', public_key: ada.publicKey, label: 'phone', transports: [] }
  const proposal = newId()
  await ok('propose_key', { id: proposal, operator: 'ada', key, personal })
  const vouch = await signed('vouch', 'bob', {
    type: 'writ.vouch.v1',
    voucher: 'bob',
    operator: 'ada',
    proposal,
    key_id: ada.id,
    key_kind: 'passkey',
    public_key: ada.publicKey,
    label: 'phone',
  })
  await ok('vouch_for_key', { proposal, operator: 'bob', ...vouch, personal })

  const decide = async (decision: 'approve' | 'deny', asking: object, comment?: string, glass = false) => {
    const asked = requestArgument({
      permissions: [{ Effect: 'Allow', Action: ['s3:PutObject'], Resource: 'arn:aws:s3:::orders/*' }],
      not_before: new Date(Date.now() + 60_000).toISOString(),
      destroys: false,
      ...asking,
    })
    await ok('open_grant_request', asked)
    const [opened] = await broker.query<{ leaf: string; body: string }>(
      `SELECT encode(leaf_hash, 'hex') AS leaf, convert_from(body, 'UTF8') AS body
       FROM writ.entry WHERE request_id = $1 AND kind = 'grant_request.opened'`,
      [asked.id],
    )
    const entry = JSON.parse(opened?.body ?? '{}')
    const salt = randomBytes(16)
    const { agent, environment, tier, account, role_arn, scopes, permissions, permissions_sha256 } = entry
    const { policy_digest, max_uses, max_session_seconds, approvals_needed, not_before } = entry
    const said = comment === undefined ? null : { comment, comment_salt: salt.toString('hex') }
    const answer = await signed(
      'decision',
      'bob',
      {
        type: 'writ.decision.v1',
        decision,
        approver: 'bob',
        request: entry.request_id,
        request_leaf: opened?.leaf,
        personal: entry.personal,
        ...{ agent, environment, tier, account, role_arn, scopes, permissions, permissions_sha256 },
        ...{ policy_digest, max_uses, max_session_seconds, approvals_needed, not_before },
        valid_seconds: glass ? 600 : entry.valid_seconds,
        network: null,
        break_glass: glass,
        comment: comment === undefined ? null : commitment(salt, Buffer.from(comment)).toString('hex'),
      },
      said,
    )
    const grant_id = newId()
    await ok('decide_grant_request', {
      request_id: asked.id,
      grant_id,
      decision,
      operator: 'bob',
      operator_names: ['bob'],
      operator_teams: [],
      policy_digest,
      permissions_sha256,
      break_glass: glass,
      ...answer,
      ...said,
    })
    return grant_id
  }
  await decide('approve', {})
  await decide('approve', {}, 'go ahead — é')
  await decide('deny', { reason: 'another' }, 'not today')
  const broken = await decide('approve', { approvals_needed: 2, reason: 'now' }, 'the shop is down', true)
  await ok('review_break_glass', {
    grant_id: broken,
    operator: 'ada',
    operator_names: ['ada'],
    verdict: 'justified',
    comment: 'it was',
  })
  await ok('remove_key', { key_id: ada.id, operator: 'bob', personal })

  const rows = await broker.query<{ body: string; leaf: Buffer; personal: string | null }>(
    `SELECT convert_from(body, 'UTF8') AS body, leaf_hash AS leaf, convert_from(personal, 'UTF8') AS personal
     FROM writ.entry ORDER BY idx`,
  )
  const authority = new Authority()
  for (const { body, leaf, personal } of rows) {
    const entry = JSON.parse(body) as LogEntry
    t.equal(bodyProblem(entry, personal === null ? undefined : JSON.parse(personal)), undefined, entry.kind)
    authority.onEntry(entry, leaf, personal ?? undefined)
  }
  t.strictSame(authority.counts(), {
    grants: 3,
    sessions_on_grants: 0,
    keys: 2,
    decisions_signed: 4,
    decisions_by_token: 0,
    decisions_before_signatures: 0,
  })
})
