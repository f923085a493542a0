import { isIP } from 'node:net'
import type { Said } from './said.js'
import { type Actor, OCSF_VERSION, type OcsfEvent, type User } from './schema.js'

/** How an entry went, as a kind's mapping says it. */
export type Went = 'success' | 'failure' | 'unknown' | 'intended'
export type Severity = keyof typeof SEVERITIES

const SEVERITIES = { Informational: 1, Low: 2, Medium: 3, High: 4, Critical: 5 } as const

const STATUSES = {
  success: { status_id: 1, status: 'Success' },
  failure: { status_id: 2, status: 'Failure' },
  unknown: { status_id: 0, status: 'Unknown' },
  intended: { status_id: 99, status: 'Intended' },
} as const

/** Leaves out what is undefined. */
export function given<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}

/** What every event has. */
export function commonOf(said: Said, severity: Severity) {
  const { event, kind, text } = said
  const account = accountOf(said)
  const { v: _v, index: _index, at: _at, kind: _kind, personal: _hash, ...rest } = event.body
  return {
    severity_id: SEVERITIES[severity],
    severity,
    time: said.time('at') ?? 0,
    message: [
      kind,
      text('operator') ?? text('agent'),
      text('environment') && `in ${text('environment')}`,
      text('code'),
    ]
      .filter((part) => part !== undefined)
      .join(' '),
    metadata: given({
      version: OCSF_VERSION,
      product: { name: 'Writ', vendor_name: 'Writ' } as const,
      log_name: 'writ' as const,
      log_version: String(event.body.v),
      uid: event.leaf_hash,
      sequence: event.index,
      event_code: kind,
      original_time: text('at') ?? '',
      correlation_uid: text('issuance_id') ?? text('request_id') ?? text('grant_id'),
      profiles: account === undefined ? undefined : (['cloud'] as ['cloud']),
    }),
    ...(account === undefined
      ? {}
      : {
          cloud: {
            provider: 'AWS' as const,
            account: { uid: account, type: 'AWS Account' as const, type_id: 10 as const },
          },
        }),
    ...(event.repeats === null || event.repeats === 0 ? {} : { count: event.repeats + 1 }),
    unmapped: given({
      ...rest,
      personal_data: event.personal_data,
      personal: event.personal ?? undefined,
    }),
  } satisfies Partial<OcsfEvent>
}

/** What every event of the category Identity & Access Management has besides. */
export function iamOf(said: Said, went: Went, actor?: Actor) {
  const { text } = said
  const ip = said.personal('source_ip')
  const request = text('request')
  return given({
    category_uid: 3 as const,
    category_name: 'Identity & Access Management' as const,
    ...STATUSES[went],
    status_code: text('code'),
    status_detail: text('detail'),
    actor,
    src_endpoint: ip === undefined || isIP(ip) === 0 || ip.includes('%') ? undefined : { ip },
    http_request: request === undefined ? undefined : { uid: request },
  })
}

/** The agent as the one who gets privileges: a workload, with its subject where that may be said. */
export const agentOf = (said: Said): User =>
  given({
    name: said.text('agent') ?? 'unknown',
    uid: said.personal('subject'),
    domain: said.text('issuer'),
    type: 'Service' as const,
    type_id: 4 as const,
  })

export const person = (name: string, more: { uid?: string | undefined; domain?: string | undefined } = {}) =>
  given({ name, ...more, type: 'User' as const, type_id: 1 as const }) satisfies User

/** The agent acts; a human stands behind it where an issuer or their own token says so, not where the agent does. */
export function actingAgent(said: Said): Actor {
  const human = said.personal('human')
  const known = said.personal('human_how') !== 'self-claimed'
  const issuer = said.text('issuer')
  return given({
    app_name: said.text('agent') ?? 'unknown',
    user: human !== undefined && known ? person(human) : undefined,
    idp: issuer === undefined ? undefined : { name: issuer },
  })
}

/** The operator acts, or, where the entry names none, the broker itself. */
export function actingOperator(said: Said): Actor {
  const operator = said.text('operator')
  return operator === undefined ? { app_name: 'Writ' } : { user: person(operator) }
}

/** The AWS account: said by the entry, or part of its role's ARN. */
const accountOf = (said: Said): string | undefined =>
  /^\d{12}$/.exec(said.text('account') ?? '')?.[0] ??
  /^arn:aws[a-z-]*:iam::(\d{12}):/.exec(said.role ?? '')?.[1]
