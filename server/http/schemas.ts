import { z } from 'zod'
import { limitsView } from './pace-view.js'

/** Text a human reads: no control characters, so that it cannot forge a log line or a terminal's screen. */
export const text = (most: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(most)
    .regex(/^[^\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u, 'control characters are not allowed')

export const environmentName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,31}$/)
  .describe('Name of an environment, as in its document')
export const agentName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/)
/** Wider than names of scopes are: who asks for `iam:CreateUser` is to be told, and counted, not corrected. */
const scopeName = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+)*$/)
export const recordId = z.string().regex(/^[0-9a-hjkmnp-tv-z]{12}$/)
export const scopeList = z
  .array(scopeName)
  .min(1)
  .max(20)
  .transform((names) => [...new Set(names)].sort())
export const instant = z.string().describe('ISO 8601, UTC')
const seconds = (most: number) => z.number().int().min(60).max(most)

const asked = {
  environment: environmentName,
  scopes: scopeList.describe('What the session must be able to do'),
  ttl: seconds(43_200)
    .optional()
    .describe('Seconds the session should last; shortened to what policy allows'),
  reason: text(500).describe('Why, in words a reviewer understands'),
  ticket: text(100).optional().describe('Reference to a ticket'),
}

const onBehalfOf = text(200)
  .optional()
  .describe(
    'The human the agent says it acts for. Recorded as self-claimed; never authorises anything and never enters AWS',
  )

export const credentialsBody = z.strictObject({
  ...asked,
  session: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/)
    .optional()
    .describe('A label of your own: another label is another session'),
  on_behalf_of: onBehalfOf,
})

export const credentialsAnswer = z.object({
  issuance: z.string().describe('Id of this issuance: the session name in CloudTrail'),
  entry: z.number().int().describe('Index of the entry in the log that records this answer'),
  delivered_again: z.boolean().describe('Whether this is a live session handed out again'),
  credentials: z.object({
    access_key_id: z.string(),
    secret_access_key: z.string(),
    session_token: z.string(),
    expires_at: instant,
  }),
  agent: z.string(),
  environment: z.string(),
  tier: z.string(),
  account: z.string(),
  regions: z.array(z.string()),
  role: z.string(),
  scopes: z.array(z.string()),
  may: z.array(z.unknown()).describe('The Allow statements of the session policy'),
  bound_to: z.array(z.string()).optional().describe('CIDR blocks the session works from'),
  grant: z.string().optional(),
  notice: z.string().optional().describe('Set in local mode: these credentials work on this machine only'),
})

export const containerAnswer = z.object({
  AccessKeyId: z.string(),
  SecretAccessKey: z.string(),
  Token: z.string(),
  Expiration: instant,
  AccountId: z.string(),
})

export const grantRequestBody = z.strictObject({
  ...asked,
  uses: z.number().int().min(1).max(1000).default(1).describe('How many sessions may be minted on the grant'),
  valid_for: seconds(604_800)
    .default(3600)
    .describe('Seconds the grant lives from its approval or from not_before'),
  not_before: z.iso.datetime().optional(),
  on_behalf_of: onBehalfOf,
})

export const unaskedGrantBody = grantRequestBody.omit({ on_behalf_of: true }).extend({ agent: agentName })

export const decisionAnswer = z.object({
  state: z.string(),
  grant_id: z.string().nullable(),
  approvals: z.number().int(),
})

export const revokeBody = z.strictObject({ reason: text(500) })

const statement = z.unknown().describe('An IAM policy statement')

export const grantRequestView = z.object({
  id: z.string(),
  state: z.enum(['pending', 'granted', 'denied', 'withdrawn', 'expired']),
  created_at: instant,
  expires_at: instant,
  closed_at: instant.nullable(),
  agent: z.string(),
  environment: z.string(),
  account: z.string(),
  role_arn: z.string(),
  scopes: z.array(z.string()).readonly(),
  reason: z.string().nullable().describe('Written by the agent; null once erased'),
  ticket: z.string().nullable(),
  on_behalf_of: z.object({ human: z.string(), how: z.string() }).nullable(),
  requested_by: z.string(),
  policy_digest: z.string(),
  permissions: z.array(statement).readonly(),
  permissions_sha256: z.string(),
  max_uses: z.number().int(),
  valid_seconds: z.number().int(),
  not_before: instant.nullable(),
  max_session_seconds: z.number().int(),
  approvals_needed: z.number().int(),
  destroys: z.boolean().describe('Whether a scope deletes; true also where that is not known'),
  signature_required: z.boolean().describe('A token alone decides nothing here'),
  break_glass: z.boolean().describe('Granted by one human alone, in an emergency'),
  decisions: z
    .array(
      z.object({
        operator: z.string(),
        decision: z.enum(['approve', 'deny']),
        at: instant,
        comment: z.string().nullable(),
        proof_kind: z.string(),
        key_id: z.string().nullable().describe('The key that signed'),
        break_glass: z.boolean(),
      }),
    )
    .readonly(),
  grant_id: z.string().nullable(),
})

export const grantView = z.object({
  id: z.string(),
  request_id: z.string(),
  state: z.enum(['live', 'not-yet-valid', 'used-up', 'expired', 'revoked']),
  created_at: instant,
  agent: z.string(),
  environment: z.string(),
  scopes: z.array(z.string()).readonly(),
  policy_digest: z.string(),
  permissions_sha256: z.string(),
  uses: z.number().int(),
  max_uses: z.number().int(),
  not_before: instant,
  expires_at: instant,
  max_session_seconds: z.number().int(),
  approved_by: z.array(z.string()).readonly(),
  revoked_at: instant.nullable(),
  revoked_by: z.string().nullable(),
  revoke_reason: z.string().nullable(),
  break_glass: z.boolean().describe('Made by one human alone, in an emergency'),
  reviewed_at: instant.nullable().describe('When somebody else looked at a break-glass'),
})

export const whoamiAnswer = z.object({
  identity: z.object({
    issuer: z.string(),
    subject: z.string(),
    audience: z.string(),
    issued_at: instant,
    expires_at: instant,
    claims: z.record(z.string(), z.unknown()),
    on_behalf_of: z.object({ human: z.string(), how: z.string() }).optional(),
  }),
  agent: z.string(),
  owner: z.object({ kind: z.string(), name: z.string() }),
  status: z.string(),
  policy_digest: z.string(),
  environments: z.array(
    z.object({
      environment: z.string(),
      tier: z.string(),
      account: z.string(),
      regions: z.array(z.string()),
      stop: z.string().optional().describe('Id of the stop that holds for you here'),
      limits: limitsView,
      scopes: z.array(
        z.object({
          scope: z.string(),
          describe: z.string(),
          levels: z.array(z.string()),
          needs_grant: z.boolean(),
          possible: z.boolean(),
        }),
      ),
    }),
  ),
})

export const explainBody = credentialsBody.omit({ session: true, on_behalf_of: true }).extend({
  reason: asked.reason.default('explain'),
})

export const explainAnswer = z.object({
  outcome: z.enum(['allow', 'deny', 'needs-grant']),
  code: z.string().optional(),
  detail: z.string().optional(),
  next: z.string().optional(),
  role: z.string().optional(),
  duration_seconds: z.number().int().optional(),
  approvals_needed: z.number().int().optional(),
  grant: z.string().optional(),
  stop: z.string().optional().describe('Id of the stop that holds for you here'),
  limits: limitsView.optional(),
  retry_after_seconds: z.number().int().optional(),
  policy_digest: z.string(),
  session_policy: z.unknown().optional(),
  session_policy_characters: z.number().int().optional(),
})

/** Keyset pages: `next` goes into `before`. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(500).default(50),
  before: z.string().max(100).optional(),
}

export const problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    code: z.string().describe('Stable; docs/errors.md lists them all'),
    next: z.string().describe('What to do'),
    request: z.string().describe('Id of this request in the log of the broker'),
  })
  .catchall(z.unknown())
