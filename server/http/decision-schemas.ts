import { z } from 'zod'
import { instant, recordId, text } from './schemas.js'

const tokenDecision = z
  .strictObject({
    decision: z.enum(['approve', 'deny']),
    comment: text(500).optional(),
    policy_digest: z.string().max(80).describe('As shown: pins the decision to what you saw'),
    permissions_sha256: z.string().max(80).describe('As shown: pins the decision to what you saw'),
  })
  .describe('By a fresh token alone; not in production')

const bytes = z
  .string()
  .max(4096)
  .regex(/^[A-Za-z0-9_-]+$/)
  .describe('base64url')

export const signedDecision = z
  .strictObject({
    challenge: recordId.describe('From `/challenge`; used once'),
    proof: z.discriminatedUnion('kind', [
      z.strictObject({
        kind: z.literal('passkey'),
        key_id: bytes,
        client_data: bytes,
        authenticator_data: bytes,
        signature: bytes,
      }),
      z.strictObject({
        kind: z.literal('ssh-sk'),
        key_id: z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/),
        signature: z
          .string()
          .max(8192)
          .regex(/^[A-Za-z0-9+/]+={0,2}$/)
          .describe('base64, between the armour lines of `ssh-keygen -Y sign`'),
      }),
    ]),
  })
  .describe('Signed by a key of the operator’s own')

export const decisionBody = z.union([signedDecision, tokenDecision])

export const challengeBody = z.strictObject({
  decision: z.enum(['approve', 'deny']),
  comment: text(500).optional(),
  break_glass: z.boolean().optional().describe('For the few that the environment names; needs a comment'),
})

export const challengeAnswer = z.object({
  challenge: z.string(),
  document: z.string().describe('What is to be signed: canonical JSON (RFC 8785)'),
  expires_at: instant,
  personal: z
    .object({ text: z.string(), salt: z.string() })
    .nullable()
    .describe('What `personal` in the document is the hash of; salt in hex'),
  comment_salt: z.string().nullable(),
  keys: z
    .array(
      z.object({
        id: z.string(),
        kind: z.enum(['passkey', 'ssh-sk']),
        transports: z.array(z.string()).readonly(),
      }),
    )
    .readonly(),
  webauthn: z
    .object({
      challenge: z.string(),
      rp_id: z.string(),
      allow_credentials: z
        .array(z.object({ id: z.string(), transports: z.array(z.string()).readonly() }))
        .readonly(),
      user_verification: z.literal('required'),
      timeout_ms: z.number().int(),
    })
    .describe('For `navigator.credentials.get`'),
})
