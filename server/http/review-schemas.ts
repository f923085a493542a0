import { isIP } from 'node:net'
import { z } from 'zod'
import { agentName, environmentName, recordId } from './schemas.js'

const issuanceState = z.enum(['intended', 'issued', 'failed', 'abandoned'])

const personalState = z
  .enum(['none', 'shown', 'erased', 'archived', 'altered'])
  .describe(
    '`erased` by `writ audit redact`; `archived`: the entry left the database; `altered` does not match the hash in the body, and is not shown',
  )

export const issuanceView = z.object({
  issuance: z.string(),
  entry: z.number().int(),
  at: z.string(),
  state: issuanceState,
  agent: z.string(),
  environment: z.string(),
  tier: z.string().nullable(),
  role: z.string(),
  sensitivity: z.string(),
  scopes: z.array(z.string()).readonly(),
  human: z.string().nullable(),
  human_how: z.string().nullable(),
  subject: z.string().nullable(),
  source_ip: z.string().nullable(),
  reason: z.string().nullable(),
  ticket: z.string().nullable(),
  personal_data: personalState,
  grant: z.string().nullable(),
  grant_use: z.number().int().nullable(),
  policy_digest: z.string(),
  access_key_id: z.string().nullable(),
  expires_at: z.string().nullable(),
  not_after: z.string(),
  error_code: z.string().nullable(),
})

export const eventView = z.object({
  index: z.number().int(),
  leaf_hash: z.string(),
  repeats: z.number().int().nullable(),
  body: z.record(z.string(), z.unknown()),
  personal_data: personalState,
  personal: z.record(z.string(), z.unknown()).nullable(),
})

export const pageOf = <T extends z.ZodType>(item: T) =>
  z.object({
    items: z.array(item).readonly(),
    next: z
      .string()
      .nullable()
      .describe('Goes into `before`; null after the last. A page may be short, or empty, and have a next'),
    total: z
      .object({ count: z.number().int(), exact: z.boolean() })
      .optional()
      .describe('Of all pages; counted up to 10,000, else estimated'),
  })

/** What the record could hold: PostgreSQL takes no NUL, and nothing else of this kind is ever recorded. */
const recorded = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'control characters are not allowed')

const network = z
  .string()
  .max(50)
  .refine(isNetwork, 'not an address or a CIDR block')
  .describe('Address the request came from, or a block that holds it: `192.0.2.1`, `192.0.2.0/24`')

function isNetwork(text: string): boolean {
  const [address = '', bits, ...more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || address.includes('%') || more.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}

const instant = z.iso.datetime({ offset: true })

const common = {
  agent: agentName.optional(),
  human: recorded.optional().describe('On whose behalf'),
  environment: environmentName.optional(),
  tier: z.enum(['sandbox', 'development', 'staging', 'production']).optional(),
  scope: z
    .string()
    .max(64)
    .regex(/^[a-z0-9-]+(:[a-z0-9-]+)*$/)
    .optional()
    .describe('Among the scopes asked for'),
  action: z
    .string()
    .max(128)
    .regex(/^[A-Za-z0-9-]+:[A-Za-z0-9]+$/, 'not the name of an IAM action, such as s3:PutObject')
    .optional()
    .describe('An IAM action that a scope asked for allows, also by a pattern'),
  role: z
    .string()
    .max(2048)
    .regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/[\w+=,.@/-]+$/, 'not the ARN of a role')
    .optional(),
  state: issuanceState.optional(),
  grant: recordId.optional(),
  access_key: recorded.optional(),
  network: network.optional(),
  code: recorded.optional(),
  since: instant.optional().describe('ISO 8601, inclusive'),
  until: instant.optional().describe('ISO 8601, exclusive'),
}

export const issuanceFilter = common

export const eventFilter = {
  kind: recorded.optional(),
  ...common,
  operator: recorded.optional(),
  issuance: recordId.optional(),
  request: recordId.optional().describe('A grant request'),
}

export const totalQuery = {
  total: z.stringbool().default(false).describe('also how many there are'),
}

export const exportQuery = {
  personal: z.stringbool().default(false).describe('also what the record says of people'),
}
