import type { Operator } from '../types.js'
import { compileIdentity, type Surroundings } from './compile-agents.js'
import { frozenSet } from './freeze.js'
import type { Parsed } from './parse.js'
import { suggest } from './problems.js'
import type { Report } from './report.js'

export function compileOperator(
  document: Parsed<'operator'>,
  around: Surroundings,
  report: Report,
): Operator {
  const { value } = document
  value.approves?.forEach((name, n) => {
    if (around.environments.has(name) || around.broken.has(`environment ${name}`)) return
    report(
      document,
      ['approves', n],
      'environment_unknown',
      `No environment document is called "${name}".${suggest(name, around.environments.keys())}`,
    )
  })
  if (value.approves !== undefined && !value.roles.includes('approver')) {
    report(document, ['approves'], 'field_invalid', '"approves" needs the role approver.', 'key')
  }
  return {
    name: value.operator,
    identity: compileIdentity(value.identity),
    roles: frozenSet([...value.roles].sort()),
    teams: frozenSet([...(value.teams ?? [])].sort()),
    alsoKnownAs: frozenSet([...new Set([value.operator, ...(value.also_known_as ?? [])])].sort()),
    approves: frozenSet([...(value.approves ?? [])].sort()),
  }
}

/** A name of two people would make either stand for the other where nobody may approve for themselves. */
export function checkAliases(documents: readonly Parsed<'operator'>[], report: Report): void {
  const owners = new Map<string, string>(documents.map((document) => [document.name, document.name]))
  for (const document of documents) {
    document.value.also_known_as?.forEach((alias, n) => {
      const owner = owners.get(alias)
      if (owner !== undefined && owner !== document.name) {
        report(document, ['also_known_as', n], 'alias_conflict', `"${alias}" is already a name of ${owner}.`)
      }
      owners.set(alias, owner ?? document.name)
    })
  }
}
