import { createHash, randomBytes } from 'node:crypto'
import { createSoftwareKey, type KeySite, type SoftwareKey } from '../../cli/software-key.js'
import { canonicalText, challengeOf } from '../../server/audit/proofs/document.js'
import type { Queryable } from '../../server/db/pool.js'
import { newId } from '../../server/issuance/id.js'

export const SITE: KeySite = { rpId: 'writ.example.com', origin: 'https://writ.example.com' }

/** A software key of an operator's, enrolled with a code of the owner's. */
export async function enrolKey(
  owner: Queryable,
  broker: Queryable,
  operator: string,
  site = SITE,
): Promise<SoftwareKey> {
  const key = createSoftwareKey(site)
  const code = createHash('sha256').update(randomBytes(32)).digest('hex')
  await owner.query('SELECT writ.create_enrolment_code($1::jsonb)', [
    JSON.stringify({ code_sha256: code, operator, seconds: 60, by: 'the test' }),
  ])
  const [row] = await broker.query<{ answer: { status: string } }>(
    'SELECT writ.add_key_with_code($1::jsonb) AS answer',
    [
      JSON.stringify({
        code_sha256: code,
        operator,
        key: {
          id: key.id,
          kind: 'passkey',
          public_key: key.publicKey,
          label: 'software',
          transports: ['internal'],
        },
      }),
    ],
  )
  if (row?.answer.status !== 'ok') throw new Error(`not enrolled: ${JSON.stringify(row)}`)
  return key
}

/** Everything that `writ.decide_grant_request` takes for a signed decision on what `requestArgument` asked for. */
export async function signedArgument(
  broker: Queryable,
  asked: Readonly<Record<string, unknown>>,
  operator: string,
  key: SoftwareKey,
  change: Readonly<Record<string, unknown>> = {},
): Promise<Record<string, unknown>> {
  const decision = change.decision ?? 'approve'
  const [opened] = await broker.query<{ leaf: string; personal: string | null }>(
    `SELECT encode(leaf_hash, 'hex') AS leaf, convert_from(body, 'UTF8')::jsonb->>'personal' AS personal
     FROM writ.entry WHERE request_id = $1 AND kind = 'grant_request.opened'`,
    [asked.id],
  )
  const now = Date.now()
  const document = canonicalText({
    type: 'writ.decision.v1',
    decision,
    approver: operator,
    request: asked.id,
    request_leaf: opened?.leaf,
    personal: opened?.personal ?? null,
    ...pick(asked, [
      'agent',
      'environment',
      'tier',
      'account',
      'role_arn',
      'scopes',
      'permissions',
      'permissions_sha256',
      'policy_digest',
      'max_uses',
      'valid_seconds',
      'max_session_seconds',
      'not_before',
      'approvals_needed',
    ]),
    network: null,
    break_glass: false,
    comment: null,
    origin: SITE.origin,
    rp_id: SITE.rpId,
    nonce: randomBytes(32).toString('base64url'),
    issued_at: new Date(now).toISOString(),
    expires_at: new Date(now + 300_000).toISOString(),
  })
  const challenge = newId()
  await broker.query('SELECT writ.put_challenge($1::jsonb)', [
    JSON.stringify({ id: challenge, purpose: 'decision', operator, document, seconds: 300 }),
  ])
  return {
    request_id: asked.id,
    grant_id: newId(),
    decision,
    comment: null,
    operator,
    operator_names: [operator],
    operator_teams: [],
    policy_digest: asked.policy_digest,
    permissions_sha256: asked.permissions_sha256,
    proof_kind: 'passkey',
    proof: { ...key.sign(challengeOf(document)), document, public_key: key.publicKey },
    challenge,
    sign_count: 0,
    ...change,
  }
}

const pick = (from: Readonly<Record<string, unknown>>, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, from[name]]))
