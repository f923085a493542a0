import { z } from 'zod'
import { passkeyProof, sshProof } from '../proofs/schema.js'
import {
  agent,
  type BodyKind,
  body,
  count,
  environment,
  instant,
  issuer,
  names,
  operator,
  permissionsSha256,
  policyDigest,
  recordId,
  text,
} from './common.js'

const request_id = recordId.describe('the grant request')
const grant_id = recordId.describe('the grant')
const about = { agent, environment, request_id }
const pins = { policy_digest: policyDigest, permissions_sha256: permissionsSha256 }

/** What an operator proved with. Each kind of proof has its own fields. */
const proof = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('fresh-token'),
    issuer,
    subject: text.describe("the operator's own"),
    authenticated_at: instant,
    issued_at: instant,
  }),
  passkeyProof,
  sshProof,
])

const proofKind = z.enum(['fresh-token', 'passkey', 'ssh-sk'])
const onlyWhereSo = z.literal(true).optional()

const decision = (kind: string, describe: string, more: z.ZodRawShape = {}): BodyKind => ({
  describe,
  body: body(kind, { ...about, operator, ...pins, proof_kind: proofKind, proof, ...more }),
  personal: z.strictObject({
    comment: text,
    comment_salt: z
      .string()
      .regex(/^([0-9a-f]{2}){16,64}$/)
      .optional()
      .describe('of the hash that the signed document has of it'),
  }),
})

export const GRANT_BODIES: Readonly<Record<string, BodyKind>> = {
  'grant_request.opened': {
    describe: 'Somebody asks for what needs a human',
    body: body('grant_request.opened', {
      ...about,
      tier: z.enum(['sandbox', 'development', 'staging', 'production']),
      account: z.string().regex(/^\d{12}$/),
      role_arn: text,
      scopes: names,
      ...pins,
      permissions: z.array(z.unknown()).describe('the IAM statements a human decides on'),
      max_uses: count,
      valid_seconds: count,
      not_before: instant.optional(),
      expires_at: instant.describe('of the request'),
      max_session_seconds: count,
      approvals_needed: count,
      requested_by: text.describe('`agent:NAME` or `operator:NAME`'),
      barred_teams: names.describe('teams whose members may not approve'),
      destroys: z.boolean().optional().describe('whether a scope of it deletes'),
      signature_required: z
        .boolean()
        .optional()
        .describe('whether only signed decisions count; absent before there were any'),
    }),
    personal: z.strictObject({
      human: text.optional(),
      human_how: z.enum(['verified', 'issuer-asserted', 'self-claimed']).optional(),
      reason: text,
      ticket: text.optional(),
      barred_humans: names.optional().describe('humans who may not approve'),
    }),
  },
  'grant_request.approved': decision('grant_request.approved', 'One human allows it', {
    break_glass: onlyWhereSo.describe('alone, in an emergency, whatever number it takes otherwise'),
  }),
  'grant_request.denied': decision('grant_request.denied', 'One human refuses it, which ends the request'),
  'grant_request.withdrawn': {
    describe: 'Taken back by whoever asked, or by an operator',
    body: body('grant_request.withdrawn', { ...about, operator: operator.optional(), by: text }),
  },
  'grant_request.expired': {
    describe: 'Nobody decided in time',
    body: body('grant_request.expired', about),
  },
  'grant_request.refused': {
    describe: 'Asked for what policy denies anyway',
    body: body('grant_request.refused', {
      agent,
      environment,
      code: text,
      scopes: names,
      detail: text,
      policy_digest: policyDigest,
    }),
  },
  'grant.created': {
    describe: 'The last approval needed was given',
    body: body('grant.created', {
      ...about,
      grant_id,
      role_arn: text,
      scopes: names,
      ...pins,
      max_uses: count,
      not_before: instant,
      expires_at: instant,
      max_session_seconds: count,
      approved_by: names,
      break_glass: onlyWhereSo.describe('made by one human alone; somebody else has to review it'),
    }),
  },
  'grant.reviewed': {
    describe: 'Somebody else looked at a grant that was made by breaking the glass',
    body: body('grant.reviewed', {
      ...about,
      grant_id,
      operator,
      verdict: z.enum(['justified', 'not-justified']),
    }),
    personal: z.strictObject({ comment: text }),
  },
  'grant.revoked': {
    describe: 'No session is issued or delivered on it from here on',
    body: body('grant.revoked', { ...about, grant_id, operator, uses: count }),
    personal: z.strictObject({ reason: text }),
  },
}
