import fc from 'fast-check'
import t from 'tap'
import { canonicalText, challengeOf, type PasskeyProof } from '../../../server/audit/proofs/document.js'
import { documentOf, proofProblem, readProof } from '../../../server/audit/proofs/proof.js'
import { aKey, decisionDocument, ed25519, es256, proofBy, rs256, vouchDocument } from './support.js'

t.test('a proof in its one form', async (t) => {
  const document = decisionDocument()
  const proof = proofBy(aKey(), document)
  t.strictSame(readProof(proof), proof)
  t.strictSame(documentOf(proof), document)
  for (const other of [null, 7, 'proof', [], {}, { ...proof, kind: 'fresh-token' }, { ...proof, more: 1 }]) {
    t.equal(readProof(other), undefined)
    t.match(proofProblem(other), /not in its one valid form/)
  }
  for (const field of Object.keys(proof)) {
    t.equal(readProof({ ...proof, [field]: undefined }), undefined, `without ${field}`)
    t.equal(readProof({ ...proof, [field]: 7 }), undefined)
    t.equal(readProof({ ...proof, [field]: '' }), undefined)
  }
  t.throws(() => documentOf({ ...proof, document: '{"type":"writ.decision.v1"}' }), /not a signed document/)
})

t.test('a document has one spelling', async (t) => {
  const key = aKey()
  const document = decisionDocument()
  const text = canonicalText(document)
  const problem = (text: string) => proofProblem(proofBy(key, text))
  t.equal(problem(text), undefined)
  const none = /no document in its one valid form/
  t.match(problem(JSON.stringify(document)), none, 'another order')
  t.match(problem(`${text} `), none, 'a space')
  t.match(problem(text.replace('"max_uses":1', '"max_uses":1,"max_uses":1')), none, 'a field twice')
  t.match(problem(text.replace('"max_uses":1', '"max_uses":1.0')), none, 'another number')
  t.match(problem(text.replace('"max_uses":1', '"max_uses":1e0')), none, 'another number')
  t.match(problem(text.replace('"bob"', '"b\\u006fb"')), none, 'an escape')
  t.match(problem(text.replace('"bob"', '"\\ud800"')), none, 'half a character')
  t.throws(() => canonicalText({ ...document, approver: '\ud800' }), /JSON cannot say/)
  t.equal(problem(canonicalText({ ...document, approver: '\\ud800 \\\\ud800 \u{1f600}' })), undefined)
  t.match(problem(canonicalText({ ...document, more: 1 })), none, 'a field more')
  t.match(problem(`${'['.repeat(30_000)}${']'.repeat(30_000)}`), none, 'a deep one')
  t.match(problem('{"permissions":'.padEnd(40, '[')), none, 'a broken one')
  for (const field of Object.keys(document)) {
    const { [field as keyof typeof document]: _, ...rest } = document
    t.match(problem(canonicalText(rest)), none, `without ${field}`)
    t.match(problem(canonicalText({ ...document, [field]: {} })), none, `${field} of another type`)
  }
  const vouch = vouchDocument()
  for (const field of Object.keys(vouch))
    t.match(problem(canonicalText({ ...vouch, [field]: {} })), none, `${field} of another type`)
  t.match(
    problem(canonicalText({ ...document, expires_at: '2026-02-30T10:00:00.000Z' })),
    none,
    'no such day',
  )
  t.match(problem(canonicalText({ ...document, nonce: 'A'.repeat(42) })), none, 'a short nonce')
})

/** Every field but the id, which names a key and is in nothing that is signed: who holds what says the record. */
const FIELDS = ['document', 'public_key', 'client_data', 'authenticator_data', 'signature'] as const
const keys = [es256(), ed25519(), rs256()]

t.test('no byte of a proof can be another', async (t) => {
  const proofs = keys.flatMap((key) => [proofBy(key, decisionDocument()), proofBy(key, vouchDocument())])
  fc.assert(
    fc.property(
      fc.constantFrom(...proofs),
      fc.constantFrom(...FIELDS),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (proof, field, place, by) => {
        // The bytes that the text stands for, and of the document its own.
        const encoding = field === 'document' ? 'utf8' : 'base64url'
        const bytes = Buffer.from(proof[field], encoding)
        const at = place % bytes.length
        bytes[at] = (bytes[at] ?? 0) ^ by
        const changed = { ...proof, [field]: bytes.toString(encoding) }
        return typeof proofProblem(changed) === 'string'
      },
    ),
    { numRuns: 2000 },
  )
  t.pass()
})

t.test('no character of a proof can be another', async (t) => {
  const proofs = keys.map((key) => proofBy(key, decisionDocument()))
  const character = fc.constantFrom(...'ABCXYZabcxyz0189-_+/= ."{}\\\n\u0000é')
  fc.assert(
    fc.property(
      fc.constantFrom(...proofs),
      fc.constantFrom(...FIELDS),
      fc.nat(),
      character,
      fc.boolean(),
      (proof, field, place, by, more) => {
        const text = proof[field]
        const at = place % (text.length + 1)
        const changed = text.slice(0, at) + by + text.slice(more ? at : at + 1)
        return changed === text || typeof proofProblem({ ...proof, [field]: changed }) === 'string'
      },
    ),
    { numRuns: 2000 },
  )
  t.pass()
})

t.test('whatever is cut off, the answer is a sentence', async (t) => {
  const proofs = keys.map((key) => proofBy(key, decisionDocument()))
  fc.assert(
    fc.property(
      fc.constantFrom(...proofs),
      fc.constantFrom(...FIELDS, 'key_id'),
      fc.nat(),
      (proof, field, place) => {
        const text = proof[field]
        const problem = proofProblem({ ...proof, [field]: text.slice(0, place % text.length) })
        return field === 'key_id' || (typeof problem === 'string' && /^[A-Z].*\.$/.test(problem))
      },
    ),
    { numRuns: 2000 },
  )
  // Signed all the same: behind the signature lies the reading of what is signed.
  const key = es256()
  const text = canonicalText(decisionDocument())
  const clientData = Buffer.from(key.sign(challengeOf(text)).client_data, 'base64url')
  const authData = Buffer.from(key.sign(challengeOf(text)).authenticator_data, 'base64url')
  for (let length = 0; length < clientData.length; length++) {
    const signed = key.sign(challengeOf(text), { clientData: clientData.subarray(0, length) })
    t.type(proofProblem({ document: text, public_key: key.publicKey, ...signed }), 'string')
  }
  for (let length = 0; length < authData.length; length++) {
    const signed = key.sign(challengeOf(text), { authData: authData.subarray(0, length) })
    t.type(proofProblem({ document: text, public_key: key.publicKey, ...signed }), 'string')
  }
  for (let length = 0; length < text.length; length += 7)
    t.type(proofProblem(proofBy(key, text.slice(0, length).padEnd(16))), 'string')
})

t.test('anything at all is answered', async (t) => {
  fc.assert(
    fc.property(fc.anything(), (value) => typeof proofProblem(value) === 'string'),
    { numRuns: 500 },
  )
  const proof = proofBy(es256(), decisionDocument())
  fc.assert(
    fc.property(
      fc.record<Partial<PasskeyProof>>(
        {
          document: fc.string(),
          key_id: fc.base64String(),
          public_key: fc.base64String(),
          client_data: fc.base64String(),
          authenticator_data: fc.base64String(),
          signature: fc.base64String(),
        },
        { requiredKeys: ['signature'] },
      ),
      (change) => typeof proofProblem({ ...proof, ...change }) === 'string',
    ),
    { numRuns: 500 },
  )
  t.pass()
})
