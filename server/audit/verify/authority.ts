import { ProofError } from '../merkle/error.js'
import type { LogEntry } from './entry.js'

interface Request {
  readonly asked: LogEntry
  readonly approvers: Set<string>
  open: boolean
}

interface Grant {
  readonly made: LogEntry
  readonly usesLeft: Set<number>
  revoked: boolean
}

/** What a grant, and each session on it, must have in common with what was asked for. */
const PINS = ['agent', 'environment', 'role_arn', 'scopes', 'policy_digest', 'permissions_sha256'] as const

/**
 * Whether a whole log, from its first entry on, gives everybody's authority: no grant without the approvals it
 * needs, no production write without a live grant for exactly that, no outcome without an intent. Who rewrote the
 * database before anything was published cannot leave a session out of nowhere.
 */
export class Authority {
  readonly #requests = new Map<string, Request>()
  readonly #grants = new Map<string, Grant>()
  /** Sessions that may still be delivered; forgotten when they are over. */
  readonly #sessions = new Map<string, { readonly intended: LogEntry; outcome: boolean }>()
  #onGrants = 0
  #lookAt = LOOK_AT

  /** Grants there were, and sessions on them. */
  counts(): { readonly grants: number; readonly sessions_on_grants: number } {
    return { grants: this.#grants.size, sessions_on_grants: this.#onGrants }
  }

  /** Throws `ProofError` authority_missing. */
  readonly onEntry = (entry: LogEntry): void => {
    const why = this.#check(entry)
    if (why === undefined) return
    const { index, kind } = entry
    throw new ProofError('authority_missing', `Entry ${index}, ${kind}, ${why}.`, { index })
  }

  #check(entry: LogEntry): string | undefined {
    switch (entry.kind) {
      case 'grant_request.opened':
        if (this.#requests.has(text(entry.request_id))) return 'opens a request that is there already'
        this.#requests.set(text(entry.request_id), { asked: entry, approvers: new Set(), open: true })
        return undefined
      case 'grant_request.approved':
        return this.#approve(entry)
      case 'grant_request.denied':
      case 'grant_request.withdrawn':
      case 'grant_request.expired':
        return this.#close(entry)
      case 'grant.created':
        return this.#grant(entry)
      case 'grant.revoked': {
        const grant = this.#grants.get(text(entry.grant_id))
        if (grant === undefined) return 'is of no grant in this log'
        grant.revoked = true
        return undefined
      }
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

  #approve(entry: LogEntry): string | undefined {
    const request = this.#requests.get(text(entry.request_id))
    if (request?.open !== true) return 'approves no open request'
    const { asked, approvers } = request
    if (!(Date.parse(entry.at) <= Date.parse(text(asked.expires_at))))
      return 'came after the request had expired'
    if (!same(entry, asked, ['policy_digest', 'permissions_sha256']))
      return 'approves something else than was asked for'
    const operator = text(entry.operator)
    if (operator === '' || approvers.has(operator))
      return 'is by nobody, or by somebody who had approved already'
    if (typeof entry.proof !== 'object' || entry.proof === null) return 'has no proof'
    approvers.add(operator)
    return undefined
  }

  #close(entry: LogEntry): string | undefined {
    const request = this.#requests.get(text(entry.request_id))
    if (request?.open !== true) return 'closes no open request'
    request.open = false
    return undefined
  }

  #grant(entry: LogEntry): string | undefined {
    const request = this.#requests.get(text(entry.request_id))
    if (request?.open !== true) return 'grants no open request'
    const { asked, approvers } = request
    if (!(approvers.size >= number(asked.approvals_needed))) return 'has fewer approvals than it needs'
    if (!sameSet(entry.approved_by, approvers)) return 'names other approvers than there were'
    if (!same(entry, asked, [...PINS, 'max_uses', 'max_session_seconds']))
      return 'grants something else than was asked for'
    const life = Date.parse(text(entry.expires_at)) - Date.parse(text(entry.not_before))
    if (!(life <= number(asked.valid_seconds) * 1000)) return 'lives longer than was asked for'
    request.open = false
    const usesLeft = new Set(Array.from({ length: number(entry.max_uses) }, (_, i) => i + 1))
    this.#grants.set(text(entry.grant_id), { made: entry, usesLeft, revoked: false })
    return undefined
  }

  #intend(entry: LogEntry): string | undefined {
    const id = text(entry.issuance_id)
    if (this.#sessions.has(id)) return 'uses an issuance id again'
    this.#forget(entry.at)
    this.#sessions.set(id, { intended: entry, outcome: false })
    if (entry.grant_id === undefined) {
      return entry.sensitivity === 'production-write' ? 'is a production write without a grant' : undefined
    }
    const grant = this.#grants.get(text(entry.grant_id))
    if (grant === undefined) return 'names a grant that is not in this log'
    const { made, usesLeft, revoked } = grant
    const [at, notAfter] = [Date.parse(entry.at), Date.parse(text(entry.not_after))]
    const [from, until] = [Date.parse(text(made.not_before)), Date.parse(text(made.expires_at))]
    if (revoked) return 'stands on a revoked grant'
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
    if (Date.parse(entry.at) >= Date.parse(text(intended.not_after))) return 'delivers a session that is over'
    if (entry.agent !== intended.agent) return 'delivers the session of another agent'
    const grant = intended.grant_id === undefined ? undefined : this.#grants.get(text(intended.grant_id))
    return grant?.revoked === true ? 'delivers a session of a revoked grant' : undefined
  }

  /** Now and then, so that memory holds live sessions and not those of all time. */
  #forget(now: string): void {
    if (this.#sessions.size < this.#lookAt) return
    const instant = Date.parse(now)
    for (const [id, { intended, outcome }] of this.#sessions) {
      // What is still open waits for its outcome, however long no broker ran.
      if (outcome && Date.parse(text(intended.not_after)) < instant) this.#sessions.delete(id)
    }
    this.#lookAt = Math.max(LOOK_AT, this.#sessions.size * 2)
  }
}

const LOOK_AT = 50_000

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const number = (value: unknown): number => (typeof value === 'number' ? value : Number.NaN)
const equal = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
const same = (a: LogEntry, b: LogEntry, fields: readonly string[]): boolean =>
  fields.every((field) => a[field] !== undefined && equal(a[field], b[field]))
/** In any order: the database sorts by its own collation. */
const sameSet = (list: unknown, set: ReadonlySet<string>): boolean =>
  Array.isArray(list) && list.length === set.size && list.every((one) => set.has(text(one)))
