import type { Context } from '../../review/context.js'
import type { ExportedEvent } from '../personal.js'
import { finding } from './finding.js'
import {
  actingAgent,
  actingOperator,
  agentOf,
  commonOf,
  given,
  iamOf,
  person,
  type Severity,
  type Went,
} from './parts.js'
import { type Said, saidBy } from './said.js'
import type { Entity, OcsfEvent } from './schema.js'

/**
 * An entry of the log as an OCSF event. `context` is what the log says elsewhere of its issuance or grant:
 * an outcome does not repeat the scopes of its intent. A kind that is not in the table becomes a base event,
 * so that nothing is left out.
 */
export function ocsfOf(event: ExportedEvent, context: Context | undefined): OcsfEvent {
  const said = saidBy(event, context)
  return KINDS[said.kind]?.(said) ?? base(said)
}

type Mapping = (said: Said) => OcsfEvent | undefined

/** Which class each kind becomes; docs/review.md has the same table, and a test compares them. */
const KINDS: Readonly<Record<string, Mapping>> = {
  'issuance.intended': (said) => session(said, 'intended', 'Informational'),
  'issuance.issued': (said) => session(said, 'success', 'Informational'),
  'issuance.failed': (said) => session(said, 'failure', 'Low'),
  'issuance.abandoned': (said) => session(said, 'unknown', 'Medium'),
  'issuance.delivered': (said) => session(said, 'success', 'Informational', 'Deliver Again'),
  'issuance.denied': (said) => session(said, 'failure', 'Low'),
  'grant.created': (said) => access(said, 'Assign Privileges', loudly(said)),
  'grant.revoked': (said) => access(said, 'Revoke Privileges'),
  'grant.reviewed': (said) => entity(said, 'Review', grant(said)),
  'identity.refused': (said) => logon(said, 'failure', 'Low'),
  'operator.signed_in': (said) => logon(said, 'success', 'Informational'),
  'operator.session_ended': (said) => logon(said, 'success', 'Informational', 'Logoff'),
  'operator.code_issued': (said) => entity(said, 'Create', ENROLMENT_CODE, 'success', 'Medium'),
  'operator.key_proposed': (said) => entity(said, 'Propose', operatorKey(said)),
  'operator.key_added': (said) => entity(said, 'Create', operatorKey(said), 'success', 'Medium'),
  'operator.key_removed': (said) => entity(said, 'Delete', operatorKey(said), 'success', 'Medium'),
  'operator.refused': (said) =>
    said.text('request_id') === undefined
      ? logon(said, 'failure', 'Medium')
      : entity(said, 'Decide', grantRequest(said), 'failure', 'Medium'),
  'grant_request.opened': (said) => entity(said, 'Create', grantRequest(said)),
  'grant_request.refused': (said) => entity(said, 'Create', grantRequest(said), 'failure', 'Low'),
  'grant_request.approved': (said) => entity(said, 'Approve', grantRequest(said), 'success', loudly(said)),
  'grant_request.denied': (said) => entity(said, 'Deny', grantRequest(said)),
  'grant_request.withdrawn': (said) => entity(said, 'Withdraw', grantRequest(said)),
  'grant_request.expired': (said) => entity(said, 'Expire', grantRequest(said)),
  'policy.loaded': (said) => entity(said, 'Activate', policySet(said)),
  'policy.rejected': (said) => entity(said, 'Activate', policySet(said), 'failure', 'Medium'),
  'webhook.enabled': (said) => entity(said, 'Enable', named(said, 'webhook', 'Webhook')),
  'webhook.disabled': (said) =>
    entity(said, 'Disable', named(said, 'webhook', 'Webhook'), 'success', 'Medium'),
  'incident.opened': (said) => entity(said, 'Create', incident(said), 'success', 'High'),
  'incident.step': (said) => entity(said, 'Update', incident(said)),
  'incident.close_signed': (said) => entity(said, 'Sign', incident(said)),
  'incident.closed': (said) => entity(said, 'Close', incident(said), 'success', 'Medium'),
  'issuance.revoked': (said) => session(said, 'success', 'Medium', 'Revoke'),
  'deny.written': (said) => entity(said, 'Update', deny(said), 'success', 'Medium'),
  'deny.failed': (said) => entity(said, 'Update', deny(said), 'failure', 'High'),
  'deny.removed': (said) => entity(said, 'Update', deny(said)),
  'stop.engaged': (said) => entity(said, 'Create', stop(said), 'success', 'High'),
  'stop.release_signed': (said) => entity(said, 'Sign', stop(said)),
  'stop.released': (said) => entity(said, 'Release', stop(said), 'success', 'Medium'),
  'alarm.raised': finding,
  'log.exported': (said) => entity(said, 'Read', LOG),
  'log.redacted': (said) => entity(said, 'Delete', LOG, 'success', 'Medium'),
  'log.archived': (said) => entity(said, 'Move', LOG),
  'log.origin_started': (said) => entity(said, 'Create', LOG, 'success', 'High'),
}

/** One human alone, in an emergency. */
const loudly = ({ event }: Said): Severity => (event.body.break_glass === true ? 'High' : 'Informational')

/** Authorize Session: scopes for a session, asked for, given, or refused. */
function session(said: Said, went: Went, severity: Severity, other?: string): OcsfEvent | undefined {
  // Their class wants privileges; without any there is nothing that was authorised.
  if (said.scopes.length === 0) return undefined
  const { text } = said
  const uid = text('issuance_id')
  return {
    ...commonOf(said, severity),
    ...iamOf(said, went, actingAgent(said)),
    class_uid: 3003,
    class_name: 'Authorize Session',
    activity_id: other === undefined ? 1 : 99,
    activity_name: other ?? 'Assign Privileges',
    type_uid: other === undefined ? 300301 : 300399,
    user: agentOf(said),
    privileges: [...said.scopes],
    ...(uid === undefined
      ? {}
      : {
          session: given({
            uid,
            uid_alt: text('assumed_role_arn'),
            issuer: said.role,
            credential_uid: text('access_key_id'),
            created_time: text('access_key_id') === undefined ? undefined : said.time('at'),
            expiration_time: said.time('expires_at'),
          }),
        }),
  }
}

/** User Access Management: a grant to an agent, and its end. */
function access(
  said: Said,
  activity: 'Assign Privileges' | 'Revoke Privileges',
  severity: Severity = 'Informational',
): OcsfEvent | undefined {
  if (said.scopes.length === 0) return undefined
  const assigned = activity === 'Assign Privileges'
  const { approved_by } = said.event.body
  // With a quorum each approval is an event of its own, and all names are among what is unmapped.
  const [approver, ...more] = Array.isArray(approved_by) ? approved_by.map(String) : []
  const actor =
    assigned && approver !== undefined && more.length === 0
      ? { user: person(approver) }
      : actingOperator(said)
  return {
    ...commonOf(said, severity),
    ...iamOf(said, 'success', actor),
    class_uid: 3005,
    class_name: 'User Access Management',
    activity_id: assigned ? 1 : 2,
    activity_name: activity,
    type_uid: assigned ? 300501 : 300502,
    user: agentOf(said),
    privileges: [...said.scopes],
    ...(said.role === undefined ? {} : { resources: [{ uid: said.role, type: 'AWS IAM Role' as const }] }),
  }
}

const ENTRANCES = { Logon: 1, Logoff: 2 } as const

/** Authentication: an operator signs in and out, or a token that is nobody's. */
function logon(
  said: Said,
  went: Went,
  severity: Severity,
  activity: keyof typeof ENTRANCES = 'Logon',
): OcsfEvent {
  const { text, personal } = said
  const operator = text('operator')
  const issuer = text('issuer')
  const about = { uid: personal('subject'), domain: issuer }
  return {
    ...commonOf(said, severity),
    ...iamOf(said, went),
    class_uid: 3002,
    class_name: 'Authentication',
    activity_id: ENTRANCES[activity],
    activity_name: activity,
    type_uid: 300200 + ENTRANCES[activity],
    user:
      operator === undefined
        ? given({ name: 'unknown', ...about, type: 'Unknown' as const, type_id: 0 as const })
        : person(operator, about),
    ...(text('method') === 'passkey'
      ? { auth_protocol: 'WebAuthn' as const, auth_protocol_id: 99 as const }
      : activity === 'Logon'
        ? { auth_protocol: 'OpenID' as const, auth_protocol_id: 4 as const }
        : {}),
    logon_type: 'Network',
    logon_type_id: 3,
    is_remote: true,
    service: { name: 'Writ' },
    ...(issuer === undefined
      ? {}
      : {
          session: given({
            issuer,
            created_time: said.time('issued_at'),
            expiration_time: said.time('expires_at'),
          }),
        }),
  }
}

const ACTIVITIES = {
  Create: 1,
  Read: 2,
  Delete: 4,
  Move: 5,
  Enable: 8,
  Disable: 9,
  Activate: 10,
  Approve: 99,
  Deny: 99,
  Withdraw: 99,
  Expire: 99,
  Decide: 99,
  Propose: 99,
  Review: 99,
  Release: 99,
  Update: 3,
  Sign: 99,
  Close: 99,
} as const

/** Entity Management: grant requests, operators' keys, the policy set, webhooks, the log itself. */
function entity(
  said: Said,
  activity: keyof typeof ACTIVITIES,
  what: Entity,
  went: Went = 'success',
  severity: Severity = 'Informational',
): OcsfEvent {
  const id = ACTIVITIES[activity]
  const comment = said.personal('comment')
  // The operator of this entry is whom the code is for, not who made it.
  const maker = said.kind === 'operator.code_issued' ? said.text('by') : undefined
  const byAgent =
    said.text('requested_by')?.startsWith('agent:') === true || said.kind === 'grant_request.refused'
  return {
    ...commonOf(said, severity),
    ...iamOf(
      said,
      went,
      maker ? { user: person(maker) } : byAgent ? actingAgent(said) : actingOperator(said),
    ),
    class_uid: 3004,
    class_name: 'Entity Management',
    activity_id: id,
    activity_name: activity,
    type_uid: 300400 + id,
    entity: what,
    ...(comment === undefined ? {} : { comment }),
  }
}

const LOG: Entity = { name: 'log', type: 'Log', type_id: 99 }

const named = (said: Said, field: string, type: string): Entity => ({
  name: said.text(field) ?? 'unknown',
  type,
  type_id: 99,
})

const grantRequest = (said: Said): Entity =>
  given({ name: 'grant request', uid: said.text('request_id'), type: 'Grant Request', type_id: 99 as const })

const grant = (said: Said): Entity =>
  given({ name: 'grant', uid: said.text('grant_id'), type: 'Grant', type_id: 99 as const })

const stop = (said: Said): Entity =>
  given({ name: said.text('name') ?? 'stop', uid: said.text('stop'), type: 'Stop', type_id: 99 as const })

const deny = (said: Said): Entity =>
  given({ name: 'deny policy', uid: said.role, type: 'IAM Policy', type_id: 5 as const })

const operatorKey = (said: Said): Entity =>
  given({ name: 'operator key', uid: said.text('key_id'), type: 'Operator Key', type_id: 99 as const })

const incident = (said: Said): Entity =>
  given({ name: 'incident', uid: said.text('incident'), type: 'Incident', type_id: 99 as const })

const ENROLMENT_CODE: Entity = { name: 'enrolment code', type: 'Enrolment Code', type_id: 99 }

const policySet = (said: Said): Entity =>
  given({ name: 'policy set', uid: said.text('policy_digest'), type: 'Policy', type_id: 5 as const })

function base(said: Said): OcsfEvent {
  return {
    ...commonOf(said, 'Informational'),
    class_uid: 0,
    class_name: 'Base Event',
    category_uid: 0,
    category_name: 'Uncategorized',
    activity_id: 99,
    activity_name: said.kind,
    type_uid: 99,
  }
}

/** The kinds that have a class of their own. */
export const MAPPED_KINDS: readonly string[] = Object.keys(KINDS)
