import type { Environment, Limits } from '../types.js'
import type { Parsed } from './parse.js'
import type { Report } from './report.js'
import type { Values } from './schema.js'
import { LIMITS } from './tiers.js'

type Written = NonNullable<Values['environment']['limits']>

/** As documents and refusals spell a limit, and as the code does. */
const SPELLED = {
  issuances_per_minute: 'issuancesPerMinute',
  live_sessions: 'liveSessions',
  scopes_per_hour: 'scopesPerHour',
  denials_per_hour: 'denialsPerHour',
} as const satisfies Record<keyof typeof LIMITS, keyof Limits>

type Name = keyof typeof SPELLED
const NAMES = Object.keys(SPELLED) as readonly Name[]

function limits(one: (name: Name) => number): Limits {
  return {
    issuancesPerMinute: one('issuances_per_minute'),
    liveSessions: one('live_sessions'),
    scopesPerHour: one('scopes_per_hour'),
    denialsPerHour: one('denials_per_hour'),
  }
}

/** How fast agents may go in an environment, and when that or a red line stops them by itself. */
export function compilePace({
  value: { limits: written, stop_after: after },
}: Parsed<'environment'>): Pick<Environment, 'limits' | 'stopAfter'> {
  const { over_limit: overLimit, red_lines: redLines } = after ?? {}
  return {
    limits: limits((name) => written?.[name] ?? LIMITS[name]),
    ...(overLimit === undefined && redLines === undefined
      ? {}
      : {
          stopAfter: {
            ...(overLimit === undefined ? {} : { overLimit }),
            ...(redLines === undefined ? {} : { redLines }),
          },
        }),
  }
}

/** An agent's own limits. Reports what is higher than the environment's, and uses that one there. */
export function tightenedLimits(
  document: Parsed<'agent'>,
  path: readonly PropertyKey[],
  written: Written | undefined,
  environment: Environment,
  report: Report,
): Limits {
  for (const name of NAMES) {
    const wanted = written?.[name]
    const most = environment.limits[SPELLED[name]]
    if (wanted === undefined || wanted <= most) continue
    report(
      document,
      [...path, name],
      'limit_loosened',
      `${wanted} is more than the ${most} of the environment ${environment.name}; this can only tighten it.`,
    )
  }
  return limits((name) => {
    const most = environment.limits[SPELLED[name]]
    return Math.min(written?.[name] ?? most, most)
  })
}
