import type { PolicyStatement, Scope } from '../types.js'
import { canonicalJson, sha256Hex } from './canonical.js'
import { claimText } from './match.js'
import { mergeStatements } from './merge.js'
import { fill, type TemplateValues } from './template.js'

/** Where and for whom scopes are rendered. `claims` are those of the verified token. */
export interface RenderFor {
  readonly environment: string
  readonly account: string
  readonly regions: readonly string[]
  readonly agent: string
  readonly claims: Readonly<Record<string, unknown>>
}

export type Rendered =
  | { readonly ok: true; readonly statements: readonly PolicyStatement[]; readonly sha256: string }
  | { readonly ok: false; readonly code: 'claim_unusable'; readonly detail: string }

/** A claim in an ARN could widen it: `*`, `?`, `/`, `..`, `${…}`, quotes. Only these characters pass. */
const USABLE = /^[A-Za-z0-9_-]{1,128}$/

/**
 * The Allow statements of the session policy for these scopes together: the smallest form found that permits
 * exactly them. `sha256` is 64 hex digits over their canonical JSON; a grant is pinned to it.
 */
export function renderPermissions(scopes: readonly Scope[], where: RenderFor): Rendered {
  const claim = (name: string): string | undefined => {
    const value = where.claims[name]
    if (typeof value === 'boolean') return undefined
    const text = claimText(where.claims, name)
    return text !== undefined && USABLE.test(text) ? text : undefined
  }
  const rendered = renderStatements(scopes, { ...where, claim })
  if (!rendered.ok) {
    const detail = `The claim ${rendered.claim} is missing, or has more than letters, digits, _ and -.`
    return { ok: false, code: 'claim_unusable', detail }
  }
  const { statements } = rendered
  return { ok: true, statements, sha256: sha256Hex(canonicalJson(statements)) }
}

export type RenderedStatements =
  | { readonly ok: true; readonly statements: readonly PolicyStatement[] }
  | { readonly ok: false; readonly claim: string }

/** The statements of some scopes, filled in and merged. */
export function renderStatements(scopes: readonly Scope[], values: TemplateValues): RenderedStatements {
  const statements: PolicyStatement[] = []
  for (const { actions, resources, conditions } of scopes.flatMap((scope) => scope.statements)) {
    const filled: string[] = []
    for (const resource of resources) {
      const one = fill(resource, values)
      if (!one.ok) return one
      filled.push(...one.resources)
    }
    statements.push({ Effect: 'Allow', Action: actions, Resource: filled, Condition: conditions })
  }
  return { ok: true, statements: statements.length === 0 ? [] : mergeStatements(statements) }
}
