import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { createSoftwareKey, type SignedByKey, type SoftwareKey } from '../../../cli/software-key.js'
import {
  canonicalText,
  challengeOf,
  type DecisionDocument,
  type PasskeyProof,
  type SignedDocument,
  type VouchDocument,
} from '../../../server/audit/proofs/document.js'

export const SITE = { rpId: 'writ.example.com', origin: 'https://writ.example.com' }

const signing = () => ({
  origin: SITE.origin,
  rp_id: SITE.rpId,
  nonce: randomBytes(32).toString('base64url'),
  issued_at: '2026-03-01T10:00:00.000Z',
  expires_at: '2026-03-01T10:05:00.000Z',
})

export const decisionDocument = (change: Partial<DecisionDocument> = {}): DecisionDocument => ({
  type: 'writ.decision.v1',
  ...signing(),
  decision: 'approve',
  approver: 'bob',
  request: '0123456789ab',
  request_leaf: 'ab'.repeat(32),
  personal: 'cd'.repeat(32),
  agent: 'orders-coder',
  environment: 'production',
  tier: 'production',
  account: '111122223333',
  role_arn: 'arn:aws:iam::111122223333:role/writ/orders-coder-write',
  scopes: ['orders:write'],
  permissions: [{ Effect: 'Allow', Action: ['s3:PutObject'], Resource: 'arn:aws:s3:::orders/*' }],
  permissions_sha256: 'permissions',
  policy_digest: 'sha256:policy',
  max_uses: 1,
  valid_seconds: 3600,
  max_session_seconds: 900,
  not_before: null,
  network: 'caller',
  approvals_needed: 1,
  break_glass: false,
  comment: null,
  ...change,
})

export const vouchDocument = (change: Partial<VouchDocument> = {}): VouchDocument => ({
  type: 'writ.vouch.v1',
  ...signing(),
  voucher: 'bob',
  operator: 'ada',
  proposal: '0123456789ab',
  key_id: 'AAAAAAAAAAAAAAAAAAAAAA',
  key_kind: 'passkey',
  public_key: 'pQECAyYg',
  label: 'ada’s phone',
  ...change,
})

/** A proof as the server puts it together of what a key answered. */
export const proofBy = (
  key: SoftwareKey | RawKey,
  document: SignedDocument | string,
  change?: Parameters<SoftwareKey['sign']>[1],
): PasskeyProof => {
  const text = typeof document === 'string' ? document : canonicalText(document)
  const signed = 'id' in key ? key.sign(challengeOf(text), change) : key.sign(challengeOf(text))
  return { document: text, public_key: key.publicKey, ...signed }
}

export const aKey = (): SoftwareKey => createSoftwareKey(SITE)

/** A key of any algorithm over data of the caller's making. */
export interface RawKey {
  readonly publicKey: string
  sign(
    challenge: Uint8Array,
    change?: { readonly clientData?: unknown; readonly authData?: Buffer },
  ): SignedByKey
}

export const FLAGS = { UP: 0x01, UV: 0x04, BE: 0x08, BS: 0x10, AT: 0x40, ED: 0x80 } as const

export function authData(flags: number, more = Buffer.alloc(0), rpId = SITE.rpId): Buffer {
  return Buffer.concat([createHash('sha256').update(rpId).digest(), Buffer.of(flags), Buffer.alloc(4), more])
}

export function rawKey(privateKey: KeyObject, cose: Buffer): RawKey {
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  return {
    publicKey: cose.toString('base64url'),
    sign: (challenge, change = {}) => {
      const said = change.clientData ?? {
        type: 'webauthn.get',
        challenge: Buffer.from(challenge).toString('base64url'),
        origin: SITE.origin,
      }
      const clientData = Buffer.isBuffer(said) ? said : Buffer.from(JSON.stringify(said))
      const data = change.authData ?? authData(FLAGS.UP | FLAGS.UV)
      const over = Buffer.concat([data, createHash('sha256').update(clientData).digest()])
      return {
        kind: 'passkey',
        key_id: 'AAAAAAAAAAAAAAAAAAAAAA',
        client_data: clientData.toString('base64url'),
        authenticator_data: data.toString('base64url'),
        signature: sign(digest, over, privateKey).toString('base64url'),
      }
    },
  }
}

const jwkBytes = (key: KeyObject, field: 'x' | 'y' | 'n' | 'e') =>
  Buffer.from(String(key.export({ format: 'jwk' })[field]), 'base64url')

export function es256(): RawKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return rawKey(privateKey, coseEc(jwkBytes(privateKey, 'x'), jwkBytes(privateKey, 'y')))
}

export const coseEc = (x: Buffer, y: Buffer): Buffer =>
  Buffer.concat([Buffer.from('a5010203262001215820', 'hex'), x, Buffer.from('225820', 'hex'), y])

export function ed25519(): RawKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  return rawKey(privateKey, coseOkp(jwkBytes(privateKey, 'x')))
}

export const coseOkp = (x: Buffer): Buffer => Buffer.concat([Buffer.from('a4010103272006215820', 'hex'), x])

export function rs256(bits = 2048, publicExponent = 0x10001): RawKey {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: bits, publicExponent })
  return rawKey(privateKey, coseRsa(jwkBytes(privateKey, 'n'), jwkBytes(privateKey, 'e')))
}

export const coseRsa = (n: Buffer, e: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from('a401030339010020', 'hex'),
    n.length < 256 ? Buffer.of(0x58, n.length) : Buffer.of(0x59, n.length >> 8, n.length & 0xff),
    n,
    Buffer.of(0x21, 0x40 + e.length),
    e,
  ])
