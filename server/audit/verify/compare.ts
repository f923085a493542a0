import { canonicalText } from '../proofs/document.js'
import type { LogEntry } from './entry.js'

/** Fields of entries as what they have to be: an entry may say anything, and what is no text equals none. */
export const text = (value: unknown): string => (typeof value === 'string' ? value : '')
/** NaN is neither below nor above anything. */
export const number = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN)
/** Milliseconds; NaN for what is no instant. */
export const instant = (value: unknown): number => Date.parse(text(value))

/** Whatever the order of fields: the database writes them in its own. */
export function equal(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object') return a === b
  try {
    return canonicalText(a) === canonicalText(b)
  } catch {
    return false
  }
}

/** Whether both say these fields, and the same. */
export const same = (a: LogEntry, b: LogEntry, fields: readonly string[]): boolean =>
  fields.every((field) => a[field] !== undefined && equal(a[field], b[field]))

/** In any order: the database sorts by its own collation. */
export const sameSet = (list: unknown, set: ReadonlySet<string>): boolean =>
  Array.isArray(list) && list.length === set.size && list.every((one) => set.has(text(one)))
