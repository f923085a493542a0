import { Refused } from './csrf.js'

/** What a passkey answers to a challenge, as the broker takes it: base64url each. */
export interface PasskeyAnswer {
  readonly kind: 'passkey'
  readonly key_id: string
  readonly client_data: string
  readonly authenticator_data: string
  readonly signature: string
}

interface Descriptor {
  readonly id: string
  readonly transports?: readonly string[]
}

export function base64url(bytes: ArrayBuffer | Uint8Array): string {
  const text = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join('')
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

export const bytesOf = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) =>
    character.charCodeAt(0),
  )

export const hexOf = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')

const descriptors = (keys: readonly Descriptor[]): PublicKeyCredentialDescriptor[] =>
  keys.map(({ id, transports }) => ({
    type: 'public-key',
    id: bytesOf(id),
    ...(transports === undefined ? {} : { transports: [...transports] as AuthenticatorTransport[] }),
  }))

export function supported(): boolean {
  return 'credentials' in navigator && 'PublicKeyCredential' in window
}

/** Asks for a signature over a challenge, with the user verified (WebAuthn level 3, section 5.1.4). Throws `Refused`. */
export async function ask(
  challenge: Uint8Array<ArrayBuffer>,
  rpId: string,
  keys: readonly Descriptor[],
  timeout: number,
): Promise<PublicKeyCredential & { readonly response: AuthenticatorAssertionResponse }> {
  const publicKey = {
    challenge,
    rpId,
    allowCredentials: descriptors(keys),
    userVerification: 'required',
    timeout,
  } as const
  const credential = await prompted(() => navigator.credentials.get({ publicKey }))
  return credential as PublicKeyCredential & { readonly response: AuthenticatorAssertionResponse }
}

/** The same, as a proof. */
export async function sign(
  challenge: Uint8Array<ArrayBuffer>,
  rpId: string,
  keys: readonly Descriptor[],
  timeout: number,
): Promise<PasskeyAnswer> {
  const { id, response } = await ask(challenge, rpId, keys, timeout)
  return {
    kind: 'passkey',
    key_id: id,
    client_data: base64url(response.clientDataJSON),
    authenticator_data: base64url(response.authenticatorData),
    signature: base64url(response.signature),
  }
}

/** Options for a new passkey as JSON (section 5.1.3, PublicKeyCredentialCreationOptionsJSON). */
export interface CreationJson {
  readonly challenge: string
  readonly rp: { readonly id?: string; readonly name: string }
  readonly user: { readonly id: string; readonly name: string; readonly displayName: string }
  readonly pubKeyCredParams: readonly PublicKeyCredentialParameters[]
  readonly timeout?: number
  readonly excludeCredentials?: readonly Descriptor[]
  readonly authenticatorSelection?: AuthenticatorSelectionCriteria
  readonly attestation?: AttestationConveyancePreference
}

/** Makes a new passkey. Answers RegistrationResponseJSON. Throws `Refused`. */
export async function create(options: CreationJson): Promise<unknown> {
  const { excludeCredentials = [], user, challenge, pubKeyCredParams, ...rest } = options
  const publicKey: PublicKeyCredentialCreationOptions = {
    ...rest,
    pubKeyCredParams: [...pubKeyCredParams],
    challenge: bytesOf(challenge),
    user: { ...user, id: bytesOf(user.id) },
    excludeCredentials: descriptors(excludeCredentials),
  }
  const credential = (await prompted(() =>
    navigator.credentials.create({ publicKey }),
  )) as PublicKeyCredential
  const response = credential.response as AuthenticatorAttestationResponse
  return {
    id: credential.id,
    rawId: base64url(credential.rawId),
    type: credential.type,
    response: {
      clientDataJSON: base64url(response.clientDataJSON),
      attestationObject: base64url(response.attestationObject),
      transports: response.getTransports?.() ?? [],
    },
  }
}

/** Signing in: AuthenticationResponseJSON. Throws `Refused`. */
export async function signInWith(options: {
  readonly challenge: string
  readonly rpId?: string
  readonly timeout?: number
  readonly allowCredentials?: readonly Descriptor[]
}): Promise<unknown> {
  const { id, rawId, type, response } = await ask(
    bytesOf(options.challenge),
    options.rpId ?? location.hostname,
    options.allowCredentials ?? [],
    options.timeout ?? 300_000,
  )
  return {
    id,
    rawId: base64url(rawId),
    type,
    response: {
      clientDataJSON: base64url(response.clientDataJSON),
      authenticatorData: base64url(response.authenticatorData),
      signature: base64url(response.signature),
      userHandle: response.userHandle === null ? undefined : base64url(response.userHandle),
    },
  }
}

async function prompted(prompt: () => Promise<Credential | null>): Promise<Credential> {
  if (!supported()) {
    throw new Refused(
      'no_passkeys',
      'This browser has no passkeys here.',
      'Use a current browser, over https or on localhost.',
    )
  }
  try {
    const credential = await prompt()
    if (credential !== null) return credential
  } catch (error) {
    throw said(error)
  }
  throw new Refused('cancelled', 'No passkey was used.', 'Nothing was sent. Try again when you are ready.')
}

/** Browsers say little on purpose: who cancelled and who has no key look the same (section 5.1.4.1). */
function said(error: unknown): unknown {
  const name = error instanceof DOMException ? error.name : ''
  if (name === 'NotAllowedError' || name === 'AbortError') {
    return new Refused(
      'cancelled',
      'You cancelled, time ran out, or none of your passkeys is on this device.',
      'Nothing was sent. Try again, or use the device that has your passkey.',
    )
  }
  if (name === 'InvalidStateError') {
    return new Refused(
      'key_there',
      'This device has a passkey of yours already.',
      'Use another device or security key.',
    )
  }
  if (name === 'SecurityError') {
    return new Refused(
      'wrong_place',
      'Passkeys of this broker do not work at this address.',
      'Open the console at its own address.',
    )
  }
  return error
}
