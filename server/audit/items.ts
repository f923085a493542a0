import { createHash } from 'node:crypto'
import type { Refusal } from '../types.js'
import type { Personal, Seen } from './personal.js'

/** What `writ.append` (migrations/014-stops.sql) takes: JSON only, instants as ISO 8601 UTC. */
export type AppendItem = IntentItem | OutcomeItem | DeliveryItem | DenialItem | EventItem

export interface IntentItem {
  readonly op: 'intent'
  readonly issuance_id: string
  readonly agent: string
  readonly environment: string
  readonly tier: string
  readonly role_arn: string
  readonly scopes: readonly string[]
  readonly policy_digest: string
  readonly permissions_sha256: string
  readonly not_after: string
  readonly grant_id?: string
  /** The owner, and whom the agent acts for: a stop may be on them. Not recorded from here. */
  readonly humans?: readonly string[]
  readonly limits?: Readonly<Record<string, number>>
  /** What the log's body says beyond the columns. No secrets, nothing of people. */
  readonly payload: Readonly<Record<string, unknown>>
  readonly personal: Personal
  readonly seen: Seen
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
  readonly humans?: readonly string[]
  readonly seen?: Seen
}

export interface DeliveryItem {
  readonly op: 'delivery'
  readonly issuance_id: string
  readonly agent: string
  readonly humans?: readonly string[]
  readonly payload: Readonly<Record<string, unknown>>
  readonly personal?: Personal
  readonly seen?: Seen
}

export interface DenialItem {
  readonly op: 'denial'
  readonly kind: 'issuance.denied' | 'identity.refused' | 'grant_request.refused' | 'operator.refused'
  /** Denials with the same key shortly after one another are counted on one entry. From `denialKey`. */
  readonly key: string
  /** Counts towards the agent's denials here; empty where no such environment is known. */
  readonly paced_in?: string
  /** An attempt that may stop the agent by itself. */
  readonly counts_as?: 'over' | 'red'
  readonly fields: EntryFields
  readonly payload: Readonly<Record<string, unknown>>
  readonly personal?: Personal
  readonly seen?: Seen
}

/** Hashed: it is made of whom and what was refused, and outlives an erasure. */
export const denialKey = (...about: readonly unknown[]): string =>
  createHash('sha256').update(JSON.stringify(about)).digest('base64url')

export interface EventItem {
  readonly op: 'event'
  readonly kind:
    | 'broker.started'
    | 'policy.loaded'
    | 'policy.rejected'
    | 'log.origin_started'
    | 'log.exported'
    | 'operator.signed_in'
  readonly fields?: EntryFields
  readonly payload: Readonly<Record<string, unknown>>
  readonly personal?: Personal
  readonly seen?: Seen
}

/** The searchable columns of an entry that its body says too. */
export interface EntryFields {
  readonly agent?: string
  readonly environment?: string
  readonly tier?: string
  readonly operator?: string
  readonly request_id?: string
  readonly code?: string
}

/** `refused` carries a refusal of the database itself: the decision was overtaken or got round. */
export type Verdict =
  | {
      readonly status: 'ok'
      readonly index: number
      readonly at: string
      /** With `counts_as`: how many of these within the hour. */
      readonly attempts?: number
    }
  | {
      readonly status: 'refused'
      readonly code: Refusal['code'] | 'outcome_conflict' | 'session_over'
      readonly at: string
      readonly stop?: string
      /** Which of the limits, with over_limit, how many of these within the hour, and the entry that says so. */
      readonly limit?: string
      readonly attempts?: number
      readonly index?: number
    }

/** Records one item durably, or throws `WritError` record_unavailable / record_busy. */
export type RecordItem = (item: AppendItem) => Promise<Verdict>
