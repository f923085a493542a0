import { randomBytes } from 'node:crypto'
import {
  type CloseDocument,
  canonicalText,
  challengeOf,
  type KeyKind,
  type ReleaseDocument,
  type VouchDocument,
} from '../audit/proofs/document.js'
import { WritError } from '../errors.js'
import { putChallenge, type SignedPurpose } from './challenges.js'
import { type OperatorDeps, relyingParty } from './deps.js'
import { keysOf } from './keys.js'

/** What somebody is asked to sign, and what their client needs for it. */
export interface SignChallenge {
  readonly challenge: string
  /** Canonical text (RFC 8785). */
  readonly document: string
  readonly expires_at: string
  readonly keys: readonly {
    readonly id: string
    readonly kind: KeyKind
    readonly transports: readonly string[]
  }[]
  /** For `navigator.credentials.get`; bytes in base64url. */
  readonly webauthn: {
    readonly challenge: string
    readonly rp_id: string
    readonly allow_credentials: readonly { readonly id: string; readonly transports: readonly string[] }[]
    readonly user_verification: 'required'
    readonly timeout_ms: number
  }
}

type Made = 'origin' | 'rp_id' | 'nonce' | 'issued_at' | 'expires_at'
/** A document but for what each signing makes anew. */
export type ToSign = Omit<VouchDocument, Made> | Omit<ReleaseDocument, Made> | Omit<CloseDocument, Made>

/** Long enough to read and to find the key; short enough that what was shown is still so. */
const SECONDS = 300

/** Writes a document down for one operator to sign with a key of theirs. Throws `WritError` key_unknown. */
export async function askToSign(
  deps: OperatorDeps,
  operator: string,
  purpose: Exclude<SignedPurpose, 'decision'>,
  toSign: ToSign,
): Promise<SignChallenge> {
  const keys = await keysOf(deps, operator)
  if (keys.length === 0) throw new WritError('key_unknown', `${operator} has no key to sign with.`)
  const { origin, rpId } = relyingParty(deps)
  const now = deps.now()
  const expiresAt = new Date(now.getTime() + SECONDS * 1000).toISOString()
  const document = canonicalText({
    ...toSign,
    origin,
    rp_id: rpId,
    nonce: randomBytes(32).toString('base64url'),
    issued_at: now.toISOString(),
    expires_at: expiresAt,
  })
  const { id } = await putChallenge(deps, { purpose, operator, document })
  const passkeys = keys.filter(({ kind }) => kind === 'passkey')
  return {
    challenge: id,
    document,
    expires_at: expiresAt,
    keys: keys.map(({ id: key, kind, transports }) => ({ id: key, kind, transports })),
    webauthn: {
      challenge: challengeOf(document).toString('base64url'),
      rp_id: rpId,
      allow_credentials: passkeys.map(({ id: key, transports }) => ({ id: key, transports })),
      user_verification: 'required',
      timeout_ms: SECONDS * 1000,
    },
  }
}
