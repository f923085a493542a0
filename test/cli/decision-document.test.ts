import { createHash } from 'node:crypto'
import t from 'tap'
import type { GrantRequest } from '../../cli/api.js'
import { checkDocument, type DecisionWish } from '../../cli/decision-document.js'
import { CliError } from '../../cli/exit.js'
import { showDecision, visible } from '../../cli/show-grant.js'
import { canonicalText } from '../../server/audit/proofs/document.js'

const SALT = '00112233445566778899aabbccddeeff'
const hash = (text: string): string =>
  createHash('sha256').update(Buffer.of(3)).update(Buffer.from(SALT, 'hex')).update(text).digest('hex')

const WHAT = {
  agent: 'orders-coder',
  environment: 'production',
  account: '111122223333',
  role_arn: 'arn:aws:iam::111122223333:role/writ/orders-coder-write',
  scopes: ['orders:write'],
  permissions: [
    { Effect: 'Allow' as const, Action: 's3:PutObject', Resource: 'arn:aws:s3:::orders-production/*' },
  ],
  permissions_sha256: 'a'.repeat(64),
  policy_digest: `sha256:${'b'.repeat(64)}`,
  max_uses: 2,
  valid_seconds: 3600,
  max_session_seconds: 900,
  not_before: null,
  approvals_needed: 1,
}

const REQUEST: GrantRequest & { readonly role_arn: string } = {
  ...WHAT,
  id: '0123456789ab',
  state: 'pending',
  created_at: '2026-01-01T10:00:00.000Z',
  expires_at: '2026-01-01T11:00:00.000Z',
  reason: 'why',
  ticket: null,
  on_behalf_of: { human: 'dana@example.com', how: 'verified' },
  requested_by: 'agent:orders-coder',
  decisions: [],
  grant_id: null,
}

const PERSONAL = { human: 'dana@example.com', human_how: 'verified', reason: 'why' }

const DOCUMENT = {
  ...WHAT,
  type: 'writ.decision.v1',
  decision: 'approve',
  approver: 'bob',
  request: REQUEST.id,
  request_leaf: 'c'.repeat(64),
  tier: 'production',
  network: null,
  break_glass: false,
  comment: null as string | null,
  origin: 'https://writ.example.com',
  rp_id: 'writ.example.com',
  nonce: Buffer.alloc(32, 9).toString('base64url'),
  issued_at: '2026-01-01T10:00:00.000Z',
  expires_at: '2026-01-01T10:05:00.000Z',
}

interface Change {
  readonly document?: object
  readonly request?: object
  readonly personal?: object | null
  readonly text?: (canonical: string) => string
  readonly salt?: string | null
}

function check(change: Change = {}, wish: DecisionWish = { decision: 'approve' }) {
  const personal = change.personal === null ? null : JSON.stringify({ ...PERSONAL, ...change.personal })
  const document = canonicalText({
    ...DOCUMENT,
    personal: hash(personal ?? JSON.stringify(PERSONAL)),
    ...(wish.comment === undefined ? {} : { comment: hash(wish.comment) }),
    ...change.document,
  })
  const answer = {
    challenge: 'cccccccccccc',
    document: change.text?.(document) ?? document,
    expires_at: DOCUMENT.expires_at,
    personal: personal === null ? null : { text: personal, salt: SALT },
    comment_salt: change.salt === undefined ? SALT : change.salt,
    keys: [],
  }
  return checkDocument(answer, { ...REQUEST, ...change.request }, wish)
}

/** How checking ends: the code, and the field that it names. */
function refused(change: Change, wish?: DecisionWish): string {
  try {
    check(change, wish)
    return 'taken'
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return `${error.problem.code} ${/differ in (\w+)\./.exec(error.problem.detail)?.[1] ?? ''}`.trim()
  }
}

t.test('the document is the request that was shown, and the decision that was wished for', async (t) => {
  t.match(check(), { document: { approver: 'bob' }, personal: PERSONAL })
  t.equal(refused({}, { decision: 'approve', comment: 'ok' }), 'taken')
  const fields: Record<string, unknown> = {
    agent: 'report-bot',
    environment: 'development',
    account: '999988887777',
    role_arn: 'arn:aws:iam::111122223333:role/admin',
    scopes: ['orders:write', 'orders:purge'],
    permissions: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
    permissions_sha256: 'd'.repeat(64),
    policy_digest: 'sha256:0',
    max_uses: 3,
    valid_seconds: 3601,
    max_session_seconds: 901,
    not_before: '2026-01-02T10:00:00.000Z',
    approvals_needed: 0,
  }
  for (const [field, value] of Object.entries(fields)) {
    t.equal(refused({ document: { [field]: value } }), `signed_something_else ${field}`)
    t.equal(refused({ request: { [field]: value } }), `signed_something_else ${field}`)
  }
  const wished: Record<string, unknown> = {
    decision: 'deny',
    request: 'bbbbbbbbbbbb',
    break_glass: true,
    comment: hash('x'),
  }
  for (const [field, value] of Object.entries(wished)) {
    t.equal(refused({ document: { [field]: value } }), `signed_something_else ${field}`)
  }
  const comment = { decision: 'approve', comment: 'only this once' } as const
  t.equal(refused({ document: { comment: null } }, comment), 'signed_something_else comment', 'left out')
  t.equal(refused({ document: { comment: hash('ever') } }, comment), 'signed_something_else comment')
  t.equal(refused({ salt: null }, comment), 'signed_something_else comment')
  const glass = { decision: 'approve', breakGlass: true } as const
  t.equal(refused({}, glass), 'signed_something_else break_glass')
  const lasting = (valid_seconds: number) =>
    refused({ document: { break_glass: true, valid_seconds }, request: { valid_seconds: 7200 } }, glass)
  t.equal(lasting(7200), 'taken')
  t.equal(lasting(3600), 'taken', 'cut to the hour')
  t.equal(lasting(7201), 'signed_something_else valid_seconds', 'never longer')
})

t.test('what lies beside it is under its hash, and what was shown', async (t) => {
  t.equal(refused({ document: { personal: hash('another') } }), 'signed_something_else personal')
  t.equal(refused({ document: { personal: null } }), 'signed_something_else personal')
  t.equal(refused({ personal: { reason: 'another' } }), 'signed_something_else reason')
  t.equal(refused({ request: { reason: 'another' } }), 'signed_something_else reason')
  t.equal(refused({ personal: { ticket: 'T-1' } }), 'signed_something_else ticket')
  t.equal(refused({ personal: { human: 'eve@example.com' } }), 'signed_something_else on_behalf_of')
  t.equal(
    refused({ personal: { human_how: 'self-claimed' } }),
    'signed_something_else on_behalf_of',
    'nor how we know',
  )
  t.equal(refused({ personal: null }), 'signed_something_else reason', 'shown, but not signed for')
  const erased = check({ personal: null, request: { reason: null, on_behalf_of: null } })
  t.match(showDecision(erased, REQUEST), /acting for somebody whose name was erased, or for nobody/)
  t.match(showDecision(erased, REQUEST), /reason: erased/)
})

t.test('only a document that can be shown whole', async (t) => {
  const strange: Change[] = [
    { document: { also: 'grants everything' } },
    { document: { permissions: [{ Effect: 'Allow', NotAction: 's3:*', Resource: '*' }] } },
    { document: { type: 'writ.vouch.v1' } },
    { document: { tier: 'none' } },
    { text: (text) => text.replace('{', '{ ') },
    { text: (text) => text.replace('{', '{"max_uses":1000,') },
    { text: () => 'rubbish' },
    { text: () => 'null' },
    { text: () => '{"type":"writ.decision.v1"}' },
  ]
  const { origin, rp_id, nonce, issued_at, expires_at } = DOCUMENT
  const vouch = canonicalText({
    ...{ origin, rp_id, nonce, issued_at, expires_at },
    ...{ type: 'writ.vouch.v1', voucher: 'bob', operator: 'eve', proposal: 'pppppppppppp', label: 'hers' },
    ...{ key_id: 'x', key_kind: 'passkey', public_key: 'y' },
  })
  strange.push({ text: () => vouch })
  for (const [index, change] of strange.entries()) {
    t.equal(refused(change), 'document_not_understood', String(index))
  }
})

t.test('what would not be seen is shown as its code point', async (t) => {
  const hidden = 'a\nb\u001b[2Kc\u202ed\u200be\u{e0041}f\u2028g\u00adh"'
  t.equal(visible(hidden), '"a\\nb\\u001b[2Kc\\u{202e}d\\u{200b}e\\u{e0041}f\\u{2028}g\\u{ad}h\\""')
  t.equal(visible('grün 🙂 日本'), '"grün 🙂 日本"')
  const evil = `${PERSONAL.human}\u202e`
  const shown = showDecision(
    check({ personal: { human: evil }, request: { on_behalf_of: { human: evil, how: 'verified' } } }),
    REQUEST,
  )
  t.match(shown, /acting for "dana@example\.com\\u\{202e\}" \(their token was verified\)/)
  const glass = check(
    { document: { break_glass: true, max_uses: 1, network: ['192.0.2.0/24'] }, request: { max_uses: 1 } },
    {
      decision: 'approve',
      breakGlass: true,
    },
  )
  t.match(showDecision(glass, REQUEST), /BY BREAKING GLASS/)
  t.match(showDecision(glass, REQUEST), /in one session of at most 15 min/)
  t.match(showDecision(glass, REQUEST), /Works from: +192\.0\.2\.0\/24/)
})
