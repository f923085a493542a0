import { clean, fields, sayInstant, table } from './output.js'

/** A stop as `GET /v1/stops` answers it. */
export interface Stop {
  readonly id: string
  readonly kind: 'agent' | 'human' | 'environment' | 'account' | 'everything'
  readonly name: string | null
  readonly engaged_at: string
  readonly engaged_by: string | null
  readonly automatic: boolean
  readonly cutoff: string
  readonly reason: string | null
  /** Such as `incident:ID`. */
  readonly cause: string | null
  readonly approvals_needed: number
  readonly signed_by: readonly string[]
  readonly released_at: string | null
  readonly state: 'engaged' | 'released'
  readonly issuance: 'blocked' | 'open'
  readonly denies: {
    readonly asked: number
    readonly written: number
    readonly presumed: number
    /** Roles whose IAM does not have it yet, and why. */
    readonly waiting: readonly { readonly role: string; readonly problem: string | null }[]
  }
  readonly sessions: {
    readonly state: 'none' | 'asked' | 'written' | 'presumed' | 'over'
    readonly written_at: string | null
    readonly presumed_at: string | null
  }
}

export const sayTarget = ({ kind, name }: Pick<Stop, 'kind' | 'name'>): string =>
  kind === 'everything' ? 'everything' : `${kind} ${clean(name ?? '(erased)')}`

/** The three states, each for itself: what is blocked here says nothing of what is out in AWS. */
export const showStop = (stop: Stop): string =>
  fields([
    ['Stop', stop.id],
    ['On', sayTarget(stop)],
    ['Since', `${sayInstant(stop.engaged_at)}, by ${stop.engaged_by ?? 'the broker itself'}`],
    ['Reason', stop.reason ?? '(erased)'],
    ['Follows from', stop.cause],
    ['Issuance', stop.issuance],
    ['Deny written', sayWritten(stop)],
    ['Waiting', stop.denies.waiting.map(sayWaiting).join('\n') || undefined],
    ['In effect', sayEffect(stop)],
    ['Release', sayRelease(stop)],
  ])

function sayWritten({ denies, sessions }: Stop): string {
  if (sessions.state === 'none') return 'no role has it'
  if (sessions.state === 'over') return 'every session has ended'
  const { asked, written } = denies
  if (sessions.written_at === null)
    return `NOT YET: ${written} of ${asked} written; it is retried until it is`
  return `yes, ${asked} of ${asked} at ${sayInstant(sessions.written_at)}`
}

const sayWaiting = ({ role, problem }: Stop['denies']['waiting'][number]): string =>
  `${role}${problem === null ? '' : `: ${problem}`}`

function sayEffect({ sessions }: Stop): string | undefined {
  const { state, presumed_at } = sessions
  if (state === 'none' || state === 'over') return undefined
  if (presumed_at === null) return 'NO: sessions that are out still work where no deny is written'
  return state === 'presumed'
    ? `presumed since ${sayInstant(presumed_at)}`
    : `presumed from ${sayInstant(presumed_at)} on: IAM takes some seconds`
}

function sayRelease({ approvals_needed, signed_by, released_at }: Stop): string {
  const by = signed_by.length === 0 ? '' : `, by ${signed_by.map(clean).join(', ')}`
  if (released_at !== null) return `released ${sayInstant(released_at)}${by}`
  return `${signed_by.length} of ${approvals_needed} signatures${by}`
}

const STATES: Readonly<Record<Stop['sessions']['state'], string>> = {
  none: 'none out',
  asked: 'NOT DENIED YET',
  written: 'deny written',
  presumed: 'presumed denied',
  over: 'ended',
}

export const showStops = (stops: readonly Stop[]): string =>
  table(
    ['STOP', 'ON', 'SINCE', 'BY', 'ISSUANCE', 'SESSIONS', 'SIGNED', 'REASON'],
    stops.map((stop) => [
      stop.id,
      sayTarget(stop),
      sayInstant(stop.engaged_at),
      stop.engaged_by ?? '(the broker)',
      stop.issuance,
      STATES[stop.sessions.state],
      stop.state === 'released'
        ? `released by ${stop.signed_by.join(',')}`
        : `${stop.signed_by.length} of ${stop.approvals_needed}`,
      stop.reason ?? '(erased)',
    ]),
    'Nothing is stopped.',
  )
