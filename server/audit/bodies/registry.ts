import { ALARM_BODIES } from './alarms.js'
import { BROKER_BODIES } from './broker.js'
import type { BodyKind } from './common.js'
import { CONTAINMENT_BODIES } from './containment.js'
import { DENY_BODIES } from './denies.js'
import { GRANT_BODIES } from './grants.js'
import { INCIDENT_BODIES } from './incidents.js'
import { ISSUANCE_BODIES } from './issuance.js'
import { OPERATOR_BODIES } from './operators.js'

/**
 * Every kind of entry of version 2. docs/log-entries.md is made from these, and every entry that a test records
 * is held against them. A verifier does not ask: an entry of a kind it does not know hashes like any other.
 */
export const BODIES: Readonly<Record<string, BodyKind>> = {
  ...INCIDENT_BODIES,
  ...ISSUANCE_BODIES,
  ...GRANT_BODIES,
  ...OPERATOR_BODIES,
  ...BROKER_BODIES,
  ...CONTAINMENT_BODIES,
  ...DENY_BODIES,
  ...ALARM_BODIES,
}

/** What is wrong with an entry, or undefined. `personal` is undefined when there is none or it is erased. */
export function bodyProblem(body: unknown, personal: unknown): string | undefined {
  const kind =
    typeof body === 'object' && body !== null && 'kind' in body && typeof body.kind === 'string'
      ? body.kind
      : ''
  const known = BODIES[kind]
  if (known === undefined) return `no such kind: ${kind}`
  const parsed = known.body.safeParse(body)
  if (!parsed.success) return `${kind}: ${parsed.error.message}`
  if (personal === undefined) return undefined
  if (known.personal === undefined) return `${kind}: has no personal part`
  const beside = known.personal.safeParse(personal)
  return beside.success ? undefined : `${kind}, personal part: ${beside.error.message}`
}
