import type { Conditions } from '../types.js'
import { assertSupported, UnsupportedPolicyError } from './evaluate.js'

/**
 * Operators a scope may use: those that are evaluated here just as IAM does. The IfExists and ForAllValues
 * forms are left out on purpose: they hold when the key is absent, and so allow where they look like a limit.
 */
export const CONDITION_OPERATORS = [
  'StringEquals',
  'StringNotEquals',
  'StringEqualsIgnoreCase',
  'StringNotEqualsIgnoreCase',
  'StringLike',
  'StringNotLike',
  'NumericEquals',
  'NumericNotEquals',
  'NumericLessThan',
  'NumericLessThanEquals',
  'NumericGreaterThan',
  'NumericGreaterThanEquals',
  'DateEquals',
  'DateNotEquals',
  'DateLessThan',
  'DateLessThanEquals',
  'DateGreaterThan',
  'DateGreaterThanEquals',
  'Bool',
  'Null',
  'IpAddress',
  'NotIpAddress',
  'ArnEquals',
  'ArnNotEquals',
  'ArnLike',
  'ArnNotLike',
  'ForAnyValue:StringEquals',
  'ForAnyValue:StringLike',
] as const

type Written = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>

/** Lists everywhere, sorted: several values of a key mean any of them. */
export const toConditions = (written: Written | undefined): Conditions =>
  Object.fromEntries(
    Object.entries(written ?? {}).map(([operator, keys]) => [
      operator,
      Object.fromEntries(
        Object.entries(keys).map(([key, values]) => [
          key,
          typeof values === 'string' ? [values] : [...new Set(values)].sort(),
        ]),
      ),
    ]),
  )

/** Why a value cannot be compared, or undefined: a date that is none would fail at the request otherwise. */
export function conditionFlaw(operator: string, key: string, values: readonly string[]): string | undefined {
  const brace = values.find((value) => /[{}]/.test(value))
  if (brace !== undefined) return `templates and policy variables are not supported in ${brace}`
  try {
    const Condition = { [operator]: { [key]: values } }
    const statement = { Effect: 'Allow', Action: 's3:GetObject', Resource: '*', Condition } as const
    assertSupported({ Version: '2012-10-17', Statement: [statement] }, 'permissions')
    return undefined
  } catch (error) {
    if (error instanceof UnsupportedPolicyError) return error.message
    throw error
  }
}
