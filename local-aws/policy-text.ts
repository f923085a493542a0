import { assertSupported, UnsupportedPolicyError } from '../server/policy/evaluate.js'
import type { PolicyDocument } from '../server/types.js'
import { AwsFault } from './answer.js'

/** A policy as it was sent, byte for byte, and as it is evaluated. */
export interface PolicyText {
  readonly text: string
  readonly document: PolicyDocument
}

type Kind = 'permissions' | 'trust'

/** Throws MalformedPolicyDocument for what IAM refuses, and for grammar that is not supported here. */
export function parsePolicy(text: string, kind: Kind): PolicyText {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw malformed('This policy contains invalid Json')
  }
  const { Version, Id, Statement, ...rest } = record(parsed, 'policy')
  const unknown = Object.keys(rest)[0]
  if (unknown !== undefined) throw malformed(`Syntax errors in policy: ${unknown}`)
  if (Version !== undefined && typeof Version !== 'string')
    throw malformed('Syntax errors in policy: Version')
  if (Id !== undefined && typeof Id !== 'string') throw malformed('Syntax errors in policy: Id')
  const statements = (Array.isArray(Statement) ? Statement : [Statement]).map(statement)
  if (statements.length === 0) throw malformed('Syntax errors in policy: Statement')
  const ids = statements.flatMap(({ Sid }) => (Sid === undefined ? [] : [Sid]))
  if (ids.some((id) => typeof id !== 'string' || !/^[A-Za-z0-9]*$/.test(id)))
    throw malformed('Statement IDs (SID) must be alpha-numeric')
  if (new Set(ids).size !== ids.length)
    throw malformed('Statement IDs (SID) in a single policy must be unique')
  const document = {
    ...(Version === undefined ? {} : { Version }),
    Statement: statements,
  } as unknown as PolicyDocument
  try {
    assertSupported(document, kind)
  } catch (error) {
    if (error instanceof UnsupportedPolicyError) throw malformed(`Syntax errors in policy: ${error.message}`)
    throw error
  }
  return { text, document }
}

export const toPolicyText = (document: PolicyDocument, kind: Kind): PolicyText =>
  parsePolicy(JSON.stringify(document), kind)

const MAX_INLINE = 10_240
const MAX_TRUST = 2_048

const countedLength = ({ text }: PolicyText): number => text.replace(/\s/g, '').length

/** All inline policies of a role share 10,240 characters, white space not counted. Throws LimitExceeded. IAM quotas. */
export function checkInlineSize(role: string, policies: readonly PolicyText[]): void {
  if (policies.reduce((sum, policy) => sum + countedLength(policy), 0) > MAX_INLINE)
    throw new AwsFault(
      'LimitExceeded',
      409,
      `Maximum policy size of ${MAX_INLINE} bytes exceeded for role ${role}`,
    )
}

/** A trust policy has 2,048 characters unless a quota was raised. Throws LimitExceeded. IAM quotas. */
export function checkTrustSize(policy: PolicyText): void {
  if (countedLength(policy) > MAX_TRUST)
    throw new AwsFault('LimitExceeded', 409, `Cannot exceed quota for ACLSizePerRole: ${MAX_TRUST}`)
}

const malformed = (message: string): AwsFault => new AwsFault('MalformedPolicyDocument', 400, message)

function record(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed(`Syntax errors in policy: ${what}`)
  return value as Record<string, unknown>
}

/** Gives every field the shape `PolicyStatement` promises; what the fields say is checked afterwards. */
function statement(value: unknown): Record<string, unknown> {
  const { Condition, Principal, ...plain } = record(value, 'Statement')
  const fields: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(plain)) fields[name] = texts(field, name)
  if (Principal !== undefined)
    fields.Principal =
      typeof Principal === 'string' ? everyone(Principal) : each(Principal, 'Principal', texts)
  if (Condition !== undefined)
    fields.Condition = each(Condition, 'Condition', (block, name) => each(block, name, scalars))
  return fields
}

function everyone(principal: string): string {
  if (principal !== '*') throw malformed('Invalid principal in policy')
  return principal
}

const each = (value: unknown, what: string, convert: (one: unknown, name: string) => unknown): object =>
  Object.fromEntries(Object.entries(record(value, what)).map(([name, one]) => [name, convert(one, name)]))

function texts(value: unknown, what: string): string | string[] {
  const all = Array.isArray(value) ? value : [value]
  if (!all.every((one) => typeof one === 'string')) throw malformed(`Syntax errors in policy: ${what}`)
  return typeof value === 'string' ? value : all
}

/** Condition values may be JSON booleans and numbers. */
function scalars(value: unknown, what: string): string | string[] {
  const text = (one: unknown): unknown =>
    typeof one === 'boolean' || typeof one === 'number' ? String(one) : one
  return texts(Array.isArray(value) ? value.map(text) : text(value), what)
}
