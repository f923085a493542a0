import type { Environment, Operator, RoleKind } from '../types.js'
import { compilePace } from './compile-limits.js'
import { frozenSet } from './freeze.js'
import type { Parsed } from './parse.js'
import { suggest } from './problems.js'
import type { Report } from './report.js'
import { BREAK_GLASS, COOL_DOWN, duration, SHORTEST_SESSION_SECONDS, seconds, TIERS } from './tiers.js'

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
    coolDownSeconds: coolDown(document, report),
    ...breakGlass(document, report),
    ...compilePace(document),
  }
}

function coolDown(document: Parsed<'environment'>, report: Report): number {
  const { cool_down: text, tier } = document.value
  if (text === undefined) return COOL_DOWN.usual
  const fault = (message: string, part: 'key' | 'value' = 'value'): void =>
    report(document, ['cool_down'], 'field_invalid', message, part)
  if (TIERS[tier].approvals.write === undefined) {
    fault(`Nobody is asked in the tier ${tier}, so there is no denial to wait after.`, 'key')
  }
  const value = seconds(text)
  if (value < COOL_DOWN.least) fault(`${text} is too short to stop anybody from asking again: at least 1m.`)
  if (value > COOL_DOWN.most) fault(`"cool_down" can be at most ${duration(COOL_DOWN.most)}.`)
  return Math.min(Math.max(value, COOL_DOWN.least), COOL_DOWN.most)
}

function breakGlass(document: Parsed<'environment'>, report: Report): Pick<Environment, 'breakGlass'> {
  const { break_glass: written, tier } = document.value
  if (written === undefined) return {}
  if (tier !== 'production') {
    report(
      document,
      ['break_glass'],
      'break_glass_invalid',
      `"break_glass" is for production only; in the tier ${tier} one approval is never far away.`,
      'key',
    )
    return {}
  }
  const value = written.max === undefined ? BREAK_GLASS.most : seconds(written.max)
  if (value > BREAK_GLASS.most || value < BREAK_GLASS.least) {
    report(
      document,
      ['break_glass', 'max'],
      'break_glass_invalid',
      `${written.max} is not between 1m and ${duration(BREAK_GLASS.most)}: an emergency that lasts gets a grant by others.`,
    )
  }
  return {
    breakGlass: {
      operators: frozenSet([...written.operators].sort()),
      maxSeconds: Math.min(value, BREAK_GLASS.most),
    },
  }
}

/** Whoever may decide alone must be able to decide at all; a group's members are nobody's named few. */
export function checkBreakGlass(
  documents: readonly Parsed<'environment'>[],
  operators: ReadonlyMap<string, Operator>,
  broken: ReadonlySet<string>,
  report: Report,
): void {
  for (const document of documents) {
    document.value.break_glass?.operators.forEach((name, n) => {
      const at = ['break_glass', 'operators', n]
      const operator = operators.get(name)
      if (operator === undefined) {
        if (broken.has(`operator ${name}`)) return
        const hint = suggest(name, operators.keys())
        report(document, at, 'operator_unknown', `No operator document is called "${name}".${hint}`)
      } else if (!operator.roles.has('approver') || !operator.approves.has(document.name)) {
        report(
          document,
          at,
          'operator_unknown',
          `${name} is no approver of ${document.name}; breaking the glass needs that and no second approver.`,
        )
      }
    })
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
