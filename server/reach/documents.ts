import { assertSupported, UnsupportedPolicyError } from '../policy/evaluate.js'
import type { PolicyDocument } from '../types.js'

export type Read =
  | { readonly ok: true; readonly document: PolicyDocument }
  | { readonly ok: false; readonly why: string }

/** A policy as IAM hands it out. What cannot be evaluated says why: nothing is guessed. */
export function readDocument(text: string, kind: 'permissions' | 'trust'): Read {
  try {
    const parsed: unknown = JSON.parse(text)
    if (!isObject(parsed)) return { ok: false, why: 'it is not an object' }
    const { Version, Statement } = parsed
    const statements: readonly unknown[] = Array.isArray(Statement) ? Statement : [Statement]
    if (!statements.every(isObject)) return { ok: false, why: 'its statements are not objects' }
    const document = {
      ...(Version === undefined ? {} : { Version }),
      Statement: statements.map(withTexts),
    } as unknown as PolicyDocument
    assertSupported(document, kind)
    return { ok: true, document }
  } catch (error) {
    if (error instanceof UnsupportedPolicyError) return { ok: false, why: error.message }
    if (error instanceof SyntaxError) return { ok: false, why: 'it is not JSON' }
    throw error
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** IAM also takes `true` and `5` where a condition compares with text. */
function withTexts(statement: Record<string, unknown>): Record<string, unknown> {
  const { Condition, ...rest } = statement
  if (Condition === undefined) return rest
  if (!isObject(Condition)) throw new UnsupportedPolicyError('Condition must be an object')
  return { ...rest, Condition: mapped(Condition, (keys) => mapped(fields(keys), texts)) }
}

const mapped = (from: Record<string, unknown>, to: (value: unknown) => unknown): Record<string, unknown> =>
  Object.fromEntries(Object.entries(from).map(([key, value]) => [key, to(value)]))

function fields(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw new UnsupportedPolicyError('a condition must name a key')
  return value
}

const texts = (value: unknown): unknown => (Array.isArray(value) ? value.map(String) : String(value))
