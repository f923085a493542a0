import { ProofError } from '../merkle/error.js'
import { Grants } from './grants.js'
import { Incidents } from './incidents.js'
import { Keys } from './keys.js'
import { Sessions } from './sessions.js'
import { Stops } from './stops.js'
import type { OnEntry } from './walk.js'

/** What a log of everybody's authority has. */
export interface AuthorityCounts {
  readonly grants: number
  readonly sessions_on_grants: number
  readonly keys: number
  /** Decisions by humans, each signature checked. */
  readonly decisions_signed: number
  /** Those for which a token was enough. */
  readonly decisions_by_token: number
  /** Those on requests from before there were signatures. */
  readonly decisions_before_signatures: number
}

/**
 * Whether a whole log, from its first entry on, gives everybody's authority: no key without a code or a voucher, no
 * decision without the signature that it takes, no grant without the approvals it needs, no production write without
 * a live grant for exactly that, no outcome without an intent, nothing let out while it was stopped, and no stop released
 * without the signatures that it takes. Who rewrote the database before anything was published cannot leave a session
 * out of nowhere, nor an approval, without the humans' keys.
 */
export class Authority {
  readonly #keys = new Keys()
  readonly #grants = new Grants(this.#keys)
  readonly #sessions = new Sessions(this.#grants)
  readonly #stops = new Stops(this.#keys)
  readonly #incidents = new Incidents(this.#keys)

  counts(): AuthorityCounts {
    return {
      ...this.#grants.counts(),
      sessions_on_grants: this.#sessions.onGrants(),
      keys: this.#keys.count(),
    }
  }

  /** Throws `ProofError` authority_missing. */
  readonly onEntry: OnEntry = (entry, leaf, personal) => {
    // Each looks at its own kinds.
    const why =
      this.#keys.check(entry) ??
      this.#grants.check(entry, leaf, personal) ??
      this.#sessions.check(entry) ??
      this.#stops.check(entry, leaf, personal) ??
      this.#incidents.check(entry, leaf)
    if (why === undefined) return
    const { index, kind } = entry
    throw new ProofError('authority_missing', `Entry ${index}, ${kind}, ${why}.`, { index })
  }
}
