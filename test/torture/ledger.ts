/** What one request of an agent came to, as the agent saw it. */
export interface Attempt {
  /** Sent as the reason: the record keeps it, so that every row can be laid at one request's door. */
  readonly tag: string
  readonly agent: string
  /** The session label: another one asks for another session. */
  readonly label: string
  readonly sentAt: number
  /** Milliseconds since 1970, as the database's clock on the same machine counts them. */
  readonly endedAt: number
  readonly end: End
}

export type End =
  | {
      readonly kind: 'answered'
      readonly issuance: string
      readonly entry: number
      readonly key: string
      readonly expiresAt: string
      readonly again: boolean
      readonly grant?: string
    }
  | { readonly kind: 'refused'; readonly status: number; readonly code: string }
  /** Cut or timed out: it may have been carried out or not. */
  | { readonly kind: 'lost' }
  /** The connection was refused: no broker can have seen it. */
  | { readonly kind: 'unsent' }

export interface Revocation {
  readonly grant: string
  /** When the operator was told that it is revoked; absent when the answer was lost. */
  readonly answeredAt?: number
}

/** A session that the STS double minted, by its own account. */
export interface Minted {
  readonly key: string
  /** The session's name, which is the issuance's id. */
  readonly session: string
  readonly at: number
}

/** Everything that was seen from outside. The record is held against this, never the other way round. */
export interface Ledger {
  readonly attempts: Attempt[]
  readonly revocations: Revocation[]
}
