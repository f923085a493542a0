/** What `writ` exits with. docs/cli.md has the same table; a test compares them. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  refused: 3,
  needsGrant: 4,
  unauthenticated: 5,
  unavailable: 6,
  request: 7,
  disagrees: 8,
  unproven: 9,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: 'done',
  1: 'something unexpected went wrong, a policy set or a role has problems, or the broker could not start',
  2: 'the command was not understood',
  3: 'refused by policy (403)',
  4: 'a human must grant this first: none did, or the grant is over',
  5: 'not authenticated: no token, or one that is not accepted (401)',
  6: 'broker, record or AWS unavailable: try again (503, no connection)',
  7: 'the request does not fit: not found, already decided, invalid, too many (404, 409, 413, 422, 429)',
  8: 'CloudTrail and the record do not agree',
  9: 'a log, an export or a proof is not what was signed',
}

/** RFC 9457 problem details, as the broker answers them or of our own making. */
export interface Problem {
  readonly type?: string
  readonly title: string
  readonly status?: number
  readonly detail: string
  /** The broker's stable codes, or one of ours: `usage`, `broker_unreachable`, `answer_not_understood`, … */
  readonly code: string
  readonly next?: string
  readonly [extra: string]: unknown
}

/** Ends the command: the one error that everything below `main` throws on purpose. */
export class CliError extends Error {
  override readonly name = 'CliError'
  readonly exitCode: ExitCode
  readonly problem: Problem

  constructor(exitCode: ExitCode, problem: Problem) {
    super(problem.detail)
    this.exitCode = exitCode
    this.problem = problem
  }
}

export const usageError = (detail: string, next?: string): CliError =>
  new CliError(EXIT.usage, {
    title: 'Usage',
    code: 'usage',
    detail,
    ...(next === undefined ? {} : { next }),
  })

/** The exit code for a problem the broker answered. */
export function exitCodeOf({ status = 500, code }: Problem): ExitCode {
  if (status === 401) return EXIT.unauthenticated
  // grant_required, grant_expired, grant_used_up, …: the way on is the same, a human.
  if (status === 403) return code.startsWith('grant_') ? EXIT.needsGrant : EXIT.refused
  if (status >= 400 && status < 500) return EXIT.request
  return status === 500 ? EXIT.unexpected : EXIT.unavailable
}
