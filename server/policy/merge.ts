import type { PolicyStatement } from '../types.js'
import { canonicalJson } from './canonical.js'
import { globCovers } from './glob.js'

/** An Allow with its lists as sets of text; conditions are compared by their canonical JSON. */
interface Rule {
  readonly actions: readonly string[]
  readonly resources: readonly string[]
  readonly condition: string
}

/**
 * The smallest form found that permits exactly what the statements permit together. Two statements become one
 * only where their actions or their resources are the same: uniting both lists at once would allow
 * combinations that neither did. The result does not depend on the order of anything.
 */
export function mergeStatements(statements: readonly PolicyStatement[]): readonly PolicyStatement[] {
  const rules = tidy(
    statements.map((one) => ({
      actions: texts(one.Action),
      resources: texts(one.Resource),
      condition: canonicalJson(sortedConditions(one.Condition ?? {})),
    })),
  )
  // Neither way is always the shorter: pairing up keeps overlapping blocks whole, splitting finds blocks
  // that the documents had cut differently.
  const candidates = [pairUp(rules), splitBy(rules, 'resources'), splitBy(rules, 'actions')].map((one) =>
    print(one),
  )
  return candidates.reduce((best, one) => (shorter(one, best) ? one : best))
}

function shorter(a: readonly PolicyStatement[], b: readonly PolicyStatement[]): boolean {
  const [left, right] = [JSON.stringify(a), JSON.stringify(b)]
  return left.length < right.length || (left.length === right.length && left < right)
}

function pairUp(rules: readonly Rule[]): readonly Rule[] {
  let current = rules
  for (;;) {
    const next = tidy(unite(unite(current, 'actions'), 'resources'))
    if (next.length === current.length) return next
    current = next
  }
}

/** Cuts everything into single pairs, then unites again beginning with the other list. */
function splitBy(rules: readonly Rule[], list: 'actions' | 'resources'): readonly Rule[] {
  const other = list === 'actions' ? 'resources' : 'actions'
  const split = rules.flatMap((rule) => rule[list].map((one) => ({ ...rule, [list]: [one] })))
  return pairUp(unite(unite(split, other), list))
}

/** One rule for all that agree in everything but this list. */
function unite(rules: readonly Rule[], list: 'actions' | 'resources'): readonly Rule[] {
  const groups = new Map<string, Rule>()
  for (const rule of rules) {
    const key = canonicalJson({ ...rule, [list]: [] })
    const known = groups.get(key)
    groups.set(key, known === undefined ? rule : { ...known, [list]: [...known[list], ...rule[list]] })
  }
  return [...groups.values()].map((rule) => ({ ...rule, [list]: minimal(rule[list], list === 'actions') }))
}

/** Sorted, without members and rules that another one covers. */
function tidy(rules: readonly Rule[]): readonly Rule[] {
  const sorted = rules
    .map((rule) => ({
      ...rule,
      actions: minimal(rule.actions, true),
      resources: minimal(rule.resources, false),
    }))
    .map((rule) => ({ rule, key: canonicalJson(rule) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ rule }) => rule)
  return sorted.filter(
    (rule, n) =>
      !sorted.some((other, m) => n !== m && ruleCovers(other, rule) && (!ruleCovers(rule, other) || m < n)),
  )
}

/** A rule without conditions covers the same with some; different conditions are never compared. */
function ruleCovers(wide: Rule, narrow: Rule): boolean {
  return (
    (wide.condition === narrow.condition || wide.condition === '{}') &&
    narrow.actions.every((one) => wide.actions.some((other) => covers(other, one, true))) &&
    narrow.resources.every((one) => wide.resources.some((other) => covers(other, one, false)))
  )
}

/** IAM compares actions without regard to case, resources with it. */
const covers = (wide: string, narrow: string, ignoreCase: boolean): boolean =>
  ignoreCase ? globCovers(wide.toLowerCase(), narrow.toLowerCase()) : globCovers(wide, narrow)

function minimal(list: readonly string[], ignoreCase: boolean): readonly string[] {
  const sorted = [...new Set(list)].sort()
  return sorted.filter(
    (one, n) =>
      !sorted.some(
        (other, m) => n !== m && covers(other, one, ignoreCase) && (!covers(one, other, ignoreCase) || m < n),
      ),
  )
}

const texts = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value

type StatementConditions = NonNullable<PolicyStatement['Condition']>

/** Several values of a key mean any of them, so their order says nothing. */
function sortedConditions(conditions: StatementConditions): StatementConditions {
  return Object.fromEntries(
    Object.entries(conditions).map(([operator, keys]) => [
      operator,
      Object.fromEntries(
        Object.entries(keys).map(([key, values]) => [key, oneOrMany([...new Set(texts(values))].sort())]),
      ),
    ]),
  )
}

const oneOrMany = (values: readonly string[]): string | readonly string[] => {
  const [only, ...more] = values
  return only !== undefined && more.length === 0 ? only : values
}

const print = (rules: readonly Rule[]): readonly PolicyStatement[] =>
  rules.map((rule) => ({
    Effect: 'Allow',
    Action: oneOrMany(rule.actions),
    Resource: oneOrMany(rule.resources),
    ...(rule.condition === '{}' ? {} : { Condition: JSON.parse(rule.condition) as StatementConditions }),
  }))
