import type { AccessLevel, RoleKind, Scope, ScopeStatement } from '../types.js'
import { CONDITION_OPERATORS, conditionFlaw, toConditions } from './conditions.js'
import { frozenSet } from './freeze.js'
import { expandAction, type IamAction, type IamData } from './iam-data.js'
import type { Parsed } from './parse.js'
import { suggest } from './problems.js'
import { type RedLine, redLineOf } from './red-lines.js'
import type { Report } from './report.js'
import { resourceFlaw } from './resources.js'

const HARMLESS: readonly AccessLevel[] = ['read', 'list']

/** The scope, or undefined when its actions or resources are not all in order; each flaw is reported. */
export function compileScope(
  document: Parsed<'scope'>,
  data: IamData,
  added: readonly RedLine[],
  report: Report,
): Scope | undefined {
  const { value } = document
  const levels = new Set<AccessLevel>()
  const statements: ScopeStatement[] = []
  let sound = true
  const fault: Report = (...problem) => {
    sound = false
    report(...problem)
  }
  value.allow.forEach((statement, n) => {
    const base = ['allow', n] as const
    const reached: IamAction[] = []
    const actions = statement.actions.map((pattern, m) => {
      const expansion = expandAction(pattern, data)
      if (!expansion.ok) {
        fault(document, [...base, 'actions', m], expansion.code, expansion.message)
        return pattern
      }
      reportRedLines(document, [...base, 'actions', m], pattern, expansion.actions, added, fault)
      reached.push(...expansion.actions)
      return expansion.canonical
    })
    for (const level of reached.flatMap((action) => action.levels)) levels.add(level)
    statement.resources.forEach((resource, m) => {
      const at = [...base, 'resources', m]
      if (resource === '*') checkStar(document, at, reached, fault)
      else {
        const flaw = resourceFlaw(resource)
        if (flaw !== undefined) fault(document, at, flaw.code, flaw.message)
      }
    })
    checkUnreachable(document, base, statement, data, fault)
    checkConditions(document, [...base, 'when'], statement.when, data, fault)
    statements.push({
      actions: [...new Set(actions)].sort(),
      resources: [...statement.resources].sort(),
      conditions: toConditions(statement.when),
    })
  })
  if (!sound) return undefined
  const kind: RoleKind = [...levels].every((level) => HARMLESS.includes(level)) ? 'read' : 'write'
  if (value.approvals !== undefined && kind === 'read') {
    report(
      document,
      ['approvals'],
      'approvals_loosened',
      'Nobody is asked for a read, so this number would promise what is not kept.',
      'key',
    )
  }
  return {
    name: value.scope,
    describe: value.describe,
    statements,
    levels: frozenSet([...levels].sort()),
    kind,
    destroys: levels.has('delete'),
    promotion: value.promotion ?? false,
    ...(value.approvals === undefined ? {} : { approvals: value.approvals }),
  }
}

function reportRedLines(
  document: Parsed<'scope'>,
  at: readonly PropertyKey[],
  pattern: string,
  actions: readonly IamAction[],
  added: readonly RedLine[],
  report: Report,
): void {
  const crossed = actions.flatMap((action) => {
    const why = redLineOf(action, added)
    return why === undefined ? [] : [{ id: action.id, why }]
  })
  const [first, ...more] = crossed
  if (first === undefined) return
  if (more.length === 0) {
    const reaches = first.id.toLowerCase() === pattern.toLowerCase() ? 'is' : `reaches ${first.id},`
    report(
      document,
      at,
      'red_line',
      `"${pattern}" ${reaches} a red line, because ${first.why}. No agent session may hold it.`,
    )
    return
  }
  const shown = crossed.slice(0, 6).map(({ id }) => id)
  const rest = crossed.length > shown.length ? ` and ${crossed.length - shown.length} more` : ''
  report(
    document,
    at,
    'red_line',
    `"${pattern}" reaches red lines: ${shown.join(', ')}${rest}. No agent session may hold them.`,
  )
}

function checkStar(
  document: Parsed<'scope'>,
  at: readonly PropertyKey[],
  reached: readonly IamAction[],
  report: Report,
): void {
  const specific = reached.find((action) => !action.takesNoResource)
  if (specific === undefined) return
  report(
    document,
    at,
    'resource_too_wide',
    `"*" is only for actions that know no resource; ${specific.id} does. Name its resources.`,
  )
}

/** An action that knows no resource never matches an ARN: the permission would look granted and be none. */
function checkUnreachable(
  document: Parsed<'scope'>,
  base: readonly PropertyKey[],
  statement: { readonly actions: readonly string[]; readonly resources: readonly string[] },
  data: IamData,
  report: Report,
): void {
  if (statement.resources.includes('*')) return
  statement.actions.forEach((pattern, m) => {
    const expansion = expandAction(pattern, data)
    if (!expansion.ok || !expansion.actions.every((action) => action.takesNoResource)) return
    report(
      document,
      [...base, 'actions', m],
      'resource_invalid',
      `${pattern} knows no resource. Give it a statement of its own with the resource "*".`,
    )
  })
}

function checkConditions(
  document: Parsed<'scope'>,
  base: readonly PropertyKey[],
  when: Parsed<'scope'>['value']['allow'][number]['when'],
  data: IamData,
  report: Report,
): void {
  for (const [operator, keys] of Object.entries(when ?? {})) {
    if (!CONDITION_OPERATORS.some((one) => one === operator)) {
      report(
        document,
        [...base, operator],
        'condition_unknown',
        `"${operator}" is no condition operator that a scope may use.${suggest(operator, CONDITION_OPERATORS)}`,
        'key',
      )
      continue
    }
    for (const [key, values] of Object.entries(keys)) {
      const at = [...base, operator, key]
      // A negated condition holds for a key that is absent, so a misspelt key would be no condition at all.
      if (!data.conditionKeys.has(key.toLowerCase())) {
        report(
          document,
          at,
          'condition_unknown',
          `IAM has no condition key "${key}".${suggest(key, data.knownConditionKeys)}`,
          'key',
        )
        continue
      }
      const flaw = conditionFlaw(operator, key, typeof values === 'string' ? [values] : values)
      if (flaw !== undefined)
        report(document, at, 'condition_invalid', `This condition cannot be evaluated: ${flaw}.`)
    }
  }
}
