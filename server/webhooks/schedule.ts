/**
 * Seconds until the next attempt after the first, second, … failure in a row. Steps as in the specification's
 * example, but never more than an hour: entries go out in order, so a longer wait would keep every later alarm
 * back after the receiver has recovered.
 */
const DELAYS = [5, 30, 120, 300, 900, 1_800, 3_600] as const

/** A weekend with a holiday on both sides; then the webhook is disabled. */
export const GIVE_UP_AFTER_SECONDS = 5 * 86_400

const LONGEST_RETRY_AFTER = 86_400

/**
 * Seconds to wait after `failures` in a row (at least 1): up to a fifth more than the step, so that receivers that
 * failed together are not asked together. `Retry-After` can lengthen it, to a day at most.
 */
export function delaySeconds(failures: number, retryAfterSeconds = 0, random = Math.random()): number {
  const step = DELAYS[Math.min(failures, DELAYS.length) - 1] ?? DELAYS[0]
  return Math.ceil(Math.max(step * (1 + random / 5), Math.min(retryAfterSeconds, LONGEST_RETRY_AFTER)))
}

/** `Retry-After` in seconds: a number or a date (RFC 9110, section 10.2.3); undefined when it is neither. */
export function retryAfterSeconds(header: string | undefined, now: Date): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header)
  const date = /^[A-Z][a-z]{2}, \d/.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now.getTime()) / 1000))
}
