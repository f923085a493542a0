import type { Limits, Pace, Refusal } from '../types.js'

/** When the count has moved on: the database counts in slots of so many seconds. */
const RETRY_SECONDS: Readonly<Record<string, number>> = {
  issuances_per_minute: 10,
  live_sessions: 60,
  scopes_per_hour: 300,
  denials_per_hour: 300,
}

const SAID: Readonly<Record<string, string>> = {
  issuances_per_minute: 'began too many sessions within a minute',
  live_sessions: 'has too many sessions that are not over',
  scopes_per_hour: 'asked for too many different scopes within an hour',
  denials_per_hour: 'was denied too often within the hour',
}

/** The refusal for a limit by its name in the environment document. */
export function overLimit(limit = ''): Refusal {
  const detail = `The agent ${SAID[limit] ?? 'goes too fast'} (${limit}).`
  return { code: 'over_limit', detail, retryAfterSeconds: RETRY_SECONDS[limit] ?? 60 }
}

/**
 * Which limit one more session with these scopes would go over; undefined for none. `writ.over_limit`
 * (migrations/014-stops.sql) says the same under the lock that makes it exact.
 */
export function limitReached(pace: Pace, limits: Limits, scopes: readonly string[]): string | undefined {
  if (pace.denied >= limits.denialsPerHour) return 'denials_per_hour'
  if (pace.issued >= limits.issuancesPerMinute) return 'issuances_per_minute'
  if (pace.live >= limits.liveSessions) return 'live_sessions'
  return new Set([...pace.scopes, ...scopes]).size > limits.scopesPerHour ? 'scopes_per_hour' : undefined
}
