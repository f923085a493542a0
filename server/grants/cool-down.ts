import { WritError } from '../errors.js'

/**
 * The refusal of what a human denied a short while ago. Asking again, a little differently each time, until somebody
 * gives in is how a tired approver is worn down.
 *
 * `until` is an instant as the database says it, `seconds` what is left until then by its clock.
 */
export function coolingDown(
  agent: string,
  environment: string,
  { until, seconds }: { readonly until: string; readonly seconds: number },
): WritError {
  const when = new Date(until).toISOString()
  return new WritError(
    'grant_cooling_down',
    `A human denied this, or a part of it, to ${agent} in ${environment}. It may ask again at ${when}.`,
    { retryAfterSeconds: Math.max(1, Math.ceil(seconds)), until: when },
  )
}
