import { z } from 'zod'
import { challengeAnswer, signedDecision } from './decision-schemas.js'
import { recordId } from './schemas.js'

const instant = z.string().describe('ISO 8601, UTC')

const bytes = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[A-Za-z0-9_-]+$/)
    .describe('base64url')

const label = z
  .string()
  .trim()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u, 'control characters are not allowed')
  .describe('What you call it, such as "blue key". In the record for ever: no name of a person')

/** A document's name, or a claim's: `alice`, `email:alice@example.com`. */
export const operatorName = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9][\x21-\x7e]*$/)
  .describe('Name of an operator')

export const keyId = z
  .string()
  .max(1400)
  .regex(/^([A-Za-z0-9_-]{16,}|SHA256:[A-Za-z0-9+/]{43})$/)
  .describe('Credential id in base64url, or fingerprint of an SSH key')

const credential = z
  .object({
    id: bytes(1400),
    rawId: bytes(1400),
    type: z.literal('public-key'),
    response: z.object({
      clientDataJSON: bytes(4096),
      attestationObject: bytes(48_000),
      transports: z
        .array(z.string().regex(/^[a-z-]{1,20}$/))
        .max(10)
        .optional(),
    }),
  })
  .describe('RegistrationResponseJSON (WebAuthn level 3, section 5.1); what else is in it is left out')

const code = z.string().min(1).max(100).describe('One-time code of `writ operators code`')
const challenge = recordId.describe('From the options; used once')

export const enrolOptionsBody = z.strictObject({ operator: operatorName, code })
export const enrolBody = z.strictObject({ operator: operatorName, code, challenge, credential, label })
export const enrolAnswer = z.object({ key_id: z.string() })

export const registrationAnswer = z.object({
  challenge: z.string().describe('Comes back with the credential'),
  expires_at: instant,
  options: z.unknown().describe('PublicKeyCredentialCreationOptionsJSON, for `navigator.credentials.create`'),
})

export const proposeBody = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('passkey'), challenge, credential, label }),
  z.strictObject({
    kind: z.literal('ssh-sk'),
    public_key: z
      .string()
      .min(1)
      .max(2048)
      .describe('The line of a .pub file: `sk-ssh-ed25519@openssh.com …`'),
    label,
  }),
])
export const proposeAnswer = z.object({ proposal: z.string(), key_id: z.string() })

const kind = z.enum(['passkey', 'ssh-sk'])

export const keyView = z.object({
  id: z.string(),
  operator: z.string(),
  kind,
  public_key: z.string().describe('COSE in base64url, or an SSH public key'),
  label: z.string(),
  aaguid: z.string().nullable().describe('Model of the authenticator, as it says'),
  transports: z.array(z.string()).readonly(),
  backed_up: z.boolean().nullable().describe('Whether it is synced to other devices'),
  added_at: instant,
  vouched_by: z.string().nullable().describe('Null: enrolled with a one-time code'),
  last_used_at: instant.nullable(),
  removed_at: instant.nullable(),
  removed_by: z.string().nullable(),
})

export const keysAnswer = z.object({ items: z.array(keyView).readonly() })

export const proposalsAnswer = z.object({
  items: z
    .array(
      keyView.pick({ operator: true, kind: true, public_key: true, label: true, aaguid: true }).extend({
        id: z.string(),
        key_id: z.string(),
        created_at: instant,
        expires_at: instant,
        may_vouch: z.boolean().describe('Whether you may vouch for it'),
      }),
    )
    .readonly(),
})

export const vouchChallengeAnswer = challengeAnswer.omit({ personal: true, comment_salt: true })
export const vouchBody = signedDecision
export const vouchAnswer = z.object({ operator: z.string(), key_id: z.string() })

export const removedAnswer = z.object({
  of: z.string().describe('Whose key it was'),
  left: z.number().int().describe('How many keys they still have; with none they need a code or a voucher'),
})

export const withdrawnAnswer = z.object({ proposal: z.string() })
export const removeBody = z.strictObject({ key_id: keyId })
export const ofOperator = z.object({ operator: operatorName.optional() })
export const proposalParams = z.object({ id: recordId })
