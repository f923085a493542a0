import { commitment } from '../personal.js'
import type { DecisionDocument } from '../proofs/document.js'
import { equal, instant, number, text } from './compare.js'
import type { LogEntry } from './entry.js'
import type { Keys } from './keys.js'

/** What was asked for, by its entry and the hash that names it. */
export interface Asked {
  readonly asked: LogEntry
  /** Leaf hash, 64 hex digits. */
  readonly leaf: string
}

/** Of what was asked for, everything that a human signs as it is. */
const SHOWN = [
  'agent',
  'environment',
  'tier',
  'account',
  'role_arn',
  'scopes',
  'permissions',
  'permissions_sha256',
  'policy_digest',
  'max_uses',
  'max_session_seconds',
  'approvals_needed',
] as const

/** Nobody breaks the glass for longer. */
const GLASS_SECONDS = 3600

/** Whether a decision says of itself that somebody signed it. */
export const isSigned = ({ proof_kind, proof }: LogEntry): boolean =>
  [proof_kind, (proof as { readonly kind?: unknown } | null | undefined)?.kind].some(
    (kind) => kind === 'passkey' || kind === 'ssh-sk',
  )

/**
 * The document of a signed decision, when it is one on this request: signed by the operator whom the entry names,
 * and in every field what the entries say. Else why it is not, as the end of a sentence.
 */
export function signedDecision(
  entry: LogEntry,
  { asked, leaf }: Asked,
  keys: Keys,
  personal: string | undefined,
): { readonly document: DecisionDocument } | { readonly why: string } {
  const operator = text(entry.operator)
  const signed = keys.signed(entry, operator)
  if ('why' in signed) return signed
  const { document } = signed
  if (document.type !== 'writ.decision.v1') return { why: 'is signed as something else' }
  const decision = entry.kind === 'grant_request.approved' ? 'approve' : 'deny'
  if (document.approver !== operator || document.decision !== decision)
    return { why: 'is not the decision that was signed' }
  if (document.request !== asked.request_id || document.request_leaf !== leaf)
    return { why: 'is signed for another request' }
  const other = SHOWN.find((field) => asked[field] === undefined || !equal(document[field], asked[field]))
  if (other !== undefined) return { why: `is signed with another ${other} than was asked for` }
  if (document.personal !== (asked.personal ?? null))
    return { why: 'is signed with another reason than was asked with' }
  if (!sameStart(document.not_before, asked.not_before))
    return { why: 'is signed with another not_before than was asked for' }
  const glass = entry.break_glass === true
  if (document.break_glass !== glass) return { why: 'breaks the glass and was not signed so, or the reverse' }
  const most = number(asked.valid_seconds)
  const { valid_seconds } = document
  if (
    glass ? !(valid_seconds >= 60 && valid_seconds <= Math.min(most, GLASS_SECONDS)) : valid_seconds !== most
  )
    return { why: 'is signed with another valid_seconds than was asked for' }
  if (!commentIs(document.comment, entry, personal)) return { why: 'has another comment than was signed' }
  return { document }
}

const sameStart = (signed: string | null, asked: unknown): boolean =>
  signed === null ? asked === undefined : instant(signed) === instant(asked)

/** The comment can be held against its hash as long as it is there; that there was one, always. */
function commentIs(signed: string | null, entry: LogEntry, personal: string | undefined): boolean {
  if ((signed === null) !== (entry.personal === undefined)) return false
  if (signed === null || personal === undefined) return true
  const { comment, comment_salt } = fieldsOf(personal)
  if (typeof comment !== 'string' || typeof comment_salt !== 'string') return false
  return commitment(Buffer.from(comment_salt, 'hex'), Buffer.from(comment)).toString('hex') === signed
}

function fieldsOf(json: string): Readonly<Record<string, unknown>> {
  try {
    return { ...JSON.parse(json) }
  } catch {
    return {}
  }
}
