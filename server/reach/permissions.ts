import { canonicalJson } from '../policy/canonical.js'
import type { AccessLevel, Refusal, Scope } from '../types.js'
import type { Right } from './rights.js'

/** In principle: by itself, with humans' approvals, or not at all. */
export type Way = 'alone' | 'grant' | 'never'

/** One right, and how the scope that has it can be had. */
export interface Reached {
  readonly scope: Scope
  readonly way: Way
  readonly approvals: number
  readonly now: boolean
  readonly grant?: string
  readonly refusal?: Refusal
  readonly right: Right
}

/** An action on the resources that can be had the same way. */
export interface Permission {
  readonly action: string
  readonly levels: readonly AccessLevel[]
  readonly resources: readonly string[]
  /** Resources beyond those. */
  readonly moreResources: number
  readonly conditions: Right['conditions']
  readonly scopes: readonly string[]
  readonly way: Way
  readonly approvals: number
  readonly now: boolean
  readonly grant?: string
  readonly refusal?: Refusal
}

const MOST_PERMISSIONS = 500
const MOST_RESOURCES = 20

/** What is there now comes first, then what takes the fewest humans. */
const rank = ({ now, way, approvals }: Reached): number =>
  (now ? 0 : 1000) + (way === 'alone' ? 0 : way === 'grant' ? 1 + approvals : 500)

/** Permissions by action, each in the easiest way there is to it. */
export function gather(all: readonly Reached[]): {
  readonly permissions: readonly Permission[]
  readonly leftOut: number
} {
  const easiest = new Map<string, Reached[]>()
  for (const one of all) {
    const { action, resource, conditions } = one.right
    const key = canonicalJson([action, resource, conditions])
    const known = easiest.get(key)
    const [first] = known ?? []
    if (known === undefined || first === undefined || rank(one) < rank(first)) easiest.set(key, [one])
    else if (rank(one) === rank(first)) known.push(one)
  }
  const groups = new Map<string, Reached[]>()
  for (const same of easiest.values()) {
    const [first] = same
    if (first === undefined) continue
    const { right, grant, refusal } = first
    // Scopes too: together they would promise each other's resources.
    const scopes = same.map(({ scope }) => scope.name).sort()
    const key = canonicalJson([right.action, right.conditions, rank(first), grant, refusal?.code, scopes])
    groups.set(key, [...(groups.get(key) ?? []), ...same])
  }
  const permissions = [...groups.values()]
    .flatMap(permissionOf)
    .sort((a, b) => order(a) - order(b) || (a.action < b.action ? -1 : 1))
  return {
    permissions: permissions.slice(0, MOST_PERMISSIONS),
    leftOut: Math.max(0, permissions.length - MOST_PERMISSIONS),
  }
}

const order = ({ now, way }: Permission): number => (now ? 0 : way === 'alone' ? 1 : way === 'grant' ? 2 : 3)

function permissionOf(group: readonly Reached[]): readonly Permission[] {
  const [first] = group
  if (first === undefined) return []
  const { right, way, approvals, now, grant, refusal } = first
  const resources = [...new Set(group.map((one) => one.right.resource))].sort()
  return [
    {
      action: right.action,
      levels: right.levels,
      resources: resources.slice(0, MOST_RESOURCES),
      moreResources: Math.max(0, resources.length - MOST_RESOURCES),
      conditions: right.conditions,
      scopes: [...new Set(group.map(({ scope }) => scope.name))].sort(),
      way,
      approvals,
      now,
      ...(grant === undefined ? {} : { grant }),
      ...(refusal === undefined ? {} : { refusal }),
    },
  ]
}
