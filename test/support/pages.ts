import { pageAssets } from '../../server/http/console/assets.js'
import type { Card } from '../../web/pages/request.js'
import type { RequestView } from '../../web/pages/requests.js'

export const NOW = new Date('2026-03-14T03:07:00Z')
const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1000).toISOString()

export const VIEWER = { operator: 'bob', roles: ['approver', 'operator'], csrf: 'c5rf' }
export const ASSETS = { ...pageAssets(), path: '/assets' }
export const FRAME = { viewer: VIEWER, notices: [], assets: ASSETS, now: NOW }

/** A request as a list and a card read it. */
export const requestView = (change: Partial<RequestView> = {}): RequestView => ({
  id: '7k3f90qx2m4p',
  state: 'pending',
  created_at: at(-540),
  expires_at: at(3060),
  closed_at: null,
  agent: 'orders-coder',
  environment: 'production',
  account: '111122223333',
  role_arn: 'arn:aws:iam::111122223333:role/writ/orders-coder-write',
  scopes: ['orders:write'],
  reason: 'Repair order 4711, whose total was written before the discount',
  ticket: 'OPS-1234',
  on_behalf_of: { human: 'dana@example.com', how: 'issuer-asserted' },
  requested_by: 'agent:orders-coder',
  policy_digest: `sha256:${'5a'.repeat(32)}`,
  permissions: [
    { Effect: 'Allow', Action: ['s3:PutObject'], Resource: ['arn:aws:s3:::orders-production/*'] },
  ],
  permissions_sha256: 'c3'.repeat(32),
  max_uses: 1,
  valid_seconds: 3600,
  not_before: null,
  max_session_seconds: 900,
  approvals_needed: 1,
  decisions: [],
  grant_id: null,
  ...change,
})

/** A card over `requestView(change)`. */
export const card = (change: Partial<RequestView> = {}, more: Partial<Card> = {}): Card => {
  const request = requestView(change)
  return {
    request,
    tier: 'production',
    owner: 'of team orders',
    scopes: request.scopes.map((name) => ({ name, describe: 'Change order objects', levels: ['write'] })),
    marks: [
      {
        tone: 'warn',
        title: 'first time here',
        text: 'orders-coder was never issued anything in production.',
      },
    ],
    adds: [{ actions: ['s3:PutObject'], resources: ['arn:aws:s3:::orders-production/*'] }],
    already: [],
    without: ['orders:read'],
    past: [
      {
        at: at(-600),
        what: 'orders:read',
        href: '/console/history/9zx1c2v3b4n5',
        where: 'production',
        outcome: 'issued',
        tone: 'quiet',
      },
      {
        at: at(-86_400),
        what: 'asked for orders:write',
        href: '/console/requests/1zx1c2v3b4n5',
        where: 'production',
        outcome: 'denied',
        tone: 'danger',
      },
    ],
    rule: 'Whatever writes in production needs one approver.',
    code: '7K3F-90QX',
    shown: {
      document: { request: request.id, agent: request.agent, scopes: request.scopes },
      personal: {
        human: request.on_behalf_of?.human ?? null,
        human_how: request.on_behalf_of?.how ?? null,
        reason: request.reason,
        ticket: request.ticket,
      },
    },
    ...more,
  }
}

export const grantView = (change: Readonly<Record<string, unknown>> = {}) => ({
  id: '3g7r4n5t6v8w',
  request_id: '7k3f90qx2m4p',
  state: 'live' as const,
  created_at: at(-300),
  agent: 'orders-coder',
  environment: 'production',
  scopes: ['orders:write'],
  uses: 1,
  max_uses: 3,
  not_before: at(-300),
  expires_at: at(3300),
  approved_by: ['bob'],
  revoked_at: null,
  revoked_by: null,
  revoke_reason: null,
  ...change,
})

export const keyView = (change: Readonly<Record<string, unknown>> = {}) => ({
  id: 'pJ4mQ8l2Kd9sVb3nXw0yTg',
  kind: 'passkey' as const,
  label: 'work laptop',
  backed_up: true,
  added_at: at(-8_640_000),
  vouched_by: 'alice',
  last_used_at: at(-7200),
  removed_at: null,
  removed_by: null,
  ...change,
})

export const proposalView = (change: Readonly<Record<string, unknown>> = {}) => ({
  id: '4p7r0p5s6v8w',
  operator: 'alice',
  key_id: 'Zm9vYmFyYmF6cXV4Zm9v',
  kind: 'passkey' as const,
  public_key: 'pQECAyYgASFYIGJsYWhibGFoYmxhaA',
  label: 'blue key',
  created_at: at(-600),
  expires_at: at(85_000),
  may_vouch: true,
  code: '7K3F-90QX-M2AB',
  ...change,
})

export const later = at
