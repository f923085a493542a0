import { z } from 'zod'
import { agent, type BodyKind, body, count, environment, instant, recordId, text } from './common.js'

/** Every alarm there is. docs/alarms.md says of each when it is raised and what to do. */
export const ALARMS = [
  'break-glass',
  'checkpoint-late',
  'denied-burst',
  'deny-failed',
  'first-production-access',
  'new-network',
  'red-line-attempt',
  'silent-agent',
  'stop',
] as const

export type AlarmName = (typeof ALARMS)[number]

const onlyThere = (alarm: AlarmName, what: string): string => `${alarm}: ${what}`

export const ALARM_BODIES: Readonly<Record<string, BodyKind>> = {
  'alarm.raised': {
    describe: 'Something that a human should look at',
    body: body('alarm.raised', {
      alarm: z.enum(ALARMS),
      code: z.enum(ALARMS).describe('the same, so that `code` finds it'),
      cause: count.describe('index of the entry that raised it'),
      caused_at: instant.describe('when that entry was recorded; of checkpoint-late, when its time was over'),
      delay_ms: count.describe('from then to this entry, by the clock of the database'),
      agent: agent.optional(),
      environment: environment.optional(),
      tier: z.enum(['sandbox', 'development', 'staging', 'production']).optional(),
      issuance_id: recordId.optional(),
      request_id: recordId.optional(),
      grant_id: recordId.optional(),
      refused_with: text
        .optional()
        .describe(onlyThere('red-line-attempt', 'the code that the agent was refused with')),
      denials: count.optional().describe(onlyThere('denied-burst', 'how many at least')),
      within_seconds: count.optional().describe(onlyThere('denied-burst', 'in what time')),
      networks_known: count
        .optional()
        .describe(onlyThere('new-network', 'that the agent came from before; counted up to 1,000')),
      silent_days: count.optional().describe(onlyThere('silent-agent', 'whole days without a session')),
      role_arn: text.optional().describe(onlyThere('deny-failed', 'the role whose sessions are alive')),
      unwritten: count.optional().describe(onlyThere('deny-failed', 'how many denies it does not have')),
      failed_with: text.optional().describe(onlyThere('deny-failed', 'the code of the failure')),
      stop: recordId.optional().describe(onlyThere('stop', 'which')),
      stops: text.optional().describe(onlyThere('stop', 'what kind of thing is stopped')),
      origin: text.optional().describe(onlyThere('checkpoint-late', 'name of the log')),
    }),
    personal: z.strictObject({
      source_ip: text.describe('of new-network: where the agent asks from'),
      subject: text.optional(),
      human: text.optional(),
    }),
  },
}
