import type { Refusal } from '../types.js'

/** What `writ.append` (migrations/004-functions.sql) takes: JSON only, instants as ISO 8601 UTC. */
export type AppendItem = IntentItem | OutcomeItem | DeliveryItem | DenialItem | EventItem

export interface IntentItem {
  readonly op: 'intent'
  readonly issuance_id: string
  readonly agent: string
  readonly environment: string
  readonly role_arn: string
  readonly scopes: readonly string[]
  readonly policy_digest: string
  readonly permissions_sha256: string
  readonly not_after: string
  readonly human?: string
  readonly human_how?: string
  readonly issuer: string
  readonly subject: string
  readonly source_ip: string
  readonly reason: string
  readonly ticket?: string
  readonly grant_id?: string
  /** What the log's body says beyond the columns. No secrets. */
  readonly payload: Readonly<Record<string, unknown>>
}

export interface OutcomeItem {
  readonly op: 'outcome'
  readonly issuance_id: string
  readonly state: 'issued' | 'failed'
  readonly access_key_id?: string
  readonly expires_at?: string
  readonly assumed_role_arn?: string
  readonly assumed_role_id?: string
  readonly packed_policy_percent?: number
  readonly error_code?: string
}

export interface DeliveryItem {
  readonly op: 'delivery'
  readonly issuance_id: string
  readonly agent: string
  readonly payload: Readonly<Record<string, unknown>>
}

export interface DenialItem {
  readonly op: 'denial'
  readonly kind: 'issuance.denied' | 'identity.refused' | 'grant_request.refused' | 'operator.refused'
  /** Denials with the same key shortly after one another are counted on one entry. */
  readonly key: string
  readonly fields: EntryFields
  readonly payload: Readonly<Record<string, unknown>>
}

export interface EventItem {
  readonly op: 'event'
  readonly kind:
    | 'broker.started'
    | 'policy.loaded'
    | 'policy.rejected'
    | 'log.origin_started'
    | 'log.exported'
  readonly fields?: EntryFields
  readonly payload: Readonly<Record<string, unknown>>
}

/** The searchable columns of an entry. */
export interface EntryFields {
  readonly agent?: string
  readonly environment?: string
  readonly human?: string
  readonly operator?: string
  readonly request_id?: string
  readonly code?: string
}

/** `refused` carries a refusal of the database itself: the decision was overtaken or got round. */
export type Verdict =
  | { readonly status: 'ok'; readonly index: number; readonly at: string }
  | {
      readonly status: 'refused'
      readonly code: Refusal['code'] | 'outcome_conflict' | 'session_over'
      readonly at: string
    }

/** Records one item durably, or throws `WritError` record_unavailable / record_busy. */
export type RecordItem = (item: AppendItem) => Promise<Verdict>
