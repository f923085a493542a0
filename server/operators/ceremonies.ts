/** WebAuthn registration and assertion. The only place that knows the library. */
import { createHash } from 'node:crypto'
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
  type VerifiedAuthenticationResponse,
  type VerifiedRegistrationResponse,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server'
import { readCoseKey } from '../audit/proofs/cose.js'
import type { PasskeyProof } from '../audit/proofs/document.js'
import { WritError } from '../errors.js'
import { attestationProblem } from './attestation.js'
import type { AttestationRule, RelyingParty } from './deps.js'

/** COSE: ES256, EdDSA, RS256 (RFC 9053, RFC 8812). Together every passkey there is. */
const ALGORITHMS = [-7, -8, -257]

/** A new passkey, as the database takes it. */
export interface NewPasskey {
  readonly id: string
  readonly kind: 'passkey'
  readonly public_key: string
  readonly label: string
  readonly aaguid: string
  readonly transports: readonly string[]
  readonly backed_up: boolean
  readonly sign_count: number
}

/** What a browser sends of a new credential (WebAuthn level 3, section 5.1, RegistrationResponseJSON). */
export interface RegistrationJson {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly response: {
    readonly clientDataJSON: string
    readonly attestationObject: string
    readonly transports?: readonly string[] | undefined
  }
}

/** What a browser sends of a signing in (section 5.1, AuthenticationResponseJSON). */
export interface AuthenticationJson {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly response: {
    readonly clientDataJSON: string
    readonly authenticatorData: string
    readonly signature: string
    readonly userHandle?: string | null | undefined
  }
}

/**
 * An operator to an authenticator (section 5.4.3, `user.id`). The hash of the name: always the same, so that a new key
 * on the same authenticator takes the place of the old one in its list instead of standing beside it; and no name,
 * since an authenticator may show it before its user is verified.
 */
export const userHandle = (operator: string): Buffer =>
  createHash('sha256').update('writ operator v1\n').update(operator).digest()

/** For `navigator.credentials.create`. `challenge` as bytes: the library would encode a text once more. */
export function registrationOptions(
  rp: RelyingParty,
  wanted: {
    readonly operator: string
    readonly challenge: Uint8Array
    readonly seconds: number
    /** Passkeys they have: one authenticator is one key. */
    readonly have: readonly { readonly id: string; readonly transports: readonly string[] }[]
    readonly attestation: AttestationRule | undefined
  },
): Promise<PublicKeyCredentialCreationOptionsJSON> {
  return generateRegistrationOptions({
    rpName: 'Writ',
    rpID: rp.rpId,
    userName: wanted.operator,
    userDisplayName: wanted.operator,
    userID: Uint8Array.from(userHandle(wanted.operator)),
    challenge: Uint8Array.from(wanted.challenge),
    timeout: wanted.seconds * 1000,
    attestationType: wanted.attestation === undefined ? 'none' : 'direct',
    excludeCredentials: wanted.have.map(({ id, transports }) => ({ id, transports: [...transports] as [] })),
    // A key that is kept on the authenticator signs its holder in without a name; one that cannot still decides.
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
    supportedAlgorithmIDs: ALGORITHMS,
  })
}

/**
 * Section 7.1: a credential that was made for this challenge, here, by a verified user. Throws `WritError`
 * signature_invalid, authenticator_not_allowed.
 */
export async function verifyRegistration(
  rp: RelyingParty,
  credential: RegistrationJson,
  challenge: Uint8Array,
  label: string,
  attestation: AttestationRule | undefined,
): Promise<NewPasskey> {
  const { id, rawId, type, response } = credential
  const { transports = [] } = response
  sameOrigin(response.clientDataJSON)
  let verified: VerifiedRegistrationResponse
  try {
    verified = await verifyRegistrationResponse({
      response: {
        id,
        rawId,
        type,
        response: { ...response, transports: [...transports] as [] },
        clientExtensionResults: {},
      } satisfies RegistrationResponseJSON,
      expectedChallenge: base64url(challenge),
      expectedOrigin: rp.origin,
      expectedRPID: rp.rpId,
      requireUserVerification: true,
      supportedAlgorithmIDs: ALGORITHMS,
    })
  } catch (error) {
    throw invalid(error)
  }
  if (!verified.verified) throw invalid(undefined)
  const { registrationInfo: info } = verified
  if (info.credential.id !== id) throw invalid(new Error('Credential ID is not the one that was attested'))
  // One that a verifier cannot read could never prove anything.
  if (readCoseKey(base64url(info.credential.publicKey)) === undefined) {
    throw invalid(new Error('The public key is of no kind that is supported'))
  }
  if (attestation !== undefined) {
    const problem = attestationProblem(info, attestation)
    if (problem !== undefined) throw new WritError('authenticator_not_allowed', problem)
  }
  return {
    id,
    kind: 'passkey',
    public_key: base64url(info.credential.publicKey),
    label,
    aaguid: info.aaguid,
    transports,
    backed_up: info.credentialBackedUp,
    sign_count: info.credential.counter,
  }
}

/** For `navigator.credentials.get`: any passkey of this site, which then says whose it is. */
export function signInOptions(
  rp: RelyingParty,
  challenge: Uint8Array,
  seconds: number,
): Promise<PublicKeyCredentialRequestOptionsJSON> {
  return generateAuthenticationOptions({
    rpID: rp.rpId,
    challenge: Uint8Array.from(challenge),
    timeout: seconds * 1000,
    allowCredentials: [],
    userVerification: 'required',
  })
}

/**
 * Section 7.2, for signing in: the same as for a decision, and the user handle, where the authenticator tells one, is
 * that of the key's operator. Throws `WritError` signature_invalid.
 */
export async function verifySignIn(
  key: {
    readonly id: string
    readonly operator: string
    readonly public_key: string
    readonly sign_count: number
  },
  { id, rawId, response }: AuthenticationJson,
  challenge: Uint8Array,
  rp: RelyingParty,
): Promise<{ readonly signCount: number }> {
  const { userHandle: handle } = response
  if (rawId !== id || (typeof handle === 'string' && handle !== base64url(userHandle(key.operator)))) {
    throw invalid(new Error('The user handle is of another operator'))
  }
  return verifyAssertion(
    key,
    {
      key_id: id,
      client_data: response.clientDataJSON,
      authenticator_data: response.authenticatorData,
      signature: response.signature,
    },
    challenge,
    rp,
  )
}

/**
 * Section 7.2: this key signed this challenge, here, with its user present and verified. Answers how many signatures
 * the authenticator says it has made. Throws `WritError` signature_invalid.
 */
export async function verifyAssertion(
  key: { readonly id: string; readonly public_key: string; readonly sign_count: number },
  proof: Pick<PasskeyProof, 'key_id' | 'client_data' | 'authenticator_data' | 'signature'>,
  challenge: Uint8Array,
  rp: RelyingParty,
): Promise<{ readonly signCount: number }> {
  if (proof.key_id !== key.id) throw invalid(new Error('Signed by another key'))
  sameOrigin(proof.client_data)
  let verified: VerifiedAuthenticationResponse
  try {
    verified = await verifyAuthenticationResponse({
      response: {
        id: proof.key_id,
        rawId: proof.key_id,
        type: 'public-key',
        response: {
          clientDataJSON: proof.client_data,
          authenticatorData: proof.authenticator_data,
          signature: proof.signature,
        },
        clientExtensionResults: {},
      },
      expectedChallenge: base64url(challenge),
      expectedOrigin: rp.origin,
      expectedRPID: rp.rpId,
      // The count is looked at below: what says a key was copied must first be known to come from it.
      credential: {
        id: key.id,
        publicKey: Uint8Array.from(Buffer.from(key.public_key, 'base64url')),
        counter: 0,
      },
      requireUserVerification: true,
    })
  } catch (error) {
    throw invalid(error)
  }
  if (!verified.verified) throw invalid(undefined)
  const { newCounter } = verified.authenticationInfo
  if (Math.max(newCounter, key.sign_count) > 0 && newCounter <= key.sign_count) {
    throw new WritError(
      'signature_invalid',
      `This key says it has signed ${newCounter} times, and had signed ${key.sign_count} times before: there may be a copy of it. Remove it.`,
    )
  }
  return { signCount: newCounter }
}

/** A page of ours within another site's: its human may have seen something else (section 5.8.1, `crossOrigin`). */
function sameOrigin(clientData: string): void {
  let said: unknown
  try {
    said = JSON.parse(Buffer.from(clientData, 'base64url').toString('utf8'))
  } catch {
    throw invalid(new Error('The client data cannot be read'))
  }
  if (typeof said !== 'object' || said === null) throw invalid(new Error('The client data cannot be read'))
  if (('crossOrigin' in said && said.crossOrigin !== false) || 'topOrigin' in said) {
    throw invalid(new Error('Signed within a page of another site'))
  }
}

/** Why goes into our log only: what the library says quotes what was sent. */
function invalid(cause: unknown): WritError {
  const error = new WritError('signature_invalid', 'The answer of the authenticator does not hold.')
  if (cause !== undefined) error.cause = cause
  return error
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
