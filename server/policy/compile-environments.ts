import type { Environment, RoleKind } from '../types.js'
import type { Parsed } from './parse.js'
import type { Report } from './report.js'
import { duration, SHORTEST_SESSION_SECONDS, seconds, TIERS } from './tiers.js'

export function compileEnvironment(document: Parsed<'environment'>, report: Report): Environment {
  const { value } = document
  const rules = TIERS[value.tier]
  checkApprovals(document, report)
  if (value.allow_delete === true && rules.deletes !== 'opt-in') {
    const why = rules.deletes === 'yes' ? 'allows deleting anyway' : 'never allows deleting'
    report(
      document,
      ['allow_delete'],
      'delete_not_allowed',
      `"allow_delete" is for production only; the tier ${value.tier} ${why}.`,
      'key',
    )
  }
  return {
    name: value.environment,
    tier: value.tier,
    account: value.account,
    regions: value.regions,
    maxSessionSeconds: tightened(
      document,
      ['max_session'],
      value.max_session,
      rules.maxSessionSeconds,
      `the tier ${value.tier}`,
      report,
    ),
    approvals: {
      write: Math.max(rules.approvals.write ?? 0, value.approvals?.write ?? 0),
      delete: Math.max(rules.approvals.delete ?? 0, value.approvals?.delete ?? 0),
    },
    allowDelete: rules.deletes === 'yes' || (rules.deletes === 'opt-in' && value.allow_delete === true),
  }
}

function checkApprovals(document: Parsed<'environment'>, report: Report): void {
  const { value } = document
  const floor = TIERS[value.tier].approvals
  for (const kind of ['write', 'delete'] as const) {
    const wanted = value.approvals?.[kind]
    if (wanted === undefined) continue
    const least = floor[kind]
    const path = ['approvals', kind]
    if (least === undefined) {
      report(
        document,
        path,
        'approvals_loosened',
        `Nobody is asked for a ${kind} in the tier ${value.tier}, so this number would promise what is not kept.`,
        'key',
      )
    } else if (wanted < least) {
      report(
        document,
        path,
        'approvals_loosened',
        `A ${kind} in the tier ${value.tier} needs at least ${least} approvals; a document can only raise that.`,
      )
    }
  }
}

/** Limits that may only be lowered. Reports what would raise one, and uses the limit itself there. */
export function tightened(
  document: Parsed,
  path: readonly PropertyKey[],
  wanted: Partial<Record<RoleKind, string | undefined>> | undefined,
  limits: Readonly<Record<RoleKind, number>>,
  whose: string,
  report: Report,
): Readonly<Record<RoleKind, number>> {
  const one = (kind: RoleKind): number => {
    const text = wanted?.[kind]
    if (text === undefined) return limits[kind]
    const value = seconds(text)
    if (value > limits[kind]) {
      report(
        document,
        [...path, kind],
        'session_loosened',
        `${text} is longer than the ${duration(limits[kind])} of ${whose}; this can only tighten it.`,
      )
    } else if (value < SHORTEST_SESSION_SECONDS) {
      report(
        document,
        [...path, kind],
        'field_invalid',
        `${text} is shorter than a session can be: at least ${SHORTEST_SESSION_SECONDS}s.`,
      )
    }
    return Math.min(value, limits[kind])
  }
  return { read: one('read'), write: one('write') }
}
