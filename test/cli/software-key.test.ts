import { randomBytes } from 'node:crypto'
import { verifyAuthenticationResponse, verifyRegistrationResponse } from '@simplewebauthn/server'
import t from 'tap'
import {
  type AuthenticationJson,
  type Change,
  createSoftwareKey,
  type RegistrationJson,
  type SoftwareKey,
  storedSoftwareKey,
} from '../../cli/software-key.js'

const SITE = { rpId: 'localhost', origin: 'http://localhost:7117' }
const CHALLENGE = randomBytes(32)

const registered = async (response: RegistrationJson) =>
  verifyRegistrationResponse({
    response,
    expectedChallenge: CHALLENGE.toString('base64url'),
    expectedOrigin: SITE.origin,
    expectedRPID: SITE.rpId,
    requireUserVerification: true,
  })

const authenticated = async (key: SoftwareKey, response: AuthenticationJson, counter = 0) =>
  verifyAuthenticationResponse({
    response,
    expectedChallenge: CHALLENGE.toString('base64url'),
    expectedOrigin: SITE.origin,
    expectedRPID: SITE.rpId,
    requireUserVerification: true,
    credential: { id: key.id, publicKey: Uint8Array.from(Buffer.from(key.publicKey, 'base64url')), counter },
  })

/** Whether somebody else's verifier took it. */
const taken = (result: Promise<{ readonly verified: boolean }>): Promise<boolean> =>
  result.then(
    ({ verified }) => verified,
    () => false,
  )

const DISHONEST: Readonly<Record<string, Change>> = {
  'without verifying the human': { userVerified: false },
  'without anybody there': { userPresent: false },
  'for another origin': { origin: 'http://localhost:7118' },
  'for another rp id': { rpId: 'example.com' },
  'of another challenge': { challenge: randomBytes(32) },
  'of another type': { type: 'webauthn.other' },
}

t.test('a registration that others accept', async (t) => {
  const key = createSoftwareKey(SITE)
  const { verified, registrationInfo } = await registered(key.register(CHALLENGE, 'ada'))
  t.equal(verified, true)
  t.equal(registrationInfo?.credential.id, key.id)
  t.equal(Buffer.from(registrationInfo?.credential.publicKey ?? []).toString('base64url'), key.publicKey)
  t.match(registrationInfo, {
    fmt: 'none',
    aaguid: '00000000-0000-0000-0000-000000000000',
    userVerified: true,
    credentialBackedUp: false,
    credential: { counter: 0 },
  })
  for (const [how, change] of Object.entries(DISHONEST))
    t.equal(await taken(registered(key.register(CHALLENGE, 'ada', change))), false, how)
})

t.test('a signature that others accept', async (t) => {
  const key = createSoftwareKey(SITE)
  t.equal((await authenticated(key, key.authenticate(CHALLENGE, 'ada'))).verified, true)
  for (const [how, change] of Object.entries({ ...DISHONEST, 'by another key': { wrongKey: true } }))
    t.equal(await taken(authenticated(key, key.authenticate(CHALLENGE, 'ada', change))), false, how)

  const counted = await authenticated(key, key.authenticate(CHALLENGE, 'ada', { counter: 7 }), 6)
  t.equal(counted.authenticationInfo.newCounter, 7)
  t.equal(await taken(authenticated(key, key.authenticate(CHALLENGE, 'ada', { counter: 7 }), 7)), false)
})

t.test('the parts of a proof are those of the browser’s answer', async (t) => {
  const key = createSoftwareKey(SITE)
  const { kind, key_id, client_data, authenticator_data, signature } = key.sign(CHALLENGE)
  t.equal(kind, 'passkey')
  t.equal(
    (
      await authenticated(key, {
        id: key_id,
        rawId: key_id,
        type: 'public-key',
        clientExtensionResults: {},
        response: { clientDataJSON: client_data, authenticatorData: authenticator_data, signature },
      })
    ).verified,
    true,
  )
  const said = (change: Change): Record<string, unknown> =>
    JSON.parse(Buffer.from(key.sign(CHALLENGE, change).client_data, 'base64url').toString())
  t.equal(said({}).crossOrigin, false)
  t.equal(said({ crossOrigin: true }).crossOrigin, true)
})

t.test('a key comes back from its file', async (t) => {
  const key = createSoftwareKey(SITE)
  const same = storedSoftwareKey(JSON.parse(JSON.stringify(key.store())))
  t.equal(same.id, key.id)
  t.equal(same.publicKey, key.publicKey)
  t.equal((await authenticated(key, same.authenticate(CHALLENGE))).verified, true)
})
