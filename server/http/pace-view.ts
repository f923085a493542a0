import { z } from 'zod'
import type { Limits, Pace } from '../types.js'

const one = z.object({
  most: z.number().int(),
  left: z.number().int().describe('0 where a new session is refused with over_limit'),
})

/** Named as in the environment document. */
export const limitsView = z.object({
  issuances_per_minute: one,
  live_sessions: one,
  scopes_per_hour: one,
  denials_per_hour: one,
})

/** How fast an agent may go in an environment, and what of that is left at this moment. */
export function limitsLeft(limits: Limits, pace: Pace | undefined): z.output<typeof limitsView> {
  const of = (most: number, used = 0) => ({ most, left: Math.max(0, most - used) })
  return {
    issuances_per_minute: of(limits.issuancesPerMinute, pace?.issued),
    live_sessions: of(limits.liveSessions, pace?.live),
    scopes_per_hour: of(limits.scopesPerHour, pace?.scopes.length),
    denials_per_hour: of(limits.denialsPerHour, pace?.denied),
  }
}
