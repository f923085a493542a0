import { z } from 'zod'
import {
  agent,
  askingPersonal,
  type BodyKind,
  body,
  count,
  environment,
  instant,
  issuer,
  names,
  permissionsSha256,
  policyDigest,
  recordId,
  requestKey,
  text,
} from './common.js'

const issuance_id = recordId.describe('the issuance: session name, tag and join key at AWS')
const grant_id = recordId.optional().describe('the grant it stands on')
const tier = z.enum(['sandbox', 'development', 'staging', 'production'])
const about = { agent, environment, issuance_id, grant_id }

export const ISSUANCE_BODIES: Readonly<Record<string, BodyKind>> = {
  'issuance.intended': {
    describe: 'A session is about to be asked for. Committed before AWS hears of it',
    body: body('issuance.intended', {
      ...about,
      tier,
      request: requestKey,
      account: z.string().regex(/^\d{12}$/),
      role_arn: text,
      sensitivity: z
        .enum(['read', 'write', 'production-write'])
        .describe('what the role is for; a production write stands on a grant'),
      scopes: names,
      policy_digest: policyDigest,
      permissions_sha256: permissionsSha256,
      session_policy: text
        .optional()
        .describe("the rendered session policy; in the personal part when it names the caller's address"),
      tags: z.record(text, text).describe('session tags, but `writ:human`'),
      source_identity: text,
      not_after: instant.describe('the session is over by then, whatever its duration says'),
      issuer,
      grant_use: count.optional(),
      grant_max: count.optional(),
    }),
    personal: z.strictObject({ ...askingPersonal, session_policy: text.optional() }),
  },
  'issuance.issued': {
    describe: 'AWS made the session. Committed before the credentials leave',
    body: body('issuance.issued', {
      ...about,
      access_key_id: text,
      expires_at: instant,
      assumed_role_arn: text,
      assumed_role_id: text,
      packed_policy_percent: count.optional(),
    }),
  },
  'issuance.failed': {
    describe: 'AWS made no session',
    body: body('issuance.failed', { ...about, code: text.describe('code of the error') }),
  },
  'issuance.abandoned': {
    describe: 'No outcome came in time (a crash, AWS hung): possibly minted, never handed out',
    body: body('issuance.abandoned', about),
  },
  'issuance.delivered': {
    describe: 'A session still alive was handed out again to the same agent for the same request',
    body: body('issuance.delivered', { ...about, request: requestKey }),
    personal: z.strictObject(askingPersonal),
  },
  'issuance.denied': {
    describe: 'A request was refused. Repeats shortly after are counted on this entry',
    body: body('issuance.denied', {
      agent,
      environment,
      tier: tier.optional().describe('absent when there is no such environment'),
      code: text,
      grant_id,
      request: requestKey,
      scopes: names,
      policy_digest: policyDigest,
      issuer,
      detail: text.optional(),
      // Refused by the database after we had allowed it: what would have been intended.
      account: text.optional(),
      role_arn: text.optional(),
      permissions_sha256: permissionsSha256.optional(),
      session_policy: text.optional(),
      tags: z.record(text, text).optional(),
      source_identity: text.optional(),
      not_after: instant.optional(),
    }),
    personal: z.strictObject({ ...askingPersonal, session_policy: text.optional() }),
  },
}
