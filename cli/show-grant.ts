import { decisionCode } from '../server/audit/proofs/decision-code.js'
import type { Grant, GrantRequest, Statement } from './api.js'
import type { CheckedDecision } from './decision-document.js'
import { sayDuration } from './duration.js'
import { clean, fields, sayInstant } from './output.js'

/**
 * What an approver reads before they sign: the sentence first, from the document that is signed and nothing else.
 * Only what the document holds as a hash, and who asked and decided so far, is taken from beside it.
 */
export function showDecision(
  { document, personal }: CheckedDecision,
  request: GrantRequest,
  comment?: string,
): string {
  const what = document.decision === 'approve' ? 'approve' : 'deny'
  const bound = document.network === 'caller' ? "the agent's own address" : document.network?.join(', ')
  return [
    `${clean(document.approver)}, you are about to ${what}${document.break_glass ? ' BY BREAKING GLASS, without the approvals this needs otherwise' : ''}:`,
    '',
    saySentence({ document, personal }),
    '',
    fields([
      ['May then', document.permissions.map(sayStatement).join('\n')],
      ['Scopes', document.scopes.join(', ')],
      ['Role', document.role_arn],
      ['Works from', bound ?? 'anywhere'],
      ['Asked by', request.requested_by],
      ['Approvals', `${approvals(request)} of ${document.approvals_needed}`],
      ...(request.decisions.length === 0 ? [] : ([['Decisions', sayDecisions(request)]] as const)),
      ['Asked until', sayInstant(request.expires_at)],
      ['Your comment', comment === undefined ? null : visible(comment)],
      ['Request', document.request],
      ['Policy', document.policy_digest],
      ['Permissions', `sha256:${document.permissions_sha256}`],
      ['Signed for', document.origin],
      ['Code', `${decisionCode(request)} (the console shows the same)`],
    ]),
    '',
    'Written by the agent, and checked by nobody:',
    `  reason: ${personal?.reason === undefined ? 'erased' : visible(personal.reason)}`,
    ...(personal?.ticket === undefined ? [] : [`  ticket: ${visible(personal.ticket)}`]),
  ].join('\n')
}

/** Who, acting for whom, could do what to which resources, in which account, how long, how often. */
function saySentence({ document, personal }: CheckedDecision): string {
  const human =
    personal?.human !== undefined
      ? `acting for ${visible(personal.human)} (${HOW[personal.human_how ?? ''] ?? 'unproven'})`
      : personal === null && document.personal !== null
        ? 'acting for somebody whose name was erased, or for nobody'
        : 'acting for nobody named'
  const deeds = document.permissions.filter(({ Effect }) => Effect === 'Allow').map(sayStatement)
  const times = document.max_uses === 1 ? 'in one session' : `in up to ${document.max_uses} sessions`
  const from = document.not_before === null ? 'the approval' : sayInstant(document.not_before)
  return clean(
    [
      `${document.agent}, ${human}, ${document.decision === 'approve' ? 'will' : 'would'} be able to use ${deeds.join('; and ')}`,
      `in account ${document.account} (${document.environment}, tier ${document.tier})`,
      `${times} of at most ${sayDuration(document.max_session_seconds)}`,
      `begun within ${sayDuration(document.valid_seconds)} of ${from}.`,
    ].join(', '),
  )
}

/** Quoted, and what would not be seen, or would move what is seen, as its code point. */
export const visible = (text: string): string =>
  JSON.stringify(text).replace(
    /[\p{C}\p{Zl}\p{Zp}]/gu,
    (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`,
  )

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
    ['Decisions', decisions.length === 0 ? null : sayDecisions(request)],
    ['Grant', request.grant_id],
    ['Policy', request.policy_digest],
    ['Permissions', `sha256:${request.permissions_sha256}`],
    ['Code', request.state === 'pending' ? `${decisionCode(request)} (the console shows the same)` : null],
  ])
}

const HOW: Readonly<Record<string, string>> = {
  verified: 'their token was verified',
  'issuer-asserted': 'says the issuer of the token',
  'self-claimed': 'says the agent itself, unproven',
}

const sayDecisions = ({ decisions }: GrantRequest): string =>
  decisions
    .map(({ operator, decision, at, comment }) =>
      [`${decision} by ${operator} at ${sayInstant(at)}`, ...(comment === null ? [] : [comment])].join(': '),
    )
    .join('\n')

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
