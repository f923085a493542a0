import { compileIdentity, type Surroundings } from './compile-agents.js'
import { checkApproving } from './compile-operators.js'
import { deepFreeze } from './freeze.js'
import type { Parsed } from './parse.js'
import type { OperatorGroup } from './people.js'
import type { Report } from './report.js'

export function compileGroup(
  document: Parsed<'operators'>,
  around: Surroundings,
  report: Report,
): OperatorGroup {
  const { value } = document
  checkApproving(document, around, report)
  // A named approver without a team is a statement; a group's members come and go, and some will own agents.
  if (value.roles.includes('approver') && value.teams === undefined) {
    report(
      document,
      ['roles'],
      'field_missing',
      '"teams" is missing: without it, nobody sees that an approver belongs to the team that owns the agent.',
      'key',
    )
  }
  return deepFreeze({
    name: value.operators,
    identity: compileIdentity(value.identity),
    nameClaim: value.name.claim,
    roles: value.roles,
    teams: value.teams ?? [],
    aliasClaims: value.also_known_as?.claims ?? [],
    approves: value.approves ?? [],
    ...(value.approves_scopes === undefined ? {} : { approvesScopes: value.approves_scopes }),
  })
}

/** One way of naming for all groups: a person in two of them, or at two issuers, must not count twice. */
export function checkNaming(documents: readonly Parsed<'operators'>[], report: Report): void {
  const [first, ...others] = [...documents].sort((a, b) => (a.name < b.name ? -1 : 1))
  if (first === undefined) return
  const { identity, name } = first.value
  for (const document of others) {
    const { value } = document
    if (value.identity.issuer !== identity.issuer) {
      report(
        document,
        ['identity', 'issuer'],
        'naming_conflict',
        `The people of ${first.name} come from "${identity.issuer}". Two issuers can call two people the same, so all groups have one issuer; name the others one by one.`,
      )
    }
    if (value.name.claim !== name.claim) {
      report(
        document,
        ['name', 'claim'],
        'naming_conflict',
        `${first.name} takes names from "${name.claim}". Whoever is in both would have two names and count as two people.`,
      )
    }
  }
}
