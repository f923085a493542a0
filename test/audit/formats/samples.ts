import { BODIES } from '../../../server/audit/bodies/registry.js'
import type { Context } from '../../../server/audit/review/context.js'
import type { EventView } from '../../../server/audit/review/events.js'

const AT = '2026-03-01T10:00:00.123456Z'
const LATER = '2026-03-01T11:00:00.000Z'
const ROLE = 'arn:aws:iam::111122223333:role/writ/orders-coder-write'
const HASH = 'a'.repeat(64)

const issuer = 'https://token.example.com'
const agent = { agent: 'orders-coder', environment: 'production' }
const issuance = { ...agent, issuance_id: '0123456789ab' }
const request = { ...agent, request_id: '0123456789ac' }
const pins = { policy_digest: 'sha256:policy', permissions_sha256: 'permissions' }
const asking = {
  human: 'ann@example.com',
  human_how: 'verified',
  subject: 'repo:acme/orders',
  source_ip: '192.0.2.7',
  reason: 'because of order 7',
  ticket: 'SECRET-7',
}
const caller = { subject: 'repo:acme/orders', source_ip: '2001:db8::7' }
const wish = { scopes: ['orders:write'], policy_digest: 'sha256:policy' }
const decision = {
  ...request,
  operator: 'bob',
  ...pins,
  proof_kind: 'fresh-token',
  proof: { kind: 'fresh-token', issuer, subject: 'operator:bob', authenticated_at: LATER, issued_at: LATER },
}

const passkey = {
  kind: 'passkey',
  document: '{"type":"writ.decision.v1"}',
  key_id: 'AAAAAAAAAAAAAAAAAAAAAA',
  public_key: 'pQECAyYg',
  client_data: 'eyJ0eXBl',
  authenticator_data: 'SZYN5Yg',
  signature: 'MEUCIQ',
}
const ssh = {
  kind: 'ssh-sk',
  document: '{"type":"writ.vouch.v1"}',
  key_id: `SHA256:${'A'.repeat(43)}`,
  public_key: 'sk-ssh-ed25519@openssh.com AAAA',
  signature: 'U1NIU0lH',
}
const key = { key_id: passkey.key_id, key_kind: 'passkey', label: 'phone' }

/** Body and personal part of one entry of each kind, with all that it can say. */
const SAID: Readonly<Record<string, readonly [body: object, personal?: object]>> = {
  'issuance.intended': [
    {
      ...issuance,
      tier: 'production',
      sensitivity: 'production-write',
      request: 'req-1',
      account: '111122223333',
      role_arn: ROLE,
      ...wish,
      permissions_sha256: 'permissions',
      tags: { 'writ:agent': 'orders-coder' },
      source_identity: 'orders-coder',
      not_after: LATER,
      issuer,
      grant_id: '0123456789ad',
      grant_use: 1,
      grant_max: 2,
    },
    { ...asking, session_policy: '{}' },
  ],
  'issuance.issued': [
    {
      ...issuance,
      grant_id: '0123456789ad',
      access_key_id: 'ASIAEXAMPLE',
      expires_at: LATER,
      assumed_role_arn: 'arn:aws:sts::111122223333:assumed-role/orders-coder-write/0123456789ab',
      assumed_role_id: 'AROAEXAMPLE:0123456789ab',
      packed_policy_percent: 12,
    },
  ],
  'issuance.failed': [{ ...issuance, code: 'aws_refused' }],
  'issuance.abandoned': [issuance],
  'issuance.delivered': [{ ...issuance, request: 'req-2' }, asking],
  'issuance.denied': [
    {
      ...agent,
      tier: 'production',
      code: 'grant_required',
      request: 'req-3',
      ...wish,
      issuer,
      detail: 'A human must.',
    },
    { ...asking, human_how: 'self-claimed' },
  ],
  'identity.refused': [
    { code: 'identity_unknown', request: 'req-4', issuer, path: '/v1/credentials' },
    caller,
  ],
  'operator.signed_in': [
    { operator: 'carol', request: 'req-5', issuer, issued_at: AT, expires_at: LATER, authenticated_at: AT },
    caller,
  ],
  'operator.session_ended': [
    { operator: 'carol', session: '0123456789ae', why: 'ended_by_admin', by: 'ada' },
  ],
  'operator.code_issued': [{ operator: 'carol', by: 'owner', expires_at: LATER }],
  'operator.key_proposed': [{ operator: 'carol', proposal: '0123456789af', ...key }, caller],
  'operator.key_added': [
    {
      operator: 'bob',
      of: 'carol',
      ...key,
      public_key: 'pQECAyYg',
      aaguid: '00000000-0000-0000-0000-000000000000',
      by: 'vouch',
      proposal: '0123456789af',
      proof_kind: 'ssh-sk',
      proof: ssh,
    },
    { source_ip: '192.0.2.9' },
  ],
  'operator.key_removed': [{ operator: 'ada', of: 'carol', key_id: passkey.key_id }, caller],
  'operator.refused': [
    { ...request, operator: 'bob', code: 'approver_is_owner', issuer, decision: 'approve', detail: 'No.' },
    { subject: 'operator:bob' },
  ],
  'broker.started': [{ mode: 'production', version: '1.0.0', policy_digest: 'sha256:policy' }],
  'policy.loaded': [{ policy_digest: 'sha256:policy', problems: 0 }],
  'policy.rejected': [{ policy_digest: 'sha256:policy', problems: 3 }],
  'webhook.disabled': [{ webhook: 'siem', code: 'gone', next_index: 7 }],
  'webhook.enabled': [{ webhook: 'siem', operator: 'carol', next_index: 7 }],
  'log.origin_started': [
    { origin: 'two', previous_origin: 'one', previous_checkpoint: 'one\n7\nroot\n', reason: 'restored' },
  ],
  'log.exported': [
    {
      operator: 'carol',
      request: 'req-6',
      from: 0,
      to: 7,
      personal_data: true,
      format: 'ocsf',
      filters: ['agent'],
    },
  ],
  'log.redacted': [{ by: 'dba', why: 'asked to', erased: [[0, 3]] }],
  'log.archived': [{ by: 'dba', from: 0, to: 7, origin: 'one', size: 7, root: 'root' }],
  'grant_request.opened': [
    {
      ...request,
      tier: 'production',
      account: '111122223333',
      role_arn: ROLE,
      scopes: ['orders:write'],
      ...pins,
      permissions: [],
      max_uses: 1,
      valid_seconds: 3600,
      expires_at: LATER,
      max_session_seconds: 900,
      approvals_needed: 1,
      requested_by: 'agent:orders-coder',
      barred_teams: ['orders'],
      destroys: false,
      signature_required: true,
    },
    {
      human: asking.human,
      human_how: 'issuer-asserted',
      reason: asking.reason,
      barred_humans: [asking.human],
    },
  ],
  'grant_request.approved': [
    { ...decision, proof_kind: 'passkey', proof: passkey, break_glass: true },
    { comment: 'fine by me', comment_salt: 'a'.repeat(32) },
  ],
  'grant_request.denied': [decision, { comment: 'not today' }],
  'grant_request.withdrawn': [{ ...request, by: 'agent:orders-coder' }],
  'grant_request.expired': [request],
  'grant_request.refused': [{ ...agent, code: 'delete_not_allowed', ...wish, detail: 'Never.' }],
  'grant.created': [
    {
      ...request,
      grant_id: '0123456789ad',
      role_arn: ROLE,
      scopes: ['orders:write'],
      ...pins,
      max_uses: 1,
      not_before: AT,
      expires_at: LATER,
      max_session_seconds: 900,
      approved_by: ['bob'],
    },
  ],
  'grant.reviewed': [
    { ...request, grant_id: '0123456789ad', operator: 'carol', verdict: 'justified' },
    { comment: 'the shop was down' },
  ],
  'issuance.revoked': [
    { ...issuance, grant_id: '0123456789ad', operator: 'bob', role_arn: ROLE, cause: 'grant' },
    { reason: 'it deletes tables' },
  ],
  'deny.written': [
    {
      ...issuance,
      role_arn: ROLE,
      kills: [{ kind: 'issuance', target: '0123456789ab', widened: true }],
      document_sha256: HASH,
      widened: true,
      waited_ms: 120,
    },
  ],
  'deny.failed': [{ ...agent, role_arn: ROLE, code: 'aws_unavailable', unwritten: 2, waited_ms: 10_400 }],
  'deny.removed': [{ environment: 'production', role_arn: ROLE, kills: [{ kind: 'human', cutoff: LATER }] }],
  'stop.engaged': [
    {
      agent: 'orders-coder',
      operator: 'bob',
      stop: '0123456789ae',
      stops: 'agent',
      name: 'orders-coder',
      cutoff: LATER,
      approvals_needed: 2,
      roles: [ROLE],
      denies: 1,
      proof: { kind: 'token', issuer, subject: 'operator:bob', issued_at: LATER },
    },
    { reason: 'it deletes tables', source_ip: '192.0.2.7' },
  ],
  'stop.release_signed': [
    { agent: 'orders-coder', operator: 'bob', stop: '0123456789ae', proof_kind: 'passkey', proof: passkey },
    { source_ip: '192.0.2.7' },
  ],
  'stop.released': [
    { stop: '0123456789ae', stops: 'human', released_by: ['bob', 'carol'] },
    { human: 'ann@example.com' },
  ],
  'incident.opened': [
    { agent: 'orders-coder', operator: 'bob', incident: '0123456789af', stop: '0123456789ae' },
    { reason: 'it deletes orders', source_ip: '192.0.2.7' },
  ],
  'incident.step': [
    {
      agent: 'orders-coder',
      operator: 'carol',
      incident: '0123456789af',
      stage: 'assess',
      evidence: 'ab'.repeat(32),
    },
    { note: 'evidence collected', source_ip: '192.0.2.7' },
  ],
  'incident.close_signed': [
    {
      agent: 'orders-coder',
      operator: 'bob',
      incident: '0123456789af',
      proof_kind: 'passkey',
      proof: passkey,
    },
    { source_ip: '192.0.2.7' },
  ],
  'incident.closed': [
    {
      agent: 'orders-coder',
      incident: '0123456789af',
      closed_by: ['bob', 'carol'],
      evidence: 'ab'.repeat(32),
    },
  ],
  'alarm.raised': [
    {
      ...issuance,
      tier: 'production',
      alarm: 'new-network',
      code: 'new-network',
      cause: 6,
      caused_at: AT,
      delay_ms: 12,
      networks_known: 2,
    },
    { source_ip: '192.0.2.7', subject: 'repo:acme/orders', human: 'ann@example.com' },
  ],
  'grant.revoked': [
    { ...request, grant_id: '0123456789ad', operator: 'bob', uses: 1 },
    { reason: 'changed my mind' },
  ],
}

export const KINDS: readonly string[] = Object.keys(BODIES)

/** An entry of this kind as a reader has it. */
export function sample(kind: string, change: object = {}): EventView {
  const said = SAID[kind]
  if (said === undefined) throw new Error(`write a sample of ${kind}`)
  const [body, personal] = said
  const hash = personal === undefined ? {} : { personal: HASH }
  return {
    index: 7,
    leaf_hash: 'b'.repeat(64),
    repeats: kind.endsWith('denied') && kind.startsWith('issuance') ? 2 : null,
    body: { v: 2, index: 7, at: AT, kind, ...hash, ...body, ...change },
    personal_data: personal === undefined ? 'none' : 'shown',
    personal: (personal as Readonly<Record<string, unknown>> | undefined) ?? null,
  }
}

/** What the log says elsewhere of the issuance and the grant above. */
export const CONTEXT: Context = { scopes: ['orders:write'], role: ROLE }
