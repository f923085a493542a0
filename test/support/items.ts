import type { IntentItem } from '../../server/audit/items.js'
import { newId } from '../../server/issuance/id.js'

/** An intent that the database takes, but for what the test changes. */
export function intentItem(change: Partial<IntentItem> = {}): IntentItem {
  return {
    op: 'intent',
    issuance_id: newId(),
    agent: 'orders-coder',
    environment: 'production',
    role_arn: WRITE_ROLE,
    scopes: ['orders:write'],
    policy_digest: 'sha256:policy',
    permissions_sha256: 'permissions',
    not_after: new Date(Date.now() + 600_000).toISOString(),
    tier: 'production',
    payload: { policy_digest: 'sha256:policy' },
    personal: { subject: 'agent:orders-coder', source_ip: '192.0.2.1', reason: 'a test' },
    seen: { source_ip: '192.0.2.1', scopes: ['orders:write'], actions: ['s3:PutObject'] },
    ...change,
  }
}

export const READ_ROLE = 'arn:aws:iam::111122223333:role/writ/orders-coder-read'
export const WRITE_ROLE = 'arn:aws:iam::111122223333:role/writ/orders-coder-write'
export const ROLES = [
  { role_arn: READ_ROLE, environment: 'production', sensitivity: 'read' },
  { role_arn: WRITE_ROLE, environment: 'production', sensitivity: 'production-write' },
]

/** What `writ.open_grant_request` takes. */
export function requestArgument(change: Record<string, unknown> = {}): Record<string, unknown> {
  const id = newId()
  return {
    id,
    agent: 'orders-coder',
    environment: 'production',
    tier: 'production',
    account: '111122223333',
    actions: ['s3:PutObject'],
    role_arn: WRITE_ROLE,
    scopes: ['orders:write'],
    policy_digest: 'sha256:policy',
    permissions: [],
    permissions_sha256: 'permissions',
    max_uses: 1,
    valid_seconds: 3600,
    not_before: null,
    max_session_seconds: 900,
    approvals_needed: 1,
    reason: 'a test',
    ticket: null,
    human: null,
    human_how: null,
    requested_by: 'agent:orders-coder',
    barred_humans: [],
    barred_teams: [],
    content_sha256: id,
    pending_seconds: 3600,
    limit_pending: true,
    ...change,
  }
}
