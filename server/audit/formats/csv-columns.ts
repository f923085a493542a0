import type { Column } from './csv.js'
import type { ExportedEvent, ExportedIssuance } from './personal.js'

const text = (value: unknown): string | number | null => {
  if (typeof value === 'string' || typeof value === 'number') return value
  if (Array.isArray(value)) return value.map(String).join(' ')
  return null
}

const of =
  (field: string) =>
  ({ body }: ExportedEvent) =>
    text(body[field])

/** Of version 1 it lies in the body itself. */
const personal = (field: string) => (event: ExportedEvent) => text((event.personal ?? event.body)[field])

const signedWith = (proof: unknown): unknown =>
  typeof proof === 'object' && proof !== null && 'key_id' in proof ? proof.key_id : null

/** In this order for good: new columns come last. Several scopes or names are separated by spaces. */
export const EVENT_COLUMNS: readonly Column<ExportedEvent>[] = [
  ['index', ({ index }) => index],
  ['at', of('at')],
  ['kind', of('kind')],
  ['agent', of('agent')],
  ['environment', of('environment')],
  ['tier', of('tier')],
  ['operator', of('operator')],
  ['issuance', of('issuance_id')],
  ['grant', of('grant_id')],
  ['request', of('request_id')],
  ['code', of('code')],
  ['detail', of('detail')],
  ['role', of('role_arn')],
  ['scopes', of('scopes')],
  ['access_key_id', of('access_key_id')],
  ['expires_at', of('expires_at')],
  ['repeats', ({ repeats }) => repeats],
  ['leaf_hash', (event) => event.leaf_hash],
  ['personal_data', (event) => event.personal_data],
  ['human', personal('human')],
  ['human_how', personal('human_how')],
  ['subject', personal('subject')],
  ['source_ip', personal('source_ip')],
  ['reason', personal('reason')],
  ['ticket', personal('ticket')],
  ['comment', personal('comment')],
  ['proof', of('proof_kind')],
  ['key', ({ body }) => text(body.key_id ?? signedWith(body.proof))],
  ['key_of', of('of')],
  ['break_glass', ({ body }) => (body.break_glass === true ? 'true' : null)],
]

export const ISSUANCE_COLUMNS: readonly Column<ExportedIssuance>[] = [
  ['issuance', (one) => one.issuance],
  ['entry', (one) => one.entry],
  ['at', (one) => one.at],
  ['state', (one) => one.state],
  ['agent', (one) => one.agent],
  ['environment', (one) => one.environment],
  ['tier', (one) => one.tier],
  ['role', (one) => one.role],
  ['sensitivity', (one) => one.sensitivity],
  ['scopes', (one) => one.scopes.join(' ')],
  ['grant', (one) => one.grant],
  ['grant_use', (one) => one.grant_use],
  ['access_key_id', (one) => one.access_key_id],
  ['expires_at', (one) => one.expires_at],
  ['not_after', (one) => one.not_after],
  ['error_code', (one) => one.error_code],
  ['policy_digest', (one) => one.policy_digest],
  ['personal_data', (one) => one.personal_data],
  ['human', (one) => one.human],
  ['human_how', (one) => one.human_how],
  ['subject', (one) => one.subject],
  ['source_ip', (one) => one.source_ip],
  ['reason', (one) => one.reason],
  ['ticket', (one) => one.ticket],
]
