import type { Operator } from '../types.js'

/**
 * Whether this human may decide on a request for these scopes in this environment: they are an approver of it, and
 * every scope is one of theirs. Says nothing about owners and beneficiaries, which depend on the request. Pure.
 */
export function mayApprove(operator: Operator, environment: string, scopes: readonly string[]): boolean {
  if (!operator.roles.has('approver') || !operator.approves.has(environment)) return false
  const theirs = operator.approvesScopes?.get(environment)
  // All of them: whoever knows about orders has not judged what else the same session could do.
  return scopes.length > 0 && (theirs === undefined || scopes.every((scope) => covers(theirs, scope)))
}

/** `orders:*` covers what begins with `orders:`; a star anywhere else is text like any other. */
function covers(theirs: ReadonlySet<string>, scope: string): boolean {
  if (theirs.has(scope)) return true
  for (const one of theirs) if (one.endsWith(':*') && scope.startsWith(one.slice(0, -1))) return true
  return false
}
