import { globMatches, type RequestContext } from '../policy/evaluate.js'
import { conditionsHold, list, lookup } from '../policy/evaluate-conditions.js'
import { hasWildcard } from '../policy/glob.js'
import type { PolicyStatement } from '../types.js'

/** Stands where a pattern takes anything: no name that somebody chose begins like it. */
const ANY = 'wq7'

/** Contexts tried for one statement at most. */
const MOST_CONTEXTS = 40

/** A resource that nobody named; only `*` matches it. */
const NOBODYS = `arn:aws:${ANY}:${ANY}:000000000000:${ANY}`

const fill = (pattern: string, text: string): string =>
  pattern.replaceAll('*', text).replaceAll('?', ANY.slice(0, 1))

/** Names that a pattern of resources matches, chosen to show where another pattern stops short of it. */
export function resourcesOf(pattern: string): readonly string[] {
  if (pattern === '*') return ['*', NOBODYS]
  if (!hasWildcard(pattern)) return [pattern]
  return [ANY, '', `${ANY}/${ANY}`].map((text) => fill(pattern, text))
}

/** The shortest text that two patterns both match; undefined when there is none. */
export function meeting(a: string, b: string): string | undefined {
  let front: (readonly [number, number, string])[] = [[0, 0, '']]
  const seen = new Set<number>()
  while (front.length > 0) {
    const next: (readonly [number, number, string])[] = []
    // Grows while it is walked: passing over a star takes no character.
    for (const [i, j, text] of front) {
      const place = i * (b.length + 1) + j
      if (seen.has(place)) continue
      seen.add(place)
      const [left, right] = [a[i], b[j]]
      if (left === undefined && right === undefined) return text
      if (left === '*') front.push([i + 1, j, text])
      if (right === '*') front.push([i, j + 1, text])
      if (left === undefined || right === undefined) continue
      const wild = (one: string): boolean => one === '*' || one === '?'
      if (left !== right && !wild(left) && !wild(right)) continue
      const character = wild(left) ? (wild(right) ? ANY.slice(0, 1) : right) : left
      next.push([left === '*' ? i : i + 1, right === '*' ? j : j + 1, text + character])
    }
    front = next
  }
  return undefined
}

/** Keys in lower case, as a context is looked up. */
export const lowered = (context: RequestContext): RequestContext =>
  Object.fromEntries(Object.entries(context).map(([key, values]) => [key.toLowerCase(), values]))

/** A context in which every condition of the statement holds, then ones that differ in one key each. */
export function contextsOf(
  statement: PolicyStatement,
  base: RequestContext,
  fixed: (key: string) => boolean,
): readonly RequestContext[] {
  const tried = [...byKey(statement)]
    .filter(([key]) => !fixed(key))
    .map(([key, conditions]) => ({ key, values: candidates(key, conditions, base) }))
  const put = (context: RequestContext, key: string, value: string | undefined): RequestContext => ({
    ...context,
    [key]: value === undefined ? [] : [value],
  })
  const holding = tried.reduce((context, { key, values }) => put(context, key, values[0]), base)
  const others = tried.flatMap(({ key, values }) => values.slice(1).map((value) => put(holding, key, value)))
  return [holding, ...others].slice(0, MOST_CONTEXTS)
}

type Conditions = NonNullable<PolicyStatement['Condition']>

/** What is asked of each key, by however many operators. */
function byKey({ Condition }: PolicyStatement): ReadonlyMap<string, Conditions> {
  const keys = new Map<string, Conditions>()
  for (const [operator, asked] of Object.entries(Condition ?? {}))
    for (const [name, wanted] of Object.entries(asked)) {
      const key = name.toLowerCase()
      const before = keys.get(key) ?? {}
      keys.set(key, { ...before, [operator]: { ...before[operator], [key]: wanted } })
    }
  return keys
}

/** Values of one key on both sides of what is asked of it, those that hold first; undefined: not there. */
function candidates(
  key: string,
  Condition: Conditions,
  base: RequestContext,
): readonly (string | undefined)[] {
  const now = Date.parse(base['aws:currenttime']?.[0] ?? '')
  const values = new Set<string | undefined>(base[key] ?? [undefined])
  for (const [operator, asked] of Object.entries(Condition))
    for (const value of list(asked[key]))
      for (const one of around(operator, value)) {
        // Only what is asked from now on can show that a role has to be changed.
        if (/^aws:(currenttime|tokenissuetime)$/.test(key) && one !== undefined && Date.parse(one) < now)
          continue
        values.add(one)
      }
  values.add(undefined)
  const holds = (value: string | undefined): boolean => {
    try {
      const context = lookup({ [key]: value === undefined ? [] : [value] })
      return conditionsHold({ Effect: 'Allow', Action: '*', Condition }, context)
    } catch {
      return false
    }
  }
  return [...values].sort((a, b) => Number(holds(b)) - Number(holds(a)))
}

function around(operator: string, value: string): readonly (string | undefined)[] {
  const kind = operator.replace(/^For(AllValues|AnyValue):/, '').replace(/IfExists$/, '')
  if (kind === 'Null') return [ANY, undefined]
  if (kind === 'Bool') return ['true', 'false']
  if (kind.startsWith('Numeric')) return [-1, 0, 1].map((step) => String(Number(value) + step))
  if (kind.startsWith('Date')) {
    const at = /^\d{9,11}$/.test(value) ? Number(value) * 1000 : Date.parse(value)
    return [-86_400_000, 0, 86_400_000].map((step) => `${new Date(at + step).toISOString().slice(0, 19)}Z`)
  }
  // One inside, and addresses for documentation (RFC 5737), which no network of anybody's has.
  if (kind.endsWith('IpAddress')) return [value.split('/')[0], '203.0.113.77']
  if (kind.includes('Arn')) return [fill(value, ANY), `arn:aws:iam::000000000000:role/${ANY}`]
  return [fill(value, ANY), fill(value, ''), ANY]
}

/** The actions that the same statements speak of get the same answer: one question for each such group. */
export function alike(
  actions: readonly string[],
  statements: readonly PolicyStatement[],
): readonly (readonly string[])[] {
  const patterns = statements.map(({ Action }) => list(Action).map((one) => one.toLowerCase()))
  const groups = new Map<string, string[]>()
  for (const action of actions) {
    const lower = action.toLowerCase()
    const key = patterns.map((some) => (some.some((one) => globMatches(one, lower)) ? 1 : 0)).join('')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [action])
    else group.push(action)
  }
  return [...groups.values()]
}
