import { join, resolve } from 'node:path'
import { packageRoot } from '../server/paths.js'
import { loadPolicySet } from '../server/policy/load.js'
import { formatProblem, type Problem } from '../server/policy/problems.js'
import type { PolicySet } from '../server/types.js'
import type { ClientEnvironment } from './environment.js'
import { CliError, EXIT } from './exit.js'

/** The folder named, WRIT_POLICIES, or the example set that comes with Writ. */
export const policyFolder = (named: string | undefined, env: ClientEnvironment): string =>
  resolve(named ?? env.policies ?? join(packageRoot(), 'policies'))

/** The policy set of a folder; every problem of a broken one is in the error. */
export async function loadPolicies(folder: string): Promise<PolicySet> {
  const loaded = await loadPolicySet(folder)
  if (loaded.ok) return loaded.policySet
  throw brokenPolicies(folder, loaded.problems)
}

export function brokenPolicies(folder: string, problems: readonly Problem[]): CliError {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`
  return new CliError(EXIT.unexpected, {
    title: 'Policy set broken',
    code: 'policy_invalid',
    detail: `${folder} has ${count}:\n${problems.map((one) => `  ${formatProblem(one)}`).join('\n')}`,
    problems,
  })
}
