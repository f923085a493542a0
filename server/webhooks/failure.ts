/**
 * Why a delivery did not succeed, in a word of ours: the database, the log and the API tell it, so it never holds
 * text of a receiver, an address or a secret.
 */
export type Failure =
  | 'secret_unusable'
  | 'ca_unusable'
  | 'name_not_found'
  | 'address_refused'
  | 'connection_failed'
  | 'tls_failed'
  | 'timeout'
  | 'answer_unreadable'
  | 'entries_missing'
  | `answered_${number}`

export class DeliveryError extends Error {
  override readonly name = 'DeliveryError'
  readonly failure: Failure

  constructor(failure: Failure) {
    super(failure)
    this.failure = failure
  }
}
