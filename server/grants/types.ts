import type { PolicyStatement } from '../types.js'

/** A grant request as anyone may see it who may see it at all. Instants are ISO 8601 UTC. */
export interface GrantRequestView {
  readonly id: string
  readonly state: 'pending' | 'granted' | 'denied' | 'withdrawn' | 'expired'
  readonly created_at: string
  readonly expires_at: string
  readonly closed_at: string | null
  readonly agent: string
  readonly environment: string
  readonly account: string
  readonly role_arn: string
  readonly scopes: readonly string[]
  /** Null once erased, as are the ticket, the human and the comments then. */
  readonly reason: string | null
  readonly ticket: string | null
  readonly on_behalf_of: { readonly human: string; readonly how: string } | null
  readonly requested_by: string
  readonly policy_digest: string
  readonly permissions: readonly PolicyStatement[]
  readonly permissions_sha256: string
  readonly max_uses: number
  readonly valid_seconds: number
  readonly not_before: string | null
  readonly max_session_seconds: number
  readonly approvals_needed: number
  /** Whether a scope deletes; true also where that was not known yet. Nobody breaks the glass for it. */
  readonly destroys: boolean
  /** A token alone decides nothing here. */
  readonly signature_required: boolean
  /** Granted by one human alone, in an emergency. */
  readonly break_glass: boolean
  readonly decisions: readonly DecisionView[]
  readonly grant_id: string | null
}

export interface DecisionView {
  readonly operator: string
  readonly decision: 'approve' | 'deny'
  readonly at: string
  readonly comment: string | null
  readonly proof_kind: string
  /** The key that signed; null where a token stands for the human. */
  readonly key_id: string | null
  readonly break_glass: boolean
}

export interface GrantView {
  readonly id: string
  readonly request_id: string
  readonly state: 'live' | 'not-yet-valid' | 'used-up' | 'expired' | 'revoked'
  readonly created_at: string
  readonly agent: string
  readonly environment: string
  readonly scopes: readonly string[]
  readonly policy_digest: string
  readonly permissions_sha256: string
  readonly uses: number
  readonly max_uses: number
  readonly not_before: string
  readonly expires_at: string
  readonly max_session_seconds: number
  readonly approved_by: readonly string[]
  readonly revoked_at: string | null
  readonly revoked_by: string | null
  readonly revoke_reason: string | null
  readonly break_glass: boolean
  /** When somebody else looked at a break-glass; null before that, and on all other grants. */
  readonly reviewed_at: string | null
}

/** How a human showed that a decision is theirs where no signature is demanded. */
export interface DecisionProof {
  readonly kind: 'fresh-token'
  readonly issuer: string
  readonly subject: string
  /** ISO 8601 UTC: when the human authenticated, and when the token was made. */
  readonly authenticated_at: string
  readonly issued_at: string
}
