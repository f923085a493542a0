import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import type { PolicyStatement } from '../../types.js'

/** What every signed document says of its own making. */
interface Signing {
  /** Of the console, such as `https://writ.example.com`; a passkey signs its own idea of it too. */
  readonly origin: string
  readonly rp_id: string
  /** 32 random bytes in base64url: no two documents are the same. */
  readonly nonce: string
  /** ISO 8601 UTC with milliseconds. */
  readonly issued_at: string
  readonly expires_at: string
}

/**
 * All of what a human decides on, as they were shown it. Holds no personal data: on whose behalf, the reason and
 * the ticket are in it as the salted hash that the request's entry has, the comment as one of its own.
 */
export interface DecisionDocument extends Signing {
  readonly type: 'writ.decision.v1'
  readonly decision: 'approve' | 'deny'
  readonly approver: string
  readonly request: string
  /** Leaf hash of the entry `grant_request.opened`, 64 hex digits. */
  readonly request_leaf: string
  /** `personal` of that entry; null where it has none. */
  readonly personal: string | null
  readonly agent: string
  readonly environment: string
  readonly tier: string
  readonly account: string
  readonly role_arn: string
  readonly scopes: readonly string[]
  readonly permissions: readonly PolicyStatement[]
  readonly permissions_sha256: string
  readonly policy_digest: string
  readonly max_uses: number
  readonly valid_seconds: number
  readonly max_session_seconds: number
  readonly not_before: string | null
  readonly network: 'caller' | readonly string[] | null
  readonly approvals_needed: number
  readonly break_glass: boolean
  /** SHA-256(0x03 ‖ salt ‖ comment in UTF-8), 64 hex digits; null without a comment. */
  readonly comment: string | null
}

/** Somebody else's word that a key is that operator's. */
export interface VouchDocument extends Signing {
  readonly type: 'writ.vouch.v1'
  readonly voucher: string
  readonly operator: string
  readonly proposal: string
  readonly key_id: string
  readonly key_kind: KeyKind
  readonly public_key: string
  readonly label: string
}

/** One human's word that a stop may end. */
export interface ReleaseDocument extends Signing {
  readonly type: 'writ.release.v1'
  readonly operator: string
  readonly stop: string
  readonly stops: 'agent' | 'human' | 'environment' | 'account' | 'everything'
  /** Empty for everything; null for a human, whom the entry names. */
  readonly name: string | null
  /** Leaf hash of the entry `stop.engaged`, 64 hex digits. */
  readonly stop_leaf: string
  readonly approvals_needed: number
}

/** One human's word that an incident is over. */
export interface CloseDocument extends Signing {
  readonly type: 'writ.close.v1'
  readonly operator: string
  readonly incident: string
  readonly agent: string
  /** Leaf hash of the entry `incident.opened`, 64 hex digits. */
  readonly incident_leaf: string
  /** SHA-256 of the evidence's manifest, 64 hex digits: what was read before closing. */
  readonly evidence: string
}

export type SignedDocument = DecisionDocument | VouchDocument | ReleaseDocument | CloseDocument

export type KeyKind = 'passkey' | 'ssh-sk'

/** A signature as it is stored in the record, with all that checking it takes. */
export type Proof = PasskeyProof | SshProof

export interface PasskeyProof {
  readonly kind: 'passkey'
  /** The canonical text that was signed. */
  readonly document: string
  /** Credential id, base64url. */
  readonly key_id: string
  /** COSE key, base64url. */
  readonly public_key: string
  /** base64url, as the authenticator and the browser made them (WebAuthn level 3, section 5.2.2). */
  readonly client_data: string
  readonly authenticator_data: string
  readonly signature: string
}

export interface SshProof {
  readonly kind: 'ssh-sk'
  readonly document: string
  /** `SHA256:` and base64 without padding, as `ssh-keygen -l` shows it. */
  readonly key_id: string
  /** `sk-ssh-ed25519@openssh.com AAAA…`, without comment. */
  readonly public_key: string
  /** The blob between the armour lines of `ssh-keygen -Y sign`, base64 (openssh, PROTOCOL.sshsig). */
  readonly signature: string
}

/** Namespace of SSH signatures over documents. */
export const SSH_NAMESPACE = 'writ-decision@v1'

/** Keeps a signature over one of our documents from being one over anything else. */
const DOMAIN = 'writ signed document v1\n'

/** RFC 8785: the one text of a document. Throws on what JSON cannot say. */
export function canonicalText(value: unknown): string {
  const text = (canonicalize as unknown as (value: unknown) => string | undefined)(value)
  if (text === undefined || LONE_SURROGATE.test(text)) throw new Error('a document that JSON cannot say')
  return text
}

/** RFC 8785, section 3.2.2.2. `JSON.stringify` writes half a character as an escape, which nothing else there is. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud[89a-f]/

/** What a passkey is asked to sign: SHA-256 over the domain and the canonical text. */
export const challengeOf = (text: string): Buffer => createHash('sha256').update(DOMAIN).update(text).digest()
