/** The answers of the broker that the command line reads, as /openapi.json describes them. */

export interface CredentialsAnswer {
  readonly issuance: string
  readonly delivered_again: boolean
  readonly credentials: {
    readonly access_key_id: string
    readonly secret_access_key: string
    readonly session_token: string
    readonly expires_at: string
  }
  readonly agent: string
  readonly environment: string
  readonly account: string
  readonly role_arn: string
  readonly regions: readonly string[]
  readonly role: string
  readonly scopes: readonly string[]
  readonly grant?: string
  readonly notice?: string
}

/** Comes with grant_required and its kin: POST /v1/grant-requests takes it as it is. */
export interface PrefilledRequest {
  readonly environment: string
  readonly scopes: readonly string[]
  readonly reason: string
  readonly ticket?: string
  readonly ttl?: number
  readonly uses?: number
  readonly valid_for?: number
}

export interface Statement {
  readonly Effect: string
  readonly Action: string | readonly string[]
  readonly Resource?: string | readonly string[]
  readonly Condition?: Readonly<Record<string, unknown>>
}

export interface GrantRequest {
  readonly id: string
  readonly state: 'pending' | 'granted' | 'denied' | 'withdrawn' | 'expired'
  readonly created_at: string
  readonly expires_at: string
  readonly agent: string
  readonly environment: string
  readonly account: string
  readonly scopes: readonly string[]
  /** Null once erased. */
  readonly reason: string | null
  readonly ticket: string | null
  readonly on_behalf_of: { readonly human: string; readonly how: string } | null
  readonly requested_by: string
  readonly policy_digest: string
  readonly permissions: readonly Statement[]
  readonly permissions_sha256: string
  readonly max_uses: number
  readonly valid_seconds: number
  readonly not_before: string | null
  readonly max_session_seconds: number
  readonly approvals_needed: number
  readonly decisions: readonly {
    readonly operator: string
    readonly decision: 'approve' | 'deny'
    readonly at: string
    readonly comment: string | null
  }[]
  readonly grant_id: string | null
}

export interface Grant {
  readonly id: string
  readonly request_id: string
  readonly state: string
  readonly created_at: string
  readonly agent: string
  readonly environment: string
  readonly scopes: readonly string[]
  readonly uses: number
  readonly max_uses: number
  readonly not_before: string
  readonly expires_at: string
  readonly max_session_seconds: number
  readonly approved_by: readonly string[]
  readonly revoked_at: string | null
  readonly revoked_by: string | null
  readonly revoke_reason: string | null
}

export interface Decided {
  readonly state: string
  readonly grant_id: string | null
  readonly approvals: number
  readonly request_id?: string
}

export interface Issuance {
  readonly issuance: string
  readonly entry: number
  readonly at: string
  readonly state: string
  readonly agent: string
  readonly environment: string
  readonly tier: string | null
  readonly role: string
  readonly sensitivity: string
  readonly scopes: readonly string[]
  readonly human: string | null
  readonly human_how: string | null
  readonly subject: string | null
  readonly source_ip: string | null
  /** Null once erased or archived, as is everything that names somebody. */
  readonly reason: string | null
  readonly personal_data: 'none' | 'shown' | 'erased' | 'archived' | 'altered'
  readonly ticket: string | null
  readonly grant: string | null
  readonly grant_use: number | null
  readonly policy_digest: string
  readonly access_key_id: string | null
  readonly expires_at: string | null
  readonly error_code: string | null
}

export interface LogEvent {
  readonly index: number
  readonly leaf_hash: string
  readonly repeats: number | null
  readonly body: Readonly<Record<string, unknown>>
}

export interface Page<T> {
  readonly items: readonly T[]
  /** Goes into `before` for the next page. A page may be short, or empty, and have one. */
  readonly next: string | null
  readonly total?: { readonly count: number; readonly exact: boolean }
}

/** How much of something an agent may have, and what is left of it. */
export interface Left {
  readonly most: number
  readonly left: number
}

export interface WhoAmI {
  readonly identity: {
    readonly issuer: string
    readonly subject: string
    readonly expires_at: string
    readonly on_behalf_of?: { readonly human: string; readonly how: string }
  }
  readonly agent: string
  readonly owner: { readonly kind: string; readonly name: string }
  readonly status: string
  readonly policy_digest: string
  readonly environments: readonly {
    readonly environment: string
    readonly tier: string
    readonly account: string
    readonly regions: readonly string[]
    /** Absent while nothing stops it. */
    readonly stop?: string
    readonly limits: {
      readonly issuances_per_minute: Left
      readonly live_sessions: Left
      readonly scopes_per_hour: Left
      readonly denials_per_hour: Left
    }
    readonly scopes: readonly {
      readonly scope: string
      readonly describe: string
      readonly levels: readonly string[]
      readonly needs_grant: boolean
      readonly possible: boolean
    }[]
  }[]
}

export interface Explanation {
  readonly outcome: 'allow' | 'deny' | 'needs-grant'
  readonly code?: string
  readonly detail?: string
  readonly next?: string
  readonly role?: string
  readonly duration_seconds?: number
  readonly approvals_needed?: number
  readonly grant?: string
  readonly policy_digest: string
  readonly session_policy?: { readonly Statement: readonly Statement[] }
  readonly session_policy_characters?: number
}
