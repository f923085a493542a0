import ipaddr from 'ipaddr.js'
import type { PolicyStatement } from '../types.js'

/** What a request is known by: condition key → values. Keys are compared without regard to case; no values means absent. */
export type RequestContext = Readonly<Record<string, readonly string[]>>

/** A context ready for look-ups. Built by `lookup`. */
export type Context = ReadonlyMap<string, readonly string[]>

/** A document uses something this evaluator does not know. Guessing could widen it, so nothing is answered. */
export class UnsupportedPolicyError extends Error {
  override readonly name = 'UnsupportedPolicyError'
}

export const list = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value

/** `*` any run of characters, `?` exactly one. Two cursors, no regular expression: nothing to inject, no blow-up. */
export function globMatches(pattern: string, text: string): boolean {
  let at = 0
  let star = -1
  let resume = 0
  let from = 0
  while (from < text.length) {
    if (pattern[at] === '*') {
      star = at++
      resume = from
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === text[from])) {
      at++
      from++
    } else if (star >= 0) {
      at = star + 1
      from = ++resume
    } else return false
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}

type Test = (wanted: string, actual: string) => boolean

const ORDER = {
  Equals: (actual: number, wanted: number) => actual === wanted,
  LessThan: (actual: number, wanted: number) => actual < wanted,
  LessThanEquals: (actual: number, wanted: number) => actual <= wanted,
  GreaterThan: (actual: number, wanted: number) => actual > wanted,
  GreaterThanEquals: (actual: number, wanted: number) => actual >= wanted,
}

const ordered = (family: string, parse: (text: string) => number): [string, Test][] =>
  Object.entries(ORDER).map(([name, holds]) => [`${family}${name}`, (w, a) => holds(parse(a), parse(w))])

const POSITIVE: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['StringEquals', (wanted, actual) => wanted === actual],
  ['StringEqualsIgnoreCase', (wanted, actual) => wanted.toLowerCase() === actual.toLowerCase()],
  ['StringLike', globMatches],
  ['Bool', (wanted, actual) => parseBool(wanted) === parseBool(actual)],
  ['IpAddress', inNetwork],
  ['ArnEquals', arnMatches],
  ['ArnLike', arnMatches],
  ...ordered('Date', parseDate),
  ...ordered('Numeric', parseNumber),
])

/** Negated operators hold when the key is absent; with several values, when none of them matches. */
const NEGATED: ReadonlyMap<string, string> = new Map([
  ['StringNotEquals', 'StringEquals'],
  ['StringNotEqualsIgnoreCase', 'StringEqualsIgnoreCase'],
  ['StringNotLike', 'StringLike'],
  ['NotIpAddress', 'IpAddress'],
  ['ArnNotEquals', 'ArnEquals'],
  ['ArnNotLike', 'ArnLike'],
  ['DateNotEquals', 'DateEquals'],
  ['NumericNotEquals', 'NumericEquals'],
])

interface Operator {
  readonly test: Test | 'null'
  readonly negated: boolean
  readonly ifExists: boolean
  readonly set?: string | undefined
}

/** `ForAnyValue:StringLikeIfExists` and the like. Throws on what it does not know: no condition is ever ignored. */
function operatorOf(name: string): Operator {
  const [, set, bare = '', ifExists] = /^(?:(ForAllValues|ForAnyValue):)?(.*?)(IfExists)?$/.exec(name) ?? []
  const negates = NEGATED.get(bare)
  const test = bare === 'Null' ? 'null' : POSITIVE.get(negates ?? bare)
  if (test === undefined || (test === 'null' && (set !== undefined || ifExists !== undefined)))
    throw new UnsupportedPolicyError(`condition operator ${name} is not supported`)
  return { test, negated: negates !== undefined, ifExists: ifExists !== undefined, set }
}

export const lookup = (context: RequestContext): Context => {
  const found = new Map<string, readonly string[]>()
  for (const [key, values] of Object.entries(context))
    found.set(key.toLowerCase(), [...(found.get(key.toLowerCase()) ?? []), ...values])
  return found
}

/** Whether every condition of a statement holds; throws UnsupportedPolicyError. IAM User Guide, "Condition operators". */
export function conditionsHold(statement: PolicyStatement, context: Context): boolean {
  return Object.entries(statement.Condition ?? {}).every(([name, keys]) => {
    const operator = operatorOf(name)
    return Object.entries(keys).every(([key, wanted]) =>
      holds(operator, list(wanted), context.get(key.toLowerCase()) ?? [], key),
    )
  })
}

function holds(
  operator: Operator,
  wanted: readonly string[],
  actual: readonly string[],
  key: string,
): boolean {
  const { test, negated, ifExists, set } = operator
  if (test === 'null') return wanted.some((value) => parseBool(value) === (actual.length === 0))
  if (actual.length === 0) return ifExists || set === 'ForAllValues' || (set === undefined && negated)
  const one = (value: string): boolean => wanted.some((w) => test(w, value)) !== negated
  if (set === 'ForAllValues') return actual.every(one)
  if (set === undefined && actual.length > 1)
    throw new UnsupportedPolicyError(`${key} has several values: use ForAllValues or ForAnyValue`)
  return actual.some(one)
}

function parseBool(text: string): boolean {
  const lower = text.toLowerCase()
  if (lower !== 'true' && lower !== 'false') throw new UnsupportedPolicyError(`${text} is not true or false`)
  return lower === 'true'
}

function parseNumber(text: string): number {
  if (!/^-?\d+(\.\d+)?$/.test(text)) throw new UnsupportedPolicyError(`${text} is not a number`)
  return Number(text)
}

/** ISO 8601 with a zone, a plain date, or seconds since 1970. */
function parseDate(text: string): number {
  if (/^\d{9,11}$/.test(text)) return Number(text) * 1000
  const iso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text)
  const at = iso ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at)) throw new UnsupportedPolicyError(`${text} is not a date`)
  return at
}

/** Strict spellings only: `010.1` or `127.1` mean different networks to different parsers. */
function parseIp(text: string): ipaddr.IPv4 | ipaddr.IPv6 {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text))
    throw new UnsupportedPolicyError(`${text} is not an IP address`)
  return ipaddr.process(text)
}

function parseNetwork(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const address = parseIp(text.split('/')[0] ?? '')
  if (!text.includes('/')) return [address, address.kind() === 'ipv4' ? 32 : 128]
  if (!ipaddr.isValidCIDR(text)) throw new UnsupportedPolicyError(`${text} is not a network`)
  return ipaddr.parseCIDR(text)
}

function inNetwork(network: string, text: string): boolean {
  const address = parseIp(text)
  const [base, bits] = parseNetwork(network)
  return address.kind() === base.kind() && address.match([base, bits])
}

/** Each of the six parts on its own, so that a `*` in one cannot swallow the next. */
function arnMatches(pattern: string, arn: string): boolean {
  const parts = (text: string): string[] => [...text.split(':', 5), text.split(':').slice(5).join(':')]
  const actual = parts(arn)
  return parts(pattern).every((part, n) => globMatches(part, actual[n] ?? ''))
}

/**
 * Checks operators and values before any request does, and returns every text in them, for the caller to
 * look for policy variables. Throws UnsupportedPolicyError.
 */
export function checkConditions(conditions: NonNullable<PolicyStatement['Condition']>): readonly string[] {
  const texts: string[] = []
  for (const [name, keys] of Object.entries(conditions)) {
    const { test } = operatorOf(name)
    for (const [key, wanted] of Object.entries(keys)) {
      if (list(wanted).length === 0) throw new UnsupportedPolicyError(`${name} ${key} has no value`)
      texts.push(key, ...list(wanted))
      for (const value of list(wanted)) {
        if (test === 'null') parseBool(value)
        else if (test === inNetwork) parseNetwork(value)
        // Comparing a value with itself parses it: a date that is none is found here, not at the request.
        else test(value, value)
      }
    }
  }
  return texts
}
