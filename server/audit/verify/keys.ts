import type { SignedDocument } from '../proofs/document.js'
import { documentOf, proofProblem, readProof } from '../proofs/proof.js'
import { equal, instant, text } from './compare.js'
import type { LogEntry } from './entry.js'

interface Key {
  readonly operator: string
  readonly kind: string
  readonly publicKey: string
  removed: boolean
}

/** A document that somebody signed, or why it is none. */
export type Signed = { readonly document: SignedDocument } | { readonly why: string }

/**
 * Which keys were whose at each place of the log, and what was signed with them. A key comes from a one-time code,
 * which the owner of the database made, or from somebody else's signature; from nothing else.
 */
export class Keys {
  readonly #keys = new Map<string, Key>()
  readonly #publicKeys = new Set<string>()
  readonly #nonces = new Set<string>()
  readonly #proposed = new Map<string, LogEntry>()
  /** Ends of the codes that each operator has not used. */
  readonly #codes = new Map<string, number[]>()

  count(): number {
    return this.#keys.size
  }

  /** What is wrong with an entry about keys, as the end of a sentence; undefined when nothing is. */
  check(entry: LogEntry): string | undefined {
    switch (entry.kind) {
      case 'operator.code_issued': {
        const operator = text(entry.operator)
        this.#codes.set(operator, [...(this.#codes.get(operator) ?? []), instant(entry.expires_at)])
        return undefined
      }
      case 'operator.key_proposed':
        if (this.#proposed.has(text(entry.proposal))) return 'proposes what is proposed already'
        this.#proposed.set(text(entry.proposal), entry)
        return undefined
      case 'operator.key_added':
        return this.#add(entry)
      case 'operator.key_removed':
        return this.#remove(entry)
      default:
        return undefined
    }
  }

  /** What `operator` signed in this entry, with a key that was theirs then. */
  signed(entry: LogEntry, operator: string): Signed {
    const proof = readProof(entry.proof)
    if (proof === undefined || proof.kind !== entry.proof_kind)
      return { why: 'has a proof in no form that is valid' }
    const problem = proofProblem(proof)
    if (problem !== undefined) return { why: `is not proven: ${problem.replace(/\.$/, '')}` }
    const key = this.#keys.get(proof.key_id)
    if (key === undefined || key.removed || key.operator !== operator)
      return { why: 'is signed with a key that was not theirs' }
    if (key.publicKey !== proof.public_key || key.kind !== proof.kind)
      return { why: 'is signed with another key than it names' }
    const document = documentOf(proof)
    if (!inDate(document, entry)) return { why: 'came when what was signed was over, or not yet' }
    if (this.#nonces.has(document.nonce)) return { why: 'uses a signature again' }
    this.#nonces.add(document.nonce)
    return { document }
  }

  #add(entry: LogEntry): string | undefined {
    const [id, publicKey, operator] = [text(entry.key_id), text(entry.public_key), text(entry.of)]
    if (id === '' || publicKey === '' || operator === '') return 'names no key, or nobody'
    // One key is one person's, for good: with two names on it one human would be two.
    if (this.#keys.has(id) || this.#publicKeys.has(publicKey)) return 'adds a key that was there before'
    const why = entry.by === 'vouch' ? this.#vouched(entry) : this.#coded(entry)
    if (why !== undefined) return why
    this.#keys.set(id, { operator, kind: text(entry.key_kind), publicKey, removed: false })
    this.#publicKeys.add(publicKey)
    return undefined
  }

  #coded(entry: LogEntry): string | undefined {
    const { operator } = entry
    if (entry.by !== 'enrolment-code' || operator !== entry.of) return 'adds a key that nobody vouched for'
    const at = instant(entry.at)
    const usable = (this.#codes.get(text(operator)) ?? []).filter((end) => at < end + GRACE_MS)
    if (usable.length === 0) return 'adds a key without a code for it'
    // Which one it was is not said. The first to run out leaves the others for what comes later.
    const [, ...left] = usable.sort((a, b) => a - b)
    this.#codes.set(text(operator), left)
    return undefined
  }

  #vouched(entry: LogEntry): string | undefined {
    const voucher = text(entry.operator)
    if (voucher.toLowerCase() === text(entry.of).toLowerCase()) return 'is vouched for by its own operator'
    const proposed = this.#proposed.get(text(entry.proposal))
    if (proposed?.operator !== entry.of || proposed?.key_id !== entry.key_id)
      return 'adds a key that was not proposed'
    const signed = this.signed(entry, voucher)
    if ('why' in signed) return signed.why
    const { document } = signed
    if (document.type !== 'writ.vouch.v1') return 'is vouched for with a signature over something else'
    const { proposal, operator, key_id, key_kind, public_key, label } = document
    const said = { voucher: document.voucher, proposal, operator, key_id, key_kind, public_key, label }
    const added = {
      voucher,
      proposal: entry.proposal,
      operator: entry.of,
      key_id: entry.key_id,
      key_kind: entry.key_kind,
      public_key: entry.public_key,
      label: entry.label,
    }
    if (!equal(said, added)) return 'is vouched for with a signature over something else'
    this.#proposed.delete(proposal)
    return undefined
  }

  #remove(entry: LogEntry): string | undefined {
    const key = this.#keys.get(text(entry.key_id))
    if (key === undefined || key.removed || key.operator !== entry.of) return 'removes no key of theirs'
    key.removed = true
    return undefined
  }
}

/** The database looks at the clock before it waits for the head of the log, and the entry has the time after. */
const GRACE_MS = 60_000
/** No challenge is open for longer. */
const LONGEST_MS = 900_000

function inDate({ issued_at, expires_at }: SignedDocument, { at }: LogEntry): boolean {
  const [from, until, now] = [Date.parse(issued_at), Date.parse(expires_at), Date.parse(at)]
  return from <= now + GRACE_MS && now < until && until <= from + LONGEST_MS
}
