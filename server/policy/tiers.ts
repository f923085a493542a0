import type { RoleKind, Tier } from '../types.js'

interface TierRules {
  /** Longest session in seconds. A document may only tighten it. */
  readonly maxSessionSeconds: Readonly<Record<RoleKind, number>>
  /**
   * Humans who must approve; documents may only raise it. In staging `write` counts for scopes marked as
   * promotion. `undefined`: nobody is asked, so a document that says otherwise would promise what is not kept.
   */
  readonly approvals: { readonly write?: number; readonly delete?: number }
  /** `opt-in`: only where the environment's document says `allow_delete: true`. */
  readonly deletes: 'yes' | 'never' | 'opt-in'
}

const HOUR = 3600

/** What may happen in a tier at all. Constants of the code: no document can loosen them. */
export const TIERS: Readonly<Record<Tier, TierRules>> = {
  sandbox: { maxSessionSeconds: { read: 4 * HOUR, write: 4 * HOUR }, approvals: {}, deletes: 'yes' },
  development: { maxSessionSeconds: { read: 4 * HOUR, write: 4 * HOUR }, approvals: {}, deletes: 'never' },
  staging: { maxSessionSeconds: { read: HOUR, write: HOUR }, approvals: { write: 1 }, deletes: 'never' },
  production: {
    maxSessionSeconds: { read: HOUR, write: 15 * 60 },
    approvals: { write: 1, delete: 2 },
    deletes: 'opt-in',
  },
}

/** Seconds after a denial; long enough that asking again is no way to wear somebody out. */
export const COOL_DOWN = { usual: 600, least: 60, most: 24 * HOUR }

/** Seconds that a grant given in an emergency can live. No document can raise the most. */
export const BREAK_GLASS = { least: 60, most: HOUR }

/** How fast an agent may go where no document says otherwise: far above a person's pace, far below a runaway loop's. */
export const LIMITS = {
  issuances_per_minute: 60,
  live_sessions: 100,
  scopes_per_hour: 50,
  denials_per_hour: 120,
}

/** The highest that a document can set a limit of pace, and a number of attempts. */
export const MOST_LIMIT = 100_000
export const MOST_ATTEMPTS = 1000

/** Below this a session is over before its first call has left. */
export const SHORTEST_SESSION_SECONDS = 60

const UNITS = { s: 1, m: 60, h: HOUR } as const

/** Seconds in `90s`, `15m`, `4h`; the schema has checked the shape. */
export const seconds = (duration: string): number =>
  Number(duration.slice(0, -1)) * UNITS[duration.slice(-1) as keyof typeof UNITS]

/** `90s`, `15m`, `4h`: the largest unit that fits, for messages. */
export function duration(total: number): string {
  if (total % HOUR === 0) return `${total / HOUR}h`
  return total % 60 === 0 ? `${total / 60}m` : `${total}s`
}
