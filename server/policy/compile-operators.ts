import type { Operator } from '../types.js'
import { compileIdentity, type Surroundings } from './compile-agents.js'
import { frozenMap, frozenSet } from './freeze.js'
import type { Parsed } from './parse.js'
import { suggest } from './problems.js'
import type { Report } from './report.js'

export function compileOperator(
  document: Parsed<'operator'>,
  around: Surroundings,
  report: Report,
): Operator {
  const { value } = document
  const identity = compileIdentity(value.identity)
  checkApproving(document, around, report)
  if ([...identity.claims.values()].every(({ kind }) => kind === 'has')) {
    report(
      document,
      ['identity', 'claims'],
      'matcher_invalid',
      'A group is many people, and this document is one. Match a claim that is theirs alone, such as sub, or write an "operators" document.',
      'key',
    )
  }
  const approves = [...(value.approves ?? [])].sort()
  const scopes = value.approves_scopes
  return {
    name: value.operator,
    identity,
    roles: frozenSet([...value.roles].sort()),
    teams: frozenSet([...(value.teams ?? [])].sort()),
    alsoKnownAs: frozenSet([...new Set([value.operator, ...(value.also_known_as ?? [])])].sort()),
    approves: frozenSet(approves),
    ...(scopes === undefined
      ? {}
      : { approvesScopes: frozenMap(approves.map((one) => [one, frozenSet([...scopes].sort())] as const)) }),
  }
}

/** What somebody approves has to exist, and to be approved by an approver. */
export function checkApproving(
  document: Parsed<'operator'> | Parsed<'operators'>,
  around: Surroundings,
  report: Report,
): void {
  const { approves, approves_scopes, roles } = document.value
  approves?.forEach((name, n) => {
    if (around.environments.has(name) || around.broken.has(`environment ${name}`)) return
    report(
      document,
      ['approves', n],
      'environment_unknown',
      `No environment document is called "${name}".${suggest(name, around.environments.keys())}`,
    )
  })
  approves_scopes?.forEach((name, n) => {
    const start = name.endsWith(':*') ? name.slice(0, -1) : undefined
    const fits = (scope: string): boolean => (start === undefined ? scope === name : scope.startsWith(start))
    const broken = [...around.broken].filter((one) => one.startsWith('scope ')).map((one) => one.slice(6))
    if ([...around.scopes.keys(), ...broken].some(fits)) return
    const starts = [...around.scopes.keys()].filter((scope) => scope.includes(':')).map(beginning)
    report(
      document,
      ['approves_scopes', n],
      'scope_unknown',
      start === undefined
        ? `No scope document is called "${name}".${suggest(name, around.scopes.keys())}`
        : `No scope begins with "${start}".${suggest(name, new Set(starts))}`,
    )
  })
  if (approves !== undefined && !roles.includes('approver')) {
    report(document, ['approves'], 'field_invalid', '"approves" needs the role approver.', 'key')
  }
  if (approves_scopes !== undefined && approves === undefined) {
    report(
      document,
      ['approves_scopes'],
      'field_invalid',
      '"approves_scopes" narrows "approves"; without that it approves nothing.',
      'key',
    )
  }
}

const beginning = (scope: string): string => `${scope.slice(0, scope.lastIndexOf(':'))}:*`

/**
 * A name of two people would make either stand for the other where nobody may approve for themselves. Capitals tell
 * nobody apart: issuers differ in how they write one address.
 */
export function checkAliases(documents: readonly Parsed<'operator'>[], report: Report): void {
  const owners = new Map<string, string>(documents.map((document) => [document.name, document.name]))
  for (const document of documents) {
    document.value.also_known_as?.forEach((alias, n) => {
      const key = alias.toLowerCase()
      const owner = owners.get(key)
      if (owner !== undefined && owner !== document.name) {
        report(document, ['also_known_as', n], 'alias_conflict', `"${alias}" is already a name of ${owner}.`)
      }
      owners.set(key, owner ?? document.name)
    })
  }
}
