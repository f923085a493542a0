import type { Grant, GrantRequest, Statement } from './api.js'
import { sayDuration } from './duration.js'
import { fields, sayInstant } from './output.js'

/** Everything a human decides on, and how it stands. */
export function showRequest(request: GrantRequest): string {
  const { on_behalf_of: human, decisions } = request
  return fields([
    ['Request', request.id],
    [
      'State',
      `${request.state}${request.state === 'pending' ? ` (until ${sayInstant(request.expires_at)})` : ''}`,
    ],
    ['Agent', request.agent],
    ['Acting for', human === null ? 'nobody named' : `${human.human} (${HOW[human.how] ?? human.how})`],
    ['Asked by', request.requested_by],
    ['Environment', `${request.environment} (account ${request.account})`],
    ['Scopes', request.scopes.join(', ')],
    ['May then', request.permissions.map(sayStatement).join('\n')],
    ['Uses', request.max_uses === 1 ? 'one session' : `${request.max_uses} sessions`],
    ['Each session', `at most ${sayDuration(request.max_session_seconds)}`],
    [
      'Grant lives',
      `${sayDuration(request.valid_seconds)} from ${request.not_before === null ? 'its approval' : sayInstant(request.not_before)}`,
    ],
    ['Approvals', `${approvals(request)} of ${request.approvals_needed}`],
    ['Ticket', request.ticket],
    ["Reason (agent's own words)", request.reason === null ? 'erased' : JSON.stringify(request.reason)],
    [
      'Decisions',
      decisions.length === 0
        ? null
        : decisions
            .map(({ operator, decision, at, comment }) =>
              [
                `${decision} by ${operator} at ${sayInstant(at)}`,
                ...(comment === null ? [] : [comment]),
              ].join(': '),
            )
            .join('\n'),
    ],
    ['Grant', request.grant_id],
    ['Policy', request.policy_digest],
    ['Permissions', `sha256:${request.permissions_sha256}`],
  ])
}

const HOW: Readonly<Record<string, string>> = {
  verified: 'their token was verified',
  'issuer-asserted': 'says the issuer of the token',
  'self-claimed': 'says the agent itself, unproven',
}

const approvals = ({ decisions }: GrantRequest): number =>
  decisions.filter((one) => one.decision === 'approve').length

/** `s3:PutObject on arn:aws:s3:::orders/*`, with its conditions. */
export function sayStatement({ Effect, Action, Resource, Condition }: Statement): string {
  const effect = Effect === 'Allow' ? '' : `${Effect} `
  const resource = Resource === undefined ? '' : ` on ${[Resource].flat().join(', ')}`
  const when = Condition === undefined ? '' : ` when ${JSON.stringify(Condition)}`
  return `${effect}${[Action].flat().join(', ')}${resource}${when}`
}

export function showGrant(grant: Grant): string {
  return fields([
    ['Grant', grant.id],
    ['State', grant.state],
    ['Agent', grant.agent],
    ['Environment', grant.environment],
    ['Scopes', grant.scopes.join(', ')],
    ['Uses', `${grant.uses} of ${grant.max_uses}`],
    ['Each session', `at most ${sayDuration(grant.max_session_seconds)}`],
    ['Lives', `${sayInstant(grant.not_before)} to ${sayInstant(grant.expires_at)}`],
    ['Approved by', grant.approved_by.join(', ')],
    ['Request', grant.request_id],
    [
      'Revoked',
      grant.revoked_at === null
        ? null
        : `${sayInstant(grant.revoked_at)} by ${grant.revoked_by ?? '?'}: ${grant.revoke_reason ?? ''}`,
    ],
  ])
}
