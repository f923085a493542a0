import { instant, number, same, sameSet, text } from './compare.js'
import { type Asked, isSigned, signedDecision } from './decisions.js'
import type { LogEntry } from './entry.js'
import { Glass } from './glass.js'
import type { Keys } from './keys.js'

interface Approval {
  readonly signed: boolean
  /** Seconds that the grant may live, when this breaks the glass. */
  readonly glass?: number
}

interface Request extends Asked {
  readonly approvals: Map<string, Approval>
  open: boolean
}

export interface Grant {
  readonly made: LogEntry
  readonly usesLeft: Set<number>
  /** Made after signatures were asked for in production, without them. */
  readonly unsigned: boolean
  revoked: boolean
}

/** What a grant, and each session on it, must have in common with what was asked for. */
export const PINS = [
  'agent',
  'environment',
  'role_arn',
  'scopes',
  'policy_digest',
  'permissions_sha256',
] as const

/** Grant requests, the humans' decisions on them, and the grants that came of it. */
export class Grants {
  readonly #keys: Keys
  readonly #glass = new Glass()
  readonly #requests = new Map<string, Request>()
  readonly #grants = new Map<string, Grant>()
  /** Whether any request for production has asked for signatures: from then on all do. */
  #signatures = false
  readonly #decisions = { signed: 0, unsigned: 0, before: 0 }

  constructor(keys: Keys) {
    this.#keys = keys
  }

  grant(id: unknown): Grant | undefined {
    return this.#grants.get(text(id))
  }

  counts() {
    const { signed, unsigned, before } = this.#decisions
    return {
      grants: this.#grants.size,
      decisions_signed: signed,
      decisions_by_token: unsigned,
      decisions_before_signatures: before,
    }
  }

  /** What is wrong with an entry, as the end of a sentence; undefined when nothing is. */
  check(entry: LogEntry, leaf: Buffer, personal: string | undefined): string | undefined {
    switch (entry.kind) {
      case 'grant_request.opened':
        return this.#ask(entry, leaf)
      case 'grant_request.approved':
        return this.#approve(entry, personal)
      case 'grant_request.denied':
        return this.#deny(entry, personal)
      case 'grant_request.withdrawn':
      case 'grant_request.expired':
        return this.#close(entry)
      case 'grant.created':
        return this.#create(entry)
      case 'grant.reviewed':
        return this.#glass.review(entry)
      case 'grant.revoked': {
        const grant = this.grant(entry.grant_id)
        if (grant === undefined) return 'is of no grant in this log'
        grant.revoked = true
        return undefined
      }
      default:
        return undefined
    }
  }

  #ask(entry: LogEntry, leaf: Buffer): string | undefined {
    if (this.#requests.has(text(entry.request_id))) return 'opens a request that is there already'
    if (entry.tier === 'production') {
      // Else whoever rewrites the log could go back to where a token was enough.
      if (this.#signatures && entry.signature_required !== true)
        return 'asks for no signature, where requests before it did'
      if (entry.signature_required === true) this.#signatures = true
    }
    this.#requests.set(text(entry.request_id), {
      asked: entry,
      leaf: leaf.toString('hex'),
      approvals: new Map(),
      open: true,
    })
    return undefined
  }

  #approve(entry: LogEntry, personal: string | undefined): string | undefined {
    const request = this.#requests.get(text(entry.request_id))
    if (request?.open !== true) return 'approves no open request'
    const { asked, approvals } = request
    if (!(instant(entry.at) <= instant(asked.expires_at))) return 'came after the request had expired'
    if (!same(entry, asked, ['policy_digest', 'permissions_sha256']))
      return 'approves something else than was asked for'
    const operator = text(entry.operator)
    // Capital letters make nobody somebody else.
    const names = [...approvals.keys()].map((name) => name.toLowerCase())
    if (operator === '' || names.includes(operator.toLowerCase()))
      return 'is by nobody, or by somebody who had approved already'
    if (typeof entry.proof !== 'object' || entry.proof === null) return 'has no proof'
    const decided = this.#decide(entry, request, personal)
    if ('why' in decided) return decided.why
    approvals.set(operator, decided)
    return undefined
  }

  #deny(entry: LogEntry, personal: string | undefined): string | undefined {
    const request = this.#requests.get(text(entry.request_id))
    if (request?.open !== true) return 'closes no open request'
    const decided = this.#decide(entry, request, personal)
    if ('why' in decided) return decided.why
    request.open = false
    return undefined
  }

  #decide(
    entry: LogEntry,
    request: Request,
    personal: string | undefined,
  ): Approval | { readonly why: string } {
    const { signature_required, destroys } = request.asked
    const glass = entry.break_glass === true
    if (!isSigned(entry)) {
      if (signature_required === true || glass) return { why: 'is not signed' }
      this.#decisions[signature_required === undefined ? 'before' : 'unsigned']++
      return { signed: false }
    }
    const signed = signedDecision(entry, request, this.#keys, personal)
    if ('why' in signed) return signed
    this.#decisions.signed++
    if (!glass) return { signed: true }
    const { decision, comment, valid_seconds } = signed.document
    if (decision !== 'approve' || comment === null || destroys !== false)
      return { why: 'breaks the glass for what nobody may' }
    const why = this.#glass.problem(entry)
    return why === undefined ? { signed: true, glass: valid_seconds } : { why }
  }

  #close(entry: LogEntry): string | undefined {
    const request = this.#requests.get(text(entry.request_id))
    if (request?.open !== true) return 'closes no open request'
    request.open = false
    return undefined
  }

  #create(entry: LogEntry): string | undefined {
    const request = this.#requests.get(text(entry.request_id))
    if (request?.open !== true) return 'grants no open request'
    const { asked, approvals } = request
    const [breaker, { glass = undefined } = {}] =
      [...approvals].find(([, approval]) => approval.glass !== undefined) ?? []
    if ((entry.break_glass === true) !== (glass !== undefined))
      return 'breaks the glass, or does not, unlike its approval'
    const all = new Set(approvals.keys())
    // Where signatures came to be asked for while a request was open, what a token had approved counts no more.
    const signed = new Set([...all].filter((name) => approvals.get(name)?.signed === true))
    const counted = [all, signed].find((set) => sameSet(entry.approved_by, set))
    if (counted === undefined) return 'names other approvers than there were'
    const needed = glass === undefined ? number(asked.approvals_needed) : 1
    if (!(counted.size >= needed)) return 'has fewer approvals than it needs'
    if (!same(entry, asked, [...PINS, 'max_uses', 'max_session_seconds']))
      return 'grants something else than was asked for'
    const life = instant(entry.expires_at) - instant(entry.not_before)
    if (!(life <= (glass ?? number(asked.valid_seconds)) * 1000)) return 'lives longer than was asked for'
    if (asked.not_before !== undefined && !(instant(entry.not_before) >= instant(asked.not_before)))
      return 'begins earlier than was asked for'
    request.open = false
    this.#grants.set(text(entry.grant_id), {
      made: entry,
      usesLeft: new Set(Array.from({ length: number(entry.max_uses) }, (_, i) => i + 1)),
      unsigned: this.#signatures && counted.size > signed.size,
      revoked: false,
    })
    if (breaker !== undefined) this.#glass.broken(entry, breaker)
    return undefined
  }
}
