import { list } from '../policy/evaluate-conditions.js'
import { expandAction, type IamData, loadIamData, serviceOf } from '../policy/iam-data.js'
import type { Agent, PolicyDocument, PolicySet } from '../types.js'

/** Stands for what only a wildcard over all services reaches. */
export const ANYTHING = '*'

/** IAM's data on every service that an agent's scopes name. */
export function loadAgentData(policySet: PolicySet, agent: Agent): Promise<IamData> {
  const patterns = [...agent.environments.values()].flatMap(({ scopes }) =>
    scopes.flatMap((name) =>
      (policySet.scopes.get(name)?.statements ?? []).flatMap((statement) => statement.actions),
    ),
  )
  return loadIamData(new Set(patterns.map(serviceOf)))
}

const patternsOf = (documents: readonly PolicyDocument[]): readonly string[] =>
  documents.flatMap(({ Statement }) => Statement.flatMap(({ Action }) => list(Action)))

/** IAM's data on every service that these documents name. */
export const loadDocumentData = (documents: readonly PolicyDocument[]): Promise<IamData> =>
  loadIamData(new Set(patternsOf(documents).map(serviceOf)))

/** Every action that the documents speak of, wildcards expanded; `*` where they speak of all services at once. */
export function actionsIn(documents: readonly PolicyDocument[], data: IamData): readonly string[] {
  const actions = new Set<string>()
  for (const pattern of new Set(patternsOf(documents))) {
    const expansion = expandAction(pattern, data)
    if (expansion.ok) for (const { id } of expansion.actions) actions.add(id)
    else actions.add(/[*?]/.test(pattern) ? ANYTHING : pattern)
  }
  return [...actions].sort()
}
