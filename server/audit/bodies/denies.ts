import { z } from 'zod'
import {
  agent,
  type BodyKind,
  body,
  count,
  environment,
  hex,
  instant,
  operator,
  recordId,
  text,
} from './common.js'

const role_arn = text.describe('the role')
const kills = z
  .array(
    z.strictObject({
      kind: z.enum(['agent', 'human', 'issuance', 'role']),
      target: text.optional().describe('agent or issuance; absent for the whole role, and for a human'),
      cutoff: instant.optional().describe('sessions issued before; absent for an issuance'),
      widened: z.literal(true).optional().describe('as a cutoff for the whole role, for want of room'),
    }),
  )
  .describe('whose sessions')
const about = {
  environment: environment.optional(),
  agent: agent.optional().describe('where it is about one alone'),
  issuance_id: recordId.optional().describe('where it is about one alone'),
  grant_id: recordId.optional().describe('where it is about sessions of one grant alone'),
}
const document_sha256 = hex
  .optional()
  .describe('SHA-256 of the policy as it was put, as CloudTrail has it; absent where nothing was left of it')
const waited_ms = count.describe('since the first of them was asked for')

/** Killing sessions that are out. */
export const DENY_BODIES: Readonly<Record<string, BodyKind>> = {
  'issuance.revoked': {
    describe: 'From here on the session is handed to nobody, and its Deny is being written',
    body: body('issuance.revoked', {
      agent,
      environment,
      issuance_id: recordId,
      grant_id: recordId.optional(),
      operator,
      role_arn,
      cause: z.literal('grant').optional().describe('its grant was revoked'),
    }),
    personal: z.strictObject({ reason: text }),
  },
  'deny.written': {
    describe: 'IAM has the Deny: it was read back. It takes up to a minute until it holds everywhere',
    body: body('deny.written', {
      ...about,
      role_arn,
      kills,
      document_sha256,
      widened: z.literal(true).optional().describe('sessions that nobody asked about die too'),
      waited_ms,
    }),
  },
  'deny.failed': {
    describe: 'Sessions that are to die may still be alive: told after ten seconds, and every ten minutes',
    body: body('deny.failed', {
      ...about,
      role_arn,
      code: text.describe(
        '`deny_drifted`: somebody took it away again; `deny_pending`: no attempt has ended yet',
      ),
      unwritten: count.describe('kills that IAM does not have'),
      waited_ms,
    }),
  },
  'deny.removed': {
    describe: 'Every session of it has ended by itself, and the Deny is gone',
    body: body('deny.removed', { ...about, role_arn, kills, document_sha256 }),
  },
}
