import type { Database } from '../db/pool.js'
import { type Alarm, BURST, type Facts, LATE_SECONDS, type Learned } from './rules.js'

/** What there is to look at, for whoever holds the fence. */
export interface Claim {
  readonly fence: number
  /** The place in the log, and where this stretch ends. */
  readonly from: number
  readonly to: number
  /** Of the log. */
  readonly size: number
  readonly facts: Facts
  /** The first entry that has waited too long to be published. */
  readonly late?: { readonly index: number }
}

export interface Raised {
  readonly alarm: string
  readonly index: number
  readonly cause: number
  readonly delay_ms: number
  readonly agent?: string
}

export interface Conclusion {
  readonly alarms: readonly Alarm[]
  readonly learned: readonly Learned[]
  /** Whether another replica may go on at once. */
  readonly release: boolean
}

/** What the follower needs of the database. Everything throws `DatabaseError`. */
export interface AlarmStore {
  /** With `origin` also what of it is not published in time. */
  readonly claim: (holder: string, origin: string | undefined) => Promise<Claim | 'nothing' | 'busy'>
  /** What was raised, each once; undefined when the fence is lost, and then nothing was. */
  readonly conclude: (claim: Claim, conclusion: Conclusion) => Promise<readonly Raised[] | undefined>
}

/** A replica that dies is followed after this. */
const LEASE_SECONDS = 10
/** Entries looked at in one statement. However much of it is alarms, the head is not held for long. */
const STRETCH = 200

export function alarmStore(database: Database): AlarmStore {
  return {
    async claim(holder, origin) {
      const asked = {
        holder,
        seconds: LEASE_SECONDS,
        most: STRETCH,
        rules: BURST,
        ...(origin === undefined ? {} : { origin, late_seconds: LATE_SECONDS }),
      }
      const [row] = await database.query<{
        claim: { status: 'nothing' | 'busy' } | ({ status: 'ok' } & Claim)
      }>('SELECT writ.claim_alarms($1::jsonb) AS claim', [JSON.stringify(asked)], {
        name: 'writ.claim_alarms',
      })
      if (row === undefined) return 'nothing'
      return row.claim.status === 'ok' ? row.claim : row.claim.status
    },
    async conclude({ fence, from, to }, conclusion) {
      const [row] = await database.query<{ done: { status: string; raised?: readonly Raised[] } }>(
        'SELECT writ.raise_alarms($1::jsonb) AS done',
        [JSON.stringify({ fence, from, to, seconds: LEASE_SECONDS, ...conclusion })],
        { name: 'writ.raise_alarms' },
      )
      return row?.done.status === 'ok' ? (row.done.raised ?? []) : undefined
    },
  }
}
