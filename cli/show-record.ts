import type { Issuance, LogEvent } from './api.js'
import { fields, sayInstant, table } from './output.js'

export const issuanceTable = (issuances: readonly Issuance[]): string =>
  table(
    ['ISSUANCE', 'AT', 'STATE', 'AGENT', 'ENVIRONMENT', 'SCOPES', 'FOR', 'GRANT', 'ACCESS KEY', 'REASON'],
    issuances.map((one) => [
      one.issuance,
      sayInstant(one.at),
      one.state,
      one.agent,
      one.environment,
      one.scopes.join(','),
      one.human ?? '-',
      one.grant ?? '-',
      one.access_key_id ?? '-',
      one.reason ?? `(${one.personal_data})`,
    ]),
    'No such issuances.',
  )

export function showIssuance(one: Issuance): string {
  return fields([
    ['Issuance', one.issuance],
    ['State', `${one.state}${one.error_code === null ? '' : ` (${one.error_code})`}`],
    ['At', sayInstant(one.at)],
    ['Agent', one.agent],
    ['Subject', one.subject],
    ['Acting for', one.human === null ? null : `${one.human} (${one.human_how ?? '?'})`],
    ['Environment', one.environment],
    ['Scopes', one.scopes.join(', ')],
    ['Sensitivity', one.sensitivity],
    ['Role', one.role],
    ['Access key', one.access_key_id],
    ['Until', one.expires_at === null ? null : sayInstant(one.expires_at)],
    ['Grant', one.grant === null ? null : `${one.grant}, use ${one.grant_use ?? '?'}`],
    ['Asked from', one.source_ip],
    ['Ticket', one.ticket],
    ['Policy', one.policy_digest],
    [
      "Reason (agent's own words)",
      one.reason === null ? `(${one.personal_data})` : JSON.stringify(one.reason),
    ],
  ])
}

export function eventTable(events: readonly LogEvent[]): string {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '-')
  return table(
    ['INDEX', 'AT', 'KIND', 'WHO', 'ENVIRONMENT', 'CODE', 'ABOUT'],
    events.map(({ index, repeats, body }) => [
      String(index),
      sayInstant(text(body.at)),
      `${text(body.kind)}${repeats === null || repeats === 0 ? '' : ` (+${repeats} repeats)`}`,
      text(body.operator ?? body.agent),
      text(body.environment),
      text(body.code),
      text(body.issuance_id ?? body.grant_id ?? body.request_id),
    ]),
    'No such entries.',
  )
}
