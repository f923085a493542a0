import { type Kill, type OwnStatement, ownSize, statementsAfter } from './deny-statements.js'

/** All inline policies of a role together, white space not counted. IAM quotas. */
export const INLINE_LIMIT = 10_240

/** Name of the inline policy that the broker keeps its denies in. */
export const DENY_POLICY = 'writ-deny'

/** Begins the Sid of each statement that is the broker's; every other one is somebody else's. */
const OURS = 'Writ'

export interface Rendered {
  /** What the policy has to say; undefined where nothing is left in it. */
  readonly document: string | undefined
  /** Ids of kills that have become a cutoff for the whole role, for want of room. */
  readonly widened: ReadonlySet<number>
  /** That cutoff, ISO 8601 in whole seconds. */
  readonly widenedTo?: string
  /** False where there is no room even for that one statement. */
  readonly fits: boolean
}

interface Found {
  /** What stands beside `Statement`: another version would change what somebody else's variables mean. */
  readonly head: Readonly<Record<string, unknown>>
  readonly before: readonly unknown[]
  readonly after: readonly unknown[]
}

/**
 * What our inline policy of a role has to say so that every kill is hit. Pure.
 *
 * Each kill has the narrowest form there is. Where they do not fit, everything that began before some instant dies
 * instead, whoever's it is; that instant is the earliest that makes enough room, so that later sessions live.
 *
 * `found` is the policy's text now, undefined where there is none; statements in it that are not ours stay where they
 * are. `others` is the size of all other inline policies (`countedSize`). Throws `SyntaxError` where `found` is no JSON.
 */
export function renderDeny(kills: readonly Kill[], found: string | undefined, others: number): Rendered {
  const theirs = foreign(found)
  const room = INLINE_LIMIT - others
  const asked = latest(kills.filter(({ kind }) => kind === 'role'))
  const exact = statementsAfter(kills, asked)
  const done = (statements: readonly OwnStatement[], after: number): Rendered => {
    const document = write(theirs, statements)
    const wide = after > asked
    const widened = kills.filter(
      ({ kind, before }) => wide && kind !== 'role' && before > asked && before <= after,
    )
    return {
      document,
      widened: new Set(widened.map(({ id }) => id)),
      ...(wide ? { widenedTo: iso(after) } : {}),
      fits: (document ?? '').length <= room,
    }
  }
  // Sizes add up: the whole text is written once, not for every instant that is tried.
  const fixed = write(theirs, [])?.length ?? 40
  const cutoffs = [...new Set(kills.map(({ before }) => before).filter((before) => before > asked))].sort(
    (a, b) => a - b,
  )
  if (fixed + ownSize(exact) <= room || cutoffs.length === 0) return done(exact, asked)
  let [low, high] = [0, cutoffs.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (fixed + ownSize(statementsAfter(kills, cutoffs[middle] ?? 0)) <= room) high = middle
    else low = middle + 1
  }
  const after = cutoffs[low] ?? asked
  return done(statementsAfter(kills, after), after)
}

/** What is ours in a policy, in a form that is the same for the same statements, however they are laid out. */
export function oursIn(document: string | undefined): string | undefined {
  const ours = statementsOf(document).filter(isOurs)
  return ours.length === 0 ? undefined : JSON.stringify(ours.map(sorted))
}

/** Characters of a policy as IAM counts them: without white space; what stands in quotes counts whole. */
export function countedSize(document: string): number {
  return document.replace(/"(?:[^"\\]|\\.)*"|\s+/g, (part) => (part.startsWith('"') ? part : '')).length
}

function write({ head, before, after }: Found, ours: readonly OwnStatement[]): string | undefined {
  const Statement = [...before, ...ours, ...after]
  if (Statement.length === 0) return undefined
  // IAM takes U+0020 to U+00FF only, and names are in every script.
  return JSON.stringify({ ...head, Statement }).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function foreign(document: string | undefined): Found {
  const all = statementsOf(document)
  const theirs = all.filter((one) => !isOurs(one))
  if (document === undefined || theirs.length === 0)
    return { head: { Version: '2012-10-17' }, before: [], after: [] }
  const { Statement: _, ...head } = JSON.parse(document) as Record<string, unknown>
  const at = all.findIndex(isOurs)
  const before = at === -1 ? theirs : theirs.slice(0, at)
  return { head, before, after: theirs.slice(before.length) }
}

function statementsOf(document: string | undefined): readonly unknown[] {
  if (document === undefined) return []
  const { Statement = [] } = JSON.parse(document) as { readonly Statement?: unknown }
  return Array.isArray(Statement) ? Statement : [Statement]
}

const isOurs = (statement: unknown): boolean =>
  typeof statement === 'object' &&
  statement !== null &&
  'Sid' in statement &&
  typeof statement.Sid === 'string' &&
  statement.Sid.startsWith(OURS)

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, one]) => [key, sorted(one)]))
}

const latest = (kills: readonly Kill[]): number =>
  Math.max(Number.NEGATIVE_INFINITY, ...kills.map(({ before }) => before))

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
