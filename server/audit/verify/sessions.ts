import { instant, number, same, text } from './compare.js'
import type { LogEntry } from './entry.js'
import { type Grants, PINS } from './grants.js'

/** How many sessions are held before looking for those that are over. */
const LOOK_AT = 50_000

/** Sessions: each intended on its grant, ended once, and delivered while it lives. */
export class Sessions {
  readonly #grants: Grants
  /** Sessions that may still be delivered; forgotten when they are over. */
  readonly #sessions = new Map<string, { readonly intended: LogEntry; outcome: boolean }>()
  #onGrants = 0
  #lookAt = LOOK_AT

  constructor(grants: Grants) {
    this.#grants = grants
  }

  /** How many stood on grants. */
  onGrants(): number {
    return this.#onGrants
  }

  /** What is wrong with an entry, as the end of a sentence; undefined when nothing is. */
  check(entry: LogEntry): string | undefined {
    switch (entry.kind) {
      case 'issuance.intended':
        return this.#intend(entry)
      case 'issuance.issued':
      case 'issuance.failed':
      case 'issuance.abandoned':
        return this.#end(entry)
      case 'issuance.delivered':
        return this.#deliver(entry)
      default:
        return undefined
    }
  }

  #intend(entry: LogEntry): string | undefined {
    const id = text(entry.issuance_id)
    if (this.#sessions.has(id)) return 'uses an issuance id again'
    this.#forget(entry.at)
    this.#sessions.set(id, { intended: entry, outcome: false })
    const writes = entry.sensitivity === 'production-write'
    if (entry.grant_id === undefined) return writes ? 'is a production write without a grant' : undefined
    const grant = this.#grants.grant(entry.grant_id)
    if (grant === undefined) return 'names a grant that is not in this log'
    const { made, usesLeft, unsigned, revoked } = grant
    const [at, notAfter] = [instant(entry.at), instant(entry.not_after)]
    const [from, until] = [instant(made.not_before), instant(made.expires_at)]
    if (revoked) return 'stands on a revoked grant'
    // Whatever tier a request gave itself: what counts is what the role can do.
    if (unsigned && writes) return 'is a production write on a grant that nobody signed'
    // Not a simple comparison: an instant that is none compares as false with everything.
    if (!(from <= at && at < until && notAfter <= until)) return 'is outside the time of its grant'
    if (!same(entry, made, PINS)) return 'is not what its grant allows'
    if (!usesLeft.delete(number(entry.grant_use))) return 'is a use that its grant does not have'
    this.#onGrants++
    return undefined
  }

  #end(entry: LogEntry): string | undefined {
    const session = this.#sessions.get(text(entry.issuance_id))
    if (session === undefined || session.outcome) return 'ends no issuance under way'
    session.outcome = true
    if (entry.kind !== 'issuance.issued') this.#sessions.delete(text(entry.issuance_id))
    return undefined
  }

  #deliver(entry: LogEntry): string | undefined {
    const session = this.#sessions.get(text(entry.issuance_id))
    if (session?.outcome !== true) return 'delivers no live session'
    const { intended } = session
    if (instant(entry.at) >= instant(intended.not_after)) return 'delivers a session that is over'
    if (entry.agent !== intended.agent) return 'delivers the session of another agent'
    const grant = intended.grant_id === undefined ? undefined : this.#grants.grant(intended.grant_id)
    return grant?.revoked === true ? 'delivers a session of a revoked grant' : undefined
  }

  /** Now and then, so that memory holds live sessions and not those of all time. */
  #forget(now: string): void {
    if (this.#sessions.size < this.#lookAt) return
    const at = Date.parse(now)
    for (const [id, { intended, outcome }] of this.#sessions) {
      // What is still open waits for its outcome, however long no broker ran.
      if (outcome && instant(intended.not_after) < at) this.#sessions.delete(id)
    }
    this.#lookAt = Math.max(LOOK_AT, this.#sessions.size * 2)
  }
}
