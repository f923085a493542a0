import type { IamAction, IamData } from '../policy/iam-data.js'
import { IDENTITY_SERVICES, RED_LINES, redLineOf } from '../policy/red-lines.js'
import type { Environment, PolicySet } from '../types.js'

/** Actions that nobody gets here, for one reason. */
export interface Never {
  readonly code: 'red_line' | 'delete' | 'no_scope'
  readonly because: string
  /** Sorted; patterns where all that they match is meant. */
  readonly actions: readonly string[]
}

/** The floor under every policy set, on every service: who crosses it is no matter. */
export function redLines(): readonly Never[] {
  const groups = new Map<string, string[]>()
  for (const { pattern, because } of RED_LINES) {
    const group = groups.get(because)
    if (group === undefined) groups.set(because, [pattern])
    else group.push(pattern)
  }
  const all = [...groups].map(([because, actions]) => ({ because, actions }))
  all.push(
    { because: 'it manages permissions', actions: ['every action with the level permissions management'] },
    {
      because: 'it changes identities',
      actions: IDENTITY_SERVICES.map((service) => `every write of ${service}`),
    },
  )
  return all.map(({ because, actions }) => ({ code: 'red_line', because, actions: actions.sort() }))
}

/**
 * Of the services an agent has to do with: the red lines and the deletes that no scope of it reaches, by name, and how
 * many other actions it has no scope for.
 */
export function neverOf(
  policySet: PolicySet,
  environment: Environment,
  data: IamData,
  services: Iterable<string>,
  reached: ReadonlySet<string>,
): { readonly never: readonly Never[]; readonly others: number } {
  const groups = new Map<string, { readonly code: Never['code']; readonly actions: string[] }>()
  let others = 0
  for (const service of services)
    for (const action of data.actions.get(service)?.values() ?? []) {
      if (reached.has(action.id)) continue
      const why = reason(policySet, environment, action)
      if (why === undefined) others++
      else {
        const group = groups.get(why.because) ?? { code: why.code, actions: [] }
        group.actions.push(action.id)
        groups.set(why.because, group)
      }
    }
  const never = [...groups].map(([because, { code, actions }]) => ({
    code,
    because,
    actions: actions.sort(),
  }))
  return { never: never.sort((a, b) => (a.code + a.because < b.code + b.because ? 1 : -1)), others }
}

function reason(
  policySet: PolicySet,
  environment: Environment,
  action: IamAction,
): { readonly code: Never['code']; readonly because: string } | undefined {
  if (policySet.redLineAt(action.id) !== undefined || redLineOf(action) !== undefined)
    return { code: 'red_line', because: redLineOf(action) ?? 'a document of the policy forbids it' }
  if (!action.levels.includes('delete')) return undefined
  const { name, tier } = environment
  return deletesPossible(environment)
    ? { code: 'delete', because: 'it deletes, and no scope of the agent has it' }
    : { code: 'delete', because: `it deletes, and ${name} (${tier}) allows that to nobody` }
}

function deletesPossible(environment: Environment): boolean {
  return environment.tier === 'sandbox' || (environment.tier === 'production' && environment.allowDelete)
}
