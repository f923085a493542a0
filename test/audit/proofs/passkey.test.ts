import { verifyAuthenticationResponse } from '@simplewebauthn/server'
import t from 'tap'
import type { Change } from '../../../cli/software-key.js'
import { canonicalText, challengeOf, type PasskeyProof } from '../../../server/audit/proofs/document.js'
import { proofProblem } from '../../../server/audit/proofs/proof.js'
import {
  aKey,
  authData,
  coseEc,
  coseOkp,
  coseRsa,
  decisionDocument,
  ed25519,
  es256,
  FLAGS,
  proofBy,
  rs256,
  SITE,
  vouchDocument,
} from './support.js'

const { UP, UV, BE, BS, AT, ED } = FLAGS

/** What the library says of the same signature; it does not know of documents. */
async function taken(proof: PasskeyProof): Promise<boolean> {
  try {
    const { verified } = await verifyAuthenticationResponse({
      response: {
        id: proof.key_id,
        rawId: proof.key_id,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: proof.client_data,
          authenticatorData: proof.authenticator_data,
          signature: proof.signature,
        },
      },
      expectedChallenge: challengeOf(proof.document).toString('base64url'),
      expectedOrigin: SITE.origin,
      expectedRPID: SITE.rpId,
      requireUserVerification: true,
      credential: {
        id: proof.key_id,
        publicKey: Uint8Array.from(Buffer.from(proof.public_key, 'base64url')),
        counter: 0,
      },
    })
    return verified
  } catch {
    return false
  }
}

t.test('a signature of each algorithm, as the library has it', async (t) => {
  for (const key of [aKey(), es256(), ed25519(), rs256(), rs256(3072)]) {
    for (const document of [decisionDocument(), vouchDocument()]) {
      const proof = proofBy(key, document)
      t.equal(proofProblem(proof), undefined)
      t.equal(await taken(proof), true)
    }
  }
})

t.test('what no honest authenticator and browser would make', async (t) => {
  const key = aKey()
  const document = decisionDocument()
  const changes: readonly (readonly [Change, RegExp])[] = [
    [{ userVerified: false }, /did not verify who/],
    [{ userPresent: false }, /nobody there/],
    [{ origin: 'https://writ.example.com.evil.example' }, /another origin/],
    [{ origin: 'http://writ.example.com' }, /another origin/],
    [{ rpId: 'example.com' }, /another relying party/],
    [{ challenge: challengeOf(canonicalText(decisionDocument())) }, /another document/],
    [{ challenge: Buffer.from(canonicalText(document)) }, /another document/],
    [{ type: 'webauthn.create' }, /another ceremony/],
    [{ type: 'payment.get' }, /another ceremony/],
    [{ wrongKey: true }, /not by this key/],
  ]
  for (const [change, why] of changes) {
    const proof = proofBy(key, document, change)
    t.match(proofProblem(proof), why)
    t.equal(await taken(proof), false, JSON.stringify(Object.keys(change)))
  }
  // The library leaves this to its caller.
  t.match(proofProblem(proofBy(key, document, { crossOrigin: true })), /in a frame/)
  t.equal(proofProblem(proofBy(key, document, { counter: 4_000_000_000 })), undefined)
})

t.test('client data that says more, or nothing', async (t) => {
  const key = es256()
  const text = canonicalText(decisionDocument())
  const challenge = challengeOf(text)
  const said = { type: 'webauthn.get', challenge: challenge.toString('base64url'), origin: SITE.origin }
  const problem = (clientData: unknown) =>
    proofProblem({ document: text, public_key: key.publicKey, ...key.sign(challenge, { clientData }) })
  t.equal(problem({ ...said, crossOrigin: false }), undefined)
  // Chromium, now and then, so that nobody compares with a template (section 5.8.1).
  t.equal(problem({ ...said, other_keys_can_be_added_here: 'do not compare' }), undefined)
  t.match(problem({ ...said, crossOrigin: 'no' }), /frame/)
  t.match(problem({ ...said, topOrigin: 'https://evil.example' }), /frame/)
  t.match(problem({ ...said, challenge: challenge.toString('base64') }), /another document/)
  t.match(problem({ ...said, challenge: undefined }), /another document/)
  t.match(problem(Buffer.from('null')), /cannot be read/)
  t.match(problem([said]), /another ceremony/)
  t.match(problem(Buffer.from('{')), /cannot be read/)
  t.match(problem(Buffer.from([...Buffer.from(`{"x":"`), 0xff, ...Buffer.from('"}')])), /cannot be read/)
})

t.test('authenticator data', async (t) => {
  const key = es256()
  const text = canonicalText(decisionDocument())
  const problem = (data: Buffer) =>
    proofProblem({
      document: text,
      public_key: key.publicKey,
      ...key.sign(challengeOf(text), { authData: data }),
    })
  t.equal(problem(authData(UP | UV | BE)), undefined)
  t.equal(problem(authData(UP | UV | BE | BS)), undefined, 'a synced passkey')
  t.equal(problem(authData(UP | UV | ED, Buffer.of(0xa0))), undefined, 'extensions')
  t.match(problem(authData(UP | UV | BS)), /malformed/, 'a copy of what cannot be copied')
  t.match(problem(authData(UP | UV, Buffer.of(0))), /malformed/, 'a byte too many')
  t.match(problem(authData(UP | UV).subarray(0, 36)), /malformed/, 'a byte too few')
  t.match(problem(authData(0)), /nobody there/)
  t.match(problem(authData(UV | AT | ED)), /nobody there/)
  t.match(problem(authData(UP | AT)), /did not verify/)
})

t.test('a relying party is the host of the origin, or a domain above it', async (t) => {
  const problem = (origin: string, rp_id: string) => {
    const key = { ...aKey() }
    return proofProblem(proofBy(key, decisionDocument({ origin, rp_id }), { origin, rpId: rp_id }))
  }
  t.equal(problem('https://writ.example.com', 'writ.example.com'), undefined)
  t.equal(problem('https://writ.example.com:8443', 'example.com'), undefined)
  t.equal(problem('http://localhost:7117', 'localhost'), undefined)
  t.match(problem('https://writ.example.com', 'other.example.com'), /relying party/)
  t.match(problem('https://evilexample.com', 'example.com'), /relying party/)
  t.match(problem('https://example.com', 'writ.example.com'), /relying party/)
  for (const origin of [
    'https://writ.example.com/',
    'https://WRIT.example.com',
    'https://writ.example.com:443',
  ])
    t.match(problem(origin, 'writ.example.com'), /no document/, origin)
  t.match(problem('file:///console', 'writ.example.com'), /no document/)
})

t.test('a key has one spelling', async (t) => {
  const text = canonicalText(decisionDocument())
  const problem = (cose: Buffer | string, key = es256()) =>
    proofProblem({
      document: text,
      ...key.sign(challengeOf(text)),
      public_key: typeof cose === 'string' ? cose : cose.toString('base64url'),
    })
  const none = /not one that a passkey may have/
  const one = es256()
  const cose = Buffer.from(one.publicKey, 'base64url')
  const [x, y] = [cose.subarray(10, 42), cose.subarray(45)]
  t.equal(problem(cose, one), undefined)
  t.equal(problem(coseEc(x, y), one), undefined)

  t.match(problem(Buffer.concat([cose, Buffer.of(0)]), one), none, 'more behind it')
  t.match(problem(cose.subarray(0, -1), one), none, 'cut off')
  t.match(problem(Buffer.alloc(0), one), /valid form/)
  t.match(problem(Buffer.of(0xa0), one), none, 'an empty map')
  t.match(problem(Buffer.of(0x80), one), none, 'no map')
  const hex = cose.toString('hex')
  const changed = (from: string, to: string) => Buffer.from(hex.replace(from, to), 'hex')
  t.match(problem(changed('a50102', 'b8050102'), one), none, 'a longer count')
  t.match(problem(changed('a501020326', 'a503260102'), one), none, 'another order')
  t.match(problem(changed('a501020326', 'a501020102'), one), none, 'a field twice')
  t.match(problem(changed('a501020326', 'a60102032604'), one), none, 'a field more')
  t.match(problem(changed('a50102', 'a5180102'), one), none, 'a longer number')
  t.match(problem(changed('215820', '21590020'), one), none, 'a longer length')
  t.match(problem(changed('215820', '217820'), one), none, 'a text')
  t.match(problem(changed('a501020326', 'a501020327'), one), none, 'another algorithm')
  t.match(problem(changed('2001', '2002'), one), none, 'another curve')
  t.match(problem(coseEc(x, x), one), none, 'a point off the curve')
  t.match(problem(coseEc(Buffer.alloc(32), Buffer.alloc(32)), one), none)

  // Whose keys these are, everybody can sign.
  for (const point of ['00', '01', 'ec', 'ed', 'ee']) {
    const weak = Buffer.alloc(32, point > 'a' ? 0xff : 0)
    weak[0] = Number.parseInt(point, 16)
    weak[31] = point > 'a' ? 0x7f : 0
    t.match(problem(coseOkp(weak)), none)
    weak[31] |= 0x80
    t.match(problem(coseOkp(weak)), none)
  }
  t.match(problem(coseRsa(Buffer.alloc(256, 0xff), Buffer.of(1))), none, 'the exponent 1')
  t.match(problem(rs256(2048, 3).publicKey), none, 'the exponent 3')
  t.match(problem(rs256(1024).publicKey), none, 'a short modulus')
  const long = Buffer.from(rs256().publicKey, 'base64url')
  const n = long.subarray(11, 11 + 256)
  t.match(problem(coseRsa(Buffer.concat([Buffer.of(0), n]), Buffer.of(1, 0, 1))), none, 'a leading zero')
})

t.test('a signature of small order holds for no key of ours', async (t) => {
  // R = the identity and s = 0 verify under a point of small order whenever the hash is a multiple of it.
  const { createPublicKey, verify } = await import('node:crypto')
  const signature = Buffer.concat([Buffer.of(1), Buffer.alloc(63)])
  const identity = Buffer.concat([Buffer.of(1), Buffer.alloc(31)])
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: identity.toString('base64url') },
    format: 'jwk',
  })
  t.equal(verify(null, Buffer.from('anything'), key, signature), true, 'OpenSSL takes it')
  const text = canonicalText(decisionDocument())
  t.match(
    proofProblem({
      document: text,
      ...es256().sign(challengeOf(text)),
      public_key: coseOkp(identity).toString('base64url'),
      signature: signature.toString('base64url'),
    }),
    /not one that a passkey may have/,
  )
})
