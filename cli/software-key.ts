import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'

/** Where a key is to be used: `rpId` is a host name, `origin` the console's address without a slash at its end. */
export interface KeySite {
  readonly rpId: string
  readonly origin: string
}

/** A key as it is kept in a file. Holds the private key: nobody but its owner may read that file. */
export interface StoredKey extends KeySite {
  readonly id: string
  /** PKCS #8, PEM. */
  readonly private_key: string
}

/** What an honest authenticator and browser never do, and a thief might. */
export interface Change {
  readonly userVerified?: boolean
  readonly userPresent?: boolean
  readonly origin?: string
  readonly rpId?: string
  readonly challenge?: Uint8Array
  readonly type?: string
  readonly crossOrigin?: boolean
  /** Signs with a key that nobody enrolled. */
  readonly wrongKey?: boolean
  /** Signatures so far, as the authenticator claims; 0 where it does not count, as with synced passkeys. */
  readonly counter?: number
}

/** The parts of a proof that the key makes; the server adds what was signed and the public key. */
export interface SignedByKey {
  readonly kind: 'passkey'
  readonly key_id: string
  readonly client_data: string
  readonly authenticator_data: string
  readonly signature: string
}

/** WebAuthn level 3, section 5.1: RegistrationResponseJSON. */
export interface RegistrationJson {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly clientExtensionResults: Record<string, never>
  readonly response: { clientDataJSON: string; attestationObject: string; transports: string[] }
}

/** WebAuthn level 3, section 5.1: AuthenticationResponseJSON. */
export interface AuthenticationJson {
  readonly id: string
  readonly rawId: string
  readonly type: 'public-key'
  readonly clientExtensionResults: Record<string, never>
  readonly response: {
    clientDataJSON: string
    authenticatorData: string
    signature: string
    userHandle?: string
  }
}

export interface SoftwareKey {
  /** Credential id, base64url. */
  readonly id: string
  /** COSE key, base64url. */
  readonly publicKey: string
  register(challenge: Uint8Array, userHandle?: Uint8Array | string, change?: Change): RegistrationJson
  sign(challenge: Uint8Array, change?: Change): SignedByKey
  /** The same signature in the form in which a browser sends it, for signing in. */
  authenticate(challenge: Uint8Array, userHandle?: Uint8Array | string, change?: Change): AuthenticationJson
  /** For a file with mode 0600. */
  store(): StoredKey
}

/**
 * A WebAuthn authenticator in software, and the browser before it, for local mode, the demo and tests. It says of
 * every signature that a human was verified, and that is not so: it is no guard of anything outside this machine.
 */
export function createSoftwareKey({ rpId, origin }: KeySite): SoftwareKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return keyOf({ rpId, origin }, randomBytes(16).toString('base64url'), privateKey)
}

/** The key of a file. Throws on what `store` did not make. */
export function storedSoftwareKey(stored: StoredKey): SoftwareKey {
  const { rpId, origin, id, private_key } = stored
  return keyOf({ rpId, origin }, id, createPrivateKey(private_key))
}

function keyOf(site: KeySite, id: string, privateKey: KeyObject): SoftwareKey {
  const cose = coseOf(privateKey)
  const signed = (challenge: Uint8Array, change: Change = {}) => {
    const clientData = clientDataOf('webauthn.get', site, challenge, change)
    const authenticatorData = authenticatorDataOf(site, change)
    const by =
      change.wrongKey === true ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : privateKey
    const signature = sign('sha256', Buffer.concat([authenticatorData, sha256(clientData)]), by)
    return { clientData, authenticatorData, signature }
  }
  return {
    id,
    publicKey: cose.toString('base64url'),
    register: (challenge, _userHandle, change = {}) => ({
      id,
      rawId: id,
      type: 'public-key',
      clientExtensionResults: {},
      response: {
        clientDataJSON: clientDataOf('webauthn.create', site, challenge, change).toString('base64url'),
        attestationObject: attestationObject(
          authenticatorDataOf(site, change, attestedData(Buffer.from(id, 'base64url'), cose)),
        ).toString('base64url'),
        transports: ['internal'],
      },
    }),
    sign: (challenge, change) => {
      const { clientData, authenticatorData, signature } = signed(challenge, change)
      return {
        kind: 'passkey',
        key_id: id,
        client_data: clientData.toString('base64url'),
        authenticator_data: authenticatorData.toString('base64url'),
        signature: signature.toString('base64url'),
      }
    },
    authenticate: (challenge, userHandle, change) => {
      const { clientData, authenticatorData, signature } = signed(challenge, change)
      return {
        id,
        rawId: id,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: clientData.toString('base64url'),
          authenticatorData: authenticatorData.toString('base64url'),
          signature: signature.toString('base64url'),
          ...(userHandle === undefined ? {} : { userHandle: Buffer.from(userHandle).toString('base64url') }),
        },
      }
    },
    store: () => ({
      ...site,
      id,
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    }),
  }
}

/** WebAuthn level 3, section 5.8.1. */
const clientDataOf = (type: string, site: KeySite, challenge: Uint8Array, change: Change): Buffer =>
  Buffer.from(
    JSON.stringify({
      type: change.type ?? type,
      challenge: Buffer.from(change.challenge ?? challenge).toString('base64url'),
      origin: change.origin ?? site.origin,
      crossOrigin: change.crossOrigin ?? false,
    }),
  )

/** WebAuthn level 3, section 6.1. */
function authenticatorDataOf(site: KeySite, change: Change, attested?: Buffer): Buffer {
  const flags =
    (change.userPresent === false ? 0 : 0x01) |
    (change.userVerified === false ? 0 : 0x04) |
    (attested === undefined ? 0 : 0x40)
  const counter = Buffer.alloc(4)
  counter.writeUInt32BE(change.counter ?? 0)
  return Buffer.concat([
    sha256(Buffer.from(change.rpId ?? site.rpId)),
    Buffer.of(flags),
    counter,
    attested ?? Buffer.alloc(0),
  ])
}

/** WebAuthn level 3, section 6.5.1: an authenticator model of zeros, the credential id, its key. */
const attestedData = (id: Buffer, cose: Buffer): Buffer =>
  Buffer.concat([Buffer.alloc(16), Buffer.of(id.length >> 8, id.length & 0xff), id, cose])

/** CBOR of `{fmt: "none", attStmt: {}, authData}` (WebAuthn level 3, section 8.7). */
const attestationObject = (authData: Buffer): Buffer =>
  Buffer.concat([
    Buffer.of(0xa3, 0x63),
    Buffer.from('fmt'),
    Buffer.of(0x64),
    Buffer.from('none'),
    Buffer.of(0x67),
    Buffer.from('attStmt'),
    Buffer.of(0xa0, 0x68),
    Buffer.from('authData'),
    Buffer.of(0x59, authData.length >> 8, authData.length & 0xff),
    authData,
  ])

/** COSE_Key of ES256 (RFC 9053, section 7.1.1): `{1: 2, 3: -7, -1: 1, -2: x, -3: y}`. */
function coseOf(privateKey: KeyObject): Buffer {
  const { x = '', y = '' } = privateKey.export({ format: 'jwk' })
  return Buffer.concat([
    Buffer.of(0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20),
    Buffer.from(x, 'base64url'),
    Buffer.of(0x22, 0x58, 0x20),
    Buffer.from(y, 'base64url'),
  ])
}

const sha256 = (data: Uint8Array): Buffer => createHash('sha256').update(data).digest()
