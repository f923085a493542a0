import { z } from 'zod'

/** A kind of entry: what its body says, and what of people lies beside it. */
export interface BodyKind {
  readonly describe: string
  /** The whole body, strict. */
  readonly body: z.ZodObject
  /** What may stand in the personal part; absent where there never is one. */
  readonly personal?: z.ZodObject
}

export const instant = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$/)
export const hex = z.string().regex(/^[0-9a-f]{64}$/)
export const recordId = z.string().regex(/^[0-9a-z]{12}$/)
export const text = z.string().min(1)
export const names = z.array(text)
export const count = z.number().int().min(0)

export const agent = text.describe('name of the agent')
export const environment = text
export const operator = text.describe('name of the operator')
export const policyDigest = text.describe('names the policy set it was decided under')
export const permissionsSha256 = text.describe('SHA-256 of the permissions an approver sees')
export const requestKey = text.describe('id of the HTTP request, as in the answer and in our log lines')
export const issuer = text.describe('`iss` of the verified token')

/** Human, how known, subject, address, reason, ticket: whatever of these an agent's request brought. */
export const askingPersonal = {
  human: text.optional().describe('on whose behalf'),
  human_how: z.enum(['verified', 'issuer-asserted', 'self-claimed']).optional(),
  subject: text.describe('`sub` of the verified token'),
  source_ip: text.describe('address the request came from'),
  reason: z.string().describe("the agent's own words"),
  ticket: text.optional(),
}

/** A body of version 2: what every entry has, and what this kind adds. */
export function body(kind: string, fields: z.ZodRawShape): z.ZodObject {
  return z.strictObject({
    v: z.literal(2),
    index: count,
    at: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/),
    kind: z.literal(kind),
    personal: hex.optional().describe('SHA-256(0x03 ‖ salt ‖ personal part), where there is one'),
    ...fields,
  })
}
