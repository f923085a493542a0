import fc from 'fast-check'
import t from 'tap'
import { decisionCode } from '../../../server/audit/proofs/decision-code.js'
import { canonicalText } from '../../../server/audit/proofs/document.js'
import {
  readSshPublicKey,
  signatureBlob,
  sshProblem,
  sshSignCount,
} from '../../../server/audit/proofs/ssh.js'
import { wireReader, wireString } from '../../../server/audit/proofs/ssh-wire.js'
import { cpuClock } from '../../support/cpu-clock.js'
import { armoured, softwareSk } from '../../support/software-sk.js'

const DOCUMENT = canonicalText({
  type: 'writ.decision.v1',
  decision: 'approve',
  comment: 'ü\u{1f511}',
  uses: 3,
})

for (const kind of ['ed25519', 'ecdsa'] as const) {
  const sk = softwareSk(kind)
  const proof = sk.proof(DOCUMENT)
  const armour = Buffer.from(armoured(Buffer.from(proof.signature, 'base64')))
  /** Through the armour, as a terminal brings it. */
  const refused = (changed: Buffer): boolean => {
    const signature = signatureBlob(changed.toString('latin1'))
    return signature === undefined || sshProblem({ ...proof, signature }) !== undefined
  }
  const changedAt = (data: Buffer, at: number, by: number): Buffer => {
    const changed = Buffer.from(data)
    changed[at] = (changed[at] ?? 0) ^ by
    return changed
  }

  t.test(`${kind}: one changed byte anywhere`, async (t) => {
    t.notOk(refused(armour))
    const blob = Buffer.from(proof.signature, 'base64')
    // Every place once, with a change of its own; then any change at any place.
    const through = [...armour.keys()].filter((at) => !refused(changedAt(armour, at, 1 + (at % 255))))
    t.strictSame(through, [], 'of the armour')
    const inside = [...blob.keys()].filter(
      (at) => !refused(Buffer.from(armoured(changedAt(blob, at, 1 + (at % 255))))),
    )
    t.strictSame(inside, [], 'of the blob')
    const document = Buffer.from(DOCUMENT)
    const other = [...document.keys()].filter(
      (at) =>
        sshProblem({ ...proof, document: changedAt(document, at, 1 + (at % 255)).toString() }) === undefined,
    )
    t.strictSame(other, [], 'of the document')
    fc.assert(
      fc.property(fc.nat(armour.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) =>
        refused(changedAt(armour, at, by)),
      ),
      { numRuns: 1500 },
    )
    fc.assert(
      fc.property(
        fc.constantFrom('key_id', 'public_key'),
        fc.nat(400),
        fc.integer({ min: 1, max: 127 }),
        (field, at, by) => {
          const value = Buffer.from(proof[field])
          const changed = changedAt(value, at % value.length, by).toString('latin1')
          return sshProblem({ ...proof, [field]: changed }) !== undefined
        },
      ),
      { numRuns: 1500 },
    )
  })

  t.test(`${kind}: cut short, or made up, it is refused and nothing is thrown`, async (t) => {
    const blob = Buffer.from(proof.signature, 'base64')
    const kept = [...blob.keys()].filter(
      (length) =>
        sshProblem({ ...proof, signature: blob.subarray(0, length).toString('base64') }) === undefined,
    )
    t.strictSame(kept, [])
    for (const at of armour.keys()) if (!refused(armour.subarray(0, at))) t.fail(`cut at ${at}`)
    fc.assert(
      fc.property(
        fc.nat(blob.length - 5),
        fc.constantFrom(0xffffffff, 0xfffffffc, 0x7fffffff, 0x80000000),
        (at, length) => {
          const absurd = Buffer.from(blob)
          absurd.writeUInt32BE(length, at)
          return (
            absurd.equals(blob) ||
            sshProblem({ ...proof, signature: absurd.toString('base64') }) !== undefined
          )
        },
      ),
    )
  })
}

t.test('anything at all', async (t) => {
  const sk = softwareSk('ecdsa')
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.base64String({ maxLength: 800 }),
    fc.constant(sk.publicKey),
  )
  fc.assert(
    fc.property(text, text, text, text, (document, key_id, public_key, signature) => {
      const proof = { kind: 'ssh-sk', document, key_id, public_key, signature } as const
      sshSignCount(proof)
      readSshPublicKey(signature)
      return sshProblem(proof) !== undefined && signatureBlob(document) === undefined
    }),
    { numRuns: 2000 },
  )
  const long = 'A'.repeat(10_000_000)
  const took = cpuClock()
  t.ok(sshProblem({ ...sk.proof(DOCUMENT), signature: long }))
  t.ok(sshProblem({ ...sk.proof(DOCUMENT), public_key: `sk-ssh-ed25519@openssh.com ${long}` }))
  t.equal(signatureBlob(long), undefined)
  t.equal(readSshPublicKey(long), undefined)
  t.ok(took() < 1000, 'what is too long is not even decoded')
})

t.test('the reader', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (strings) => {
      const reader = wireReader(Buffer.concat(strings.map(wireString)))
      return strings.every((one) => reader.string()?.equals(one)) && reader.ended()
    }),
  )
  const broken = wireReader(Buffer.of(0, 0, 0, 9, 1))
  t.equal(broken.string(), undefined)
  t.equal(broken.byte(), undefined, 'nothing is read after what was wrong')
  t.notOk(broken.ended())
  t.notOk(wireReader(Buffer.of(1)).ended())
})

t.test('the code to compare', async (t) => {
  const request = {
    id: '00000000000a',
    permissions_sha256: 'a'.repeat(64),
    policy_digest: `sha256:${'b'.repeat(64)}`,
  }
  // Kept: a page and a terminal of different versions show the same.
  t.equal(decisionCode(request), 'Y451-DWM9')
  t.match(decisionCode(request), /^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
  for (const other of [
    { id: '00000000000b' },
    { permissions_sha256: 'c'.repeat(64) },
    { policy_digest: 'sha256:c' },
  ]) {
    t.not(decisionCode({ ...request, ...other }), decisionCode(request))
  }
})
