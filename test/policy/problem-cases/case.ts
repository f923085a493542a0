import type { ProblemCode } from '../../../server/policy/problems.js'
import { GOOD } from '../support.js'

/** One thing that can be wrong with a policy, and where and how it has to be told. */
export interface Case {
  readonly what: string
  /** File of the good set (or a new one) and its new text. */
  readonly file: string
  readonly text: string
  readonly code: ProblemCode
  readonly line: number
  readonly column?: number
  readonly says: RegExp
}

export const good = (file: string): string => GOOD[file] ?? ''
export const change = (file: string, from: string, to: string): string => {
  const text = good(file)
  if (!text.includes(from)) throw new Error(`${file} has no ${from}`)
  return text.replace(from, to)
}

export const scope = (body: string): string => `scope: extra:scope\ndescribe: Extra\nallow:\n${body}`
export const action = (pattern: string, resource = 'arn:aws:s3:::orders-{environment}/*'): string =>
  scope(`  - actions: ["${pattern}"]\n    resources: ["${resource}"]\n`)
export const condition = (operator: string, key: string, value: string): string =>
  scope(
    `  - actions: [s3:GetObject]\n    resources: ["arn:aws:s3:::orders/*"]\n    when:\n      ${operator}:\n        ${key}: ${value}\n`,
  )
export const claims = (matcher: string): string =>
  change('coder.yaml', 'claims: { repository_id: "4711" }', `claims:\n    repository_id: ${matcher}`)
export const bind = (blocks: string): string =>
  change(
    'coder.yaml',
    'scopes: [orders:read, orders:write]\n  prod',
    `scopes: [orders:read, orders:write]\n    bind: { network: ${blocks} }\n  prod`,
  )
