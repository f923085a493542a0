/** What the evidence of an incident says. Instants are ISO 8601 UTC. */
export interface Evidence {
  readonly type: 'writ.evidence.v1'
  readonly incident: string
  readonly agent: string
  readonly collected_at: string
  readonly since: string
  readonly log: { readonly origin: string; readonly size: number }
  /** From the entries beside it, by nothing else: whoever has those and the public key finds the same. */
  readonly proven: Findings
  /** What the broker said when it was collected; no proof of it is in the log. */
  readonly said: Said
}

export interface Said {
  readonly incident: IncidentAnswer
  /** What the agent can do by the policy in force; null with the reason. */
  readonly reach: ReachAnswer | null
  readonly reach_missing: string | null
}

export interface Findings {
  readonly counts: Counts
  readonly sessions: readonly Session[]
  readonly could: readonly Could[]
  readonly grants: readonly GrantFound[]
  readonly denials: readonly Denial[]
  readonly alarms: readonly Alarm[]
  readonly accounts: readonly Account[]
  readonly timeline: readonly Moment[]
}

/** `sessions` and what is below count those asked for since the beginning; `earlier` were begun before and not over. */
export interface Counts {
  readonly entries: number
  readonly sessions: number
  readonly issued: number
  readonly failed: number
  /** Possibly minted, never handed out. */
  readonly abandoned: number
  /** Without an outcome. */
  readonly open: number
  readonly earlier: number
  readonly deliveries: number
  readonly denials: number
  readonly alarms: number
  readonly grants: number
  /** Not over when this was collected, whenever they were begun. */
  readonly alive: number
}

/** What somebody outside wrote: never taken for ours. */
export interface Words {
  readonly reason: string | null
  readonly ticket: string | null
  readonly human: string | null
  readonly human_how: string | null
  readonly subject: string | null
  readonly source_ip: string | null
}

export interface Session {
  readonly issuance: string
  readonly entries: readonly number[]
  readonly at: string
  readonly state: 'intended' | 'issued' | 'failed' | 'abandoned'
  readonly environment: string
  readonly tier: string
  readonly account: string
  readonly role_arn: string
  readonly sensitivity: string
  readonly scopes: readonly string[]
  readonly grant: string | null
  readonly access_key_id: string | null
  /** `AROA…:ISSUANCE`, as CloudTrail has it in `userIdentity.principalId`. */
  readonly principal_id: string | null
  readonly source_identity: string | null
  /** When nothing works with it any more, by itself. */
  readonly dies_at: string
  readonly alive: boolean
  readonly deliveries: number
  readonly last_delivered_at: string | null
  readonly revoked_at: string | null
  /** As rendered; null once erased. */
  readonly session_policy: string | null
  /** The agent's. Null once erased. */
  readonly words: Words | null
}

/** An action that sessions in one account could use, from the first to the death of the last. */
export interface Could {
  readonly environment: string
  readonly account: string
  readonly action: string
  readonly resources: readonly string[]
  readonly sessions: number
  readonly from: string
  readonly until: string
}

export interface GrantFound {
  readonly request: string
  readonly grant: string | null
  readonly environment: string
  readonly account: string
  readonly scopes: readonly string[]
  readonly requested_at: string
  readonly requested_by: string
  readonly not_before: string | null
  readonly expires_at: string | null
  readonly max_uses: number | null
  readonly uses: number
  readonly break_glass: boolean
  readonly outcome: string
  readonly revoked_at: string | null
  readonly revoked_by: string | null
  readonly decisions: readonly Decision[]
  readonly words: Words | null
}

export interface Decision {
  readonly operator: string
  readonly decision: 'approve' | 'deny'
  readonly at: string
  readonly entry: number
  readonly proof_kind: string
  readonly key_id: string | null
  /** `holds`, `token` where there is none, or what is wrong. */
  readonly signature: string
  /** Entry that made the key this operator's, where it is among these. */
  readonly key_entry: number | null
  readonly comment: string | null
}

export interface Denial {
  readonly entry: number
  readonly at: string
  readonly kind: string
  readonly code: string
  readonly environment: string | null
  readonly scopes: readonly string[]
  readonly words: Words | null
}

export interface Alarm {
  readonly entry: number
  readonly at: string
  readonly alarm: string
  readonly cause: number | null
  readonly delay_ms: number | null
  readonly environment: string | null
}

/** What finds the agent's calls in the CloudTrail of one account. */
export interface Account {
  readonly account: string
  readonly environments: readonly string[]
  readonly regions: readonly string[]
  readonly from: string
  readonly until: string
  readonly access_key_ids: readonly string[]
  readonly principal_ids: readonly string[]
  readonly source_identities: readonly string[]
}

export interface Moment {
  readonly entry: number
  readonly at: string
  readonly kind: string
  readonly who: string
  readonly environment: string | null
  readonly about: string
}

// --- answers of the broker ------------------------------------------------------------------------------

export interface IncidentAnswer {
  readonly id: string
  readonly agent: string
  readonly state: 'open' | 'closed'
  readonly opened_at: string
  readonly opened_by: string
  readonly entry: number
  readonly reason: string | null
  readonly closed_at: string | null
  readonly closed_by: readonly string[] | null
  readonly evidence: string | null
  readonly stop: {
    readonly id: string
    readonly engaged_at: string
    readonly engaged_by: string | null
    readonly cutoff: string
    readonly approvals_needed: number
    readonly signed_by: readonly string[]
    readonly released_at: string | null
    readonly state: 'engaged' | 'released'
    readonly issuance: 'blocked' | 'open'
    readonly denies: {
      readonly asked: number
      readonly written: number
      readonly presumed: number
      readonly over: number
    }
    readonly sessions: {
      readonly state: 'none' | 'asked' | 'written' | 'presumed' | 'over'
      readonly written_at: string | null
      readonly presumed_at: string | null
    }
  }
  readonly denies: readonly {
    readonly role: string
    readonly kind: string
    readonly target: string
    readonly asked_at: string
    readonly written_at: string | null
    readonly widened: boolean
    readonly ends: string
  }[]
  readonly stages: readonly {
    readonly stage: string
    readonly roles: readonly string[]
    readonly names: readonly string[]
    readonly takes: string
    readonly outside: string | null
    readonly steps: readonly {
      readonly entry: number
      readonly at: string
      readonly by: string
      readonly note: string | null
      readonly evidence: string | null
    }[]
  }[]
  readonly grants_again: readonly {
    readonly environment: string
    readonly approvals: number
    readonly names: readonly string[]
  }[]
  readonly closing: {
    readonly needed: number
    readonly roles: readonly string[]
    readonly names: readonly string[]
    readonly signed: readonly { readonly operator: string; readonly at: string; readonly evidence: string }[]
  }
  readonly policy: unknown
  readonly log_size: number
}

interface Had {
  readonly way: 'alone' | 'grant' | 'never'
  readonly approvals: number
  readonly now: boolean
}

export interface ReachAnswer {
  readonly agent: string
  readonly status: string
  readonly policy_digest: string
  readonly at: string
  readonly environments: readonly {
    readonly environment: string
    readonly tier: string
    readonly account: string
    readonly scopes: readonly ({ readonly scope: string; readonly levels: readonly string[] } & Had)[]
    readonly permissions: readonly ({
      readonly action: string
      readonly levels: readonly string[]
      readonly resources: readonly string[]
      readonly more_resources: number
    } & Had)[]
  }[]
}
