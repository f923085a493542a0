import { z } from 'zod'
import { challengeAnswer } from './decision-schemas.js'
import { agentName, environmentName, instant, recordId, text } from './schemas.js'

export { signedDecision as closeBody } from './decision-schemas.js'

const stage = z.enum(['stop', 'assess', 'contain', 'recover'])
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const names = z.array(z.string()).readonly()
const roles = z.array(z.enum(['operator', 'approver', 'security', 'admin'])).readonly()

export const openBody = z.strictObject({
  agent: agentName,
  reason: text(500).describe('What happened, as far as is known'),
})

export const stepBody = z.strictObject({
  stage,
  note: text(2000).describe('What was done'),
  evidence: sha256
    .optional()
    .describe('At `assess`: evidence was collected; SHA-256 of its manifest, which closing signs'),
})
export const stepAnswer = z.object({ index: z.number().int(), at: instant })

export const closeChallengeBody = z.strictObject({
  evidence: sha256.describe('SHA-256 of the manifest of the evidence that you read'),
})
export const closeChallengeAnswer = challengeAnswer.omit({ personal: true, comment_salt: true })
export const closeAnswer = z.object({
  closed: z.boolean(),
  signed: z.number().int().describe('Different people who signed over this evidence'),
  needed: z.number().int(),
})

export const incidentQuery = {
  agent: agentName.optional(),
  state: z.enum(['open', 'closed']).optional(),
}

export const entriesQuery = z.strictObject({
  since: z.iso.datetime({ offset: true }).describe('Entries from then on, and what they stand on'),
  covering: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 48)
    .default(0)
    .describe('Entries that the checkpoint must have; 404 entry_not_covered before'),
})

export const incidentSummary = z.object({
  id: recordId,
  agent: z.string(),
  state: z.enum(['open', 'closed']),
  opened_at: instant,
  opened_by: z.string(),
  stop: z.string().describe('Id of the stop that holds the agent'),
  closed_at: instant.nullable(),
  closed_by: names.nullable(),
  evidence: z.string().nullable().describe('SHA-256 of the manifest of the evidence it was closed on'),
})

const deny = z.object({
  role: z.string(),
  kind: z.enum(['agent', 'human', 'issuance', 'role']),
  target: z.string(),
  asked_at: instant,
  written_at: instant.nullable().describe('When IAM had it, read back; null before'),
  widened: z.boolean().describe('Written for the whole role, for want of room'),
  ends: instant.describe('When the last session it is against is over by itself'),
})

const stopOfIncident = z.object({
  id: z.string(),
  engaged_at: instant,
  engaged_by: z.string().nullable(),
  automatic: z.boolean(),
  index: z.number().int(),
  cutoff: instant.describe('Sessions that AWS issued before this are to die'),
  approvals_needed: z.number().int(),
  signed_by: names,
  released_at: instant.nullable(),
  state: z.enum(['engaged', 'released']),
  issuance: z.enum(['blocked', 'open']),
  denies: z.object({
    asked: z.number().int(),
    written: z.number().int(),
    presumed: z.number().int(),
    over: z.number().int(),
  }),
  sessions: z.object({
    state: z.enum(['none', 'asked', 'written', 'presumed', 'over']),
    written_at: instant.nullable(),
    presumed_at: instant.nullable(),
  }),
})

export const incidentView = incidentSummary.omit({ stop: true }).extend({
  entry: z.number().int().describe('Index of the entry that opened it'),
  reason: z.string().nullable(),
  stop: stopOfIncident,
  denies: z.array(deny).readonly(),
  stages: z
    .array(
      z.object({
        stage,
        roles,
        names: names.describe('Operators with a document of their own who may; groups may have more'),
        takes: z.string(),
        outside: z.string().nullable(),
        steps: z
          .array(
            z.object({
              entry: z.number().int(),
              at: instant,
              by: z.string(),
              note: z.string().nullable(),
              evidence: z.string().nullable(),
            }),
          )
          .readonly(),
      }),
    )
    .readonly(),
  grants_again: z
    .array(z.object({ environment: environmentName, approvals: z.number().int(), names }))
    .readonly()
    .describe('Who may grant the agent something again, where that takes a human'),
  closing: z.object({
    needed: z.number().int(),
    roles,
    names,
    signed: z.array(z.object({ operator: z.string(), at: instant, evidence: z.string() })).readonly(),
  }),
  policy: z
    .object({
      digest: z.string(),
      owner: z.object({ kind: z.enum(['team', 'human']), name: z.string() }),
      environments: z
        .array(
          z.object({
            environment: z.string(),
            tier: z.string(),
            account: z.string(),
            regions: names,
            scopes: names,
          }),
        )
        .readonly(),
    })
    .nullable()
    .describe('The agent as policy has it now'),
  log_size: z.number().int().describe('Entries of the log when this was read'),
})
