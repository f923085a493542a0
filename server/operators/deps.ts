import type { RecordItem } from '../audit/items.js'
import type { Database } from '../db/pool.js'

/** What operators' keys need; handed in by the wiring. */
export interface OperatorDeps {
  readonly database: Database
  readonly record: RecordItem
  readonly newId: () => string
  readonly now: () => Date
  /** Of the console, such as `https://writ.example.com`; a function, since a free port is known only once listening. */
  readonly origin: () => string
  /** Set where only authenticators of some models may enrol. */
  readonly attestation?: AttestationRule
}

export interface AttestationRule {
  /** Models, as lower-case UUIDs (FIDO metadata, `aaguid`). */
  readonly aaguids: ReadonlySet<string>
  /** Certificates of their makers, PEM: without one, any program could claim to be any model. */
  readonly roots: readonly string[]
}

/** Where a passkey is to be used, as its signatures say. */
export interface RelyingParty {
  readonly origin: string
  /** The host name of `origin` (WebAuthn level 3, section 5.1.2). */
  readonly rpId: string
}

export function relyingParty({ origin }: Pick<OperatorDeps, 'origin'>): RelyingParty {
  const here = origin()
  return { origin: here, rpId: new URL(here).hostname }
}
