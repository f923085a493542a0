import { z } from 'zod'
import { challengeAnswer } from './decision-schemas.js'
import { agentName, environmentName, instant, text } from './schemas.js'

const kind = z.enum(['agent', 'human', 'environment', 'account', 'everything'])

const NAMES = {
  agent: agentName,
  human: text(200),
  environment: environmentName,
  account: z.string().regex(/^\d{12}$/, 'twelve digits'),
  everything: z.literal('*'),
} as const

const CALLED = {
  agent: 'This is no name of an agent.',
  human: 'This is no name of a human.',
  environment: 'This is no name of an environment.',
  account: 'An account is twelve digits.',
  everything: 'Everything is called *.',
} as const

/** What is wrong with the name of a kind; undefined when nothing is. */
export const nameProblem = (of: z.output<typeof kind>, name: string): string | undefined =>
  NAMES[of].safeParse(name).success ? undefined : CALLED[of]

/** The name is the rest of the path: a human's can be longer than the router lets a named parameter be. */
export const stopTarget = z.object({ kind, '*': z.string().min(1).max(200) })

export const stopBody = z.strictObject({
  reason: text(500).describe('Why, for the record'),
  cause: z
    .string()
    .regex(/^[a-z]+:[A-Za-z0-9-]{1,64}$/)
    .optional()
    .describe('What it follows from, such as `incident:ID`'),
})

const count = z.number().int()

export const stopView = z.object({
  id: z.string(),
  kind,
  name: z.string().nullable().describe('Null for everything, and for a human who was erased'),
  engaged_at: instant,
  engaged_by: z.string().nullable().describe('Null where the broker did it by itself'),
  automatic: z.boolean(),
  index: count.describe('Of its entry in the log'),
  cutoff: instant.describe('Sessions issued before are to die; nothing is released before'),
  reason: z.string().nullable().describe('Null once erased'),
  cause: z.string().nullable().describe('What it follows from, such as `incident:ID`'),
  approvals_needed: count,
  signed_by: z.array(z.string()).readonly().describe('Who signed for its release'),
  released_at: instant.nullable(),
  state: z.enum(['engaged', 'released']),
  issuance: z.enum(['blocked', 'open']).describe('By this stop; another may be on the same'),
  denies: z
    .object({
      asked: count.describe('Roles and targets that a Deny is wanted for'),
      written: count.describe('IAM has it, or nothing of it is alive any more'),
      presumed: count.describe('For a minute already: presumed in effect everywhere'),
      over: count.describe('Every session of it ended by itself'),
      waiting: z
        .array(
          z.object({
            role: z.string(),
            problem: z
              .string()
              .nullable()
              .describe('Why the last attempt failed (docs/containment.md); null while none has'),
          }),
        )
        .readonly()
        .describe('Roles whose IAM does not have it yet, twenty at most'),
    })
    .describe('Denies in IAM'),
  sessions: z
    .object({
      state: z
        .enum(['none', 'asked', 'written', 'presumed', 'over'])
        .describe('How far the slowest deny has come; none where there is no role'),
      written_at: instant.nullable(),
      presumed_at: instant.nullable(),
    })
    .describe('Sessions that were out'),
})

export const stopsAnswer = z.object({ items: z.array(stopView).readonly(), next: z.string().nullable() })

export const releaseChallengeAnswer = challengeAnswer.omit({ personal: true, comment_salt: true })

export const releaseAnswer = z.object({
  released: z.boolean().describe('Whether it goes on now'),
  signed: count.describe('Different people who signed so far'),
  needed: count,
})
