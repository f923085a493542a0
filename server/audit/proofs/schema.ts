import { z } from 'zod'

/** All documents and both proofs, strict: years later nobody can ask what an unknown field was to mean. */

const text = z.string().min(1).max(2048)
const hex = z.string().regex(/^[0-9a-f]{64}$/)
const recordId = z.string().regex(/^[0-9a-z]{12}$/)
const count = z.number().int().min(0)
const base64url = (max: number) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/)
    .max(max)

/** ISO 8601 UTC with milliseconds, and a day that there is. */
const instant = z
  .string()
  .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  .refine(isInstant)

function isInstant(value: string): boolean {
  const at = Date.parse(value)
  return !Number.isNaN(at) && new Date(at).toISOString() === value
}

/** As `URL` writes it: scheme and host, and a port only where it is not the usual one. */
const origin = text.refine(
  (value) => /^https?:\/\//.test(value) && URL.canParse(value) && new URL(value).origin === value,
)

const signing = {
  origin,
  rp_id: z
    .string()
    .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/)
    .max(253),
  nonce: z.string().regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/),
  issued_at: instant,
  expires_at: instant,
}

const oneOrMore = z.union([z.string(), z.array(z.string())])
const statement = z.strictObject({
  Sid: z.string().optional(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: z.union([z.literal('*'), z.record(z.string(), oneOrMore)]).optional(),
  Action: oneOrMore,
  Resource: oneOrMore.optional(),
  Condition: z.record(z.string(), z.record(z.string(), oneOrMore)).optional(),
})

const decisionDocument = z.strictObject({
  type: z.literal('writ.decision.v1'),
  ...signing,
  decision: z.enum(['approve', 'deny']),
  approver: text,
  request: recordId,
  request_leaf: hex,
  personal: hex.nullable(),
  agent: text,
  environment: text,
  tier: z.enum(['sandbox', 'development', 'staging', 'production']),
  account: z.string().regex(/^\d{12}$/),
  role_arn: text,
  scopes: z.array(text).min(1),
  permissions: z.array(statement),
  permissions_sha256: text,
  policy_digest: text,
  max_uses: count,
  valid_seconds: count,
  max_session_seconds: count,
  // As the database writes it.
  not_before: z
    .string()
    .regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$/)
    .nullable(),
  network: z.union([z.literal('caller'), z.array(text), z.null()]),
  approvals_needed: count,
  break_glass: z.boolean(),
  comment: hex.nullable(),
})

const keyKind = z.enum(['passkey', 'ssh-sk'])

const vouchDocument = z.strictObject({
  type: z.literal('writ.vouch.v1'),
  ...signing,
  voucher: text,
  operator: text,
  proposal: recordId,
  key_id: text,
  key_kind: keyKind,
  public_key: text,
  label: text,
})

const releaseDocument = z.strictObject({
  type: z.literal('writ.release.v1'),
  ...signing,
  operator: text,
  stop: recordId,
  stops: z.enum(['agent', 'human', 'environment', 'account', 'everything']),
  name: z.string().max(2048).nullable(),
  stop_leaf: hex,
  approvals_needed: count,
})

const closeDocument = z.strictObject({
  type: z.literal('writ.close.v1'),
  ...signing,
  operator: text,
  incident: recordId,
  agent: text,
  incident_leaf: hex,
  evidence: hex,
})

export const signedDocument = z.discriminatedUnion('type', [
  decisionDocument,
  vouchDocument,
  releaseDocument,
  closeDocument,
])

const document = z.string().min(16).max(65_536)

export const passkeyProof = z.strictObject({
  kind: z.literal('passkey'),
  document,
  key_id: base64url(1400),
  public_key: base64url(2048),
  client_data: base64url(8192),
  authenticator_data: base64url(8192),
  signature: base64url(1024),
})

export const sshProof = z.strictObject({
  kind: z.literal('ssh-sk'),
  document,
  key_id: z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/),
  public_key: z
    .string()
    .regex(/^sk-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}$/)
    .max(2048),
  signature: z
    .string()
    .regex(/^[A-Za-z0-9+/]+={0,2}$/)
    .max(8192),
})

export const anyProof = z.discriminatedUnion('kind', [passkeyProof, sshProof])
