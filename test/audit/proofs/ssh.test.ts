import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { canonicalText, SSH_NAMESPACE, type SshProof } from '../../../server/audit/proofs/document.js'
import {
  readSshPublicKey,
  signatureBlob,
  sshProblem,
  sshSignCount,
} from '../../../server/audit/proofs/ssh.js'
import { wireString } from '../../../server/audit/proofs/ssh-wire.js'
import { armoured, type SkKind, type SkOptions, softwareSk } from '../../support/software-sk.js'

const DOCUMENT = canonicalText({ type: 'writ.decision.v1', decision: 'approve', request: '00000000000a' })
const KINDS: readonly SkKind[] = ['ed25519', 'ecdsa']

/** Made by ssh-keygen of OpenSSH 9.2 itself, with the software middleware of its regression tests. */
const MADE = [
  {
    line: 'sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIDb1WYXC0dMc0UDu8EI4/DG8/h5He4NzbTX1bQ12I/RxAAAABHNzaDo= made by ssh-keygen\n',
    keyId: 'SHA256:S9hgyHghWnzhF8ZCvN72jl9nDby/EIbzKy55MV4Uwi8',
    armour: `-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAgNvVZhc
LR0xzRQO7wQjj8Mbz+Hkd7g3NtNfVtDXYj9HEAAAAEc3NoOgAAABB3cml0LWRlY2lzaW9u
QHYxAAAAAAAAAAZzaGE1MTIAAABnAAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAA
AAQKE76C2eW3CGOWulUtbD66pK5Fd8WFXGkaN6TAPrqdMWW375IBZgyJo04Ysb9Qz9bJiN
cPY5HD/YjBcELy/xbAIFEjRWeA==
-----END SSH SIGNATURE-----
`,
  },
  {
    line: 'sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYAAABBBKOdmKOW1GPnPKyDPrNseEVT5c+oSi2j2/eNtlfUI10BtiKmEPXWSNI8Q6ZlAyXyHQHMLkr3m2pTGUAfLsmEgjMAAAAEc3NoOg== made by ssh-keygen',
    keyId: 'SHA256:oDEf0DFwRokH7g2NoDY6LFDaNI5Ns4f6tLiw2p6jUCc',
    armour: `-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAH8AAAAic2stZWNkc2Etc2hhMi1uaXN0cDI1NkBvcGVuc3NoLmNvbQ
AAAAhuaXN0cDI1NgAAAEEEo52Yo5bUY+c8rIM+s2x4RVPlz6hKLaPb9422V9QjXQG2IqYQ
9dZI0jxDpmUDJfIdAcwuSvebalMZQB8uyYSCMwAAAARzc2g6AAAAEHdyaXQtZGVjaXNpb2
5AdjEAAAAAAAAABnNoYTUxMgAAAHkAAAAic2stZWNkc2Etc2hhMi1uaXN0cDI1NkBvcGVu
c3NoLmNvbQAAAEoAAAAhAPR7NVAdge6OZrNDW4pv3TdNgRX7mHIC+EFit+wEC1AQAAAAIQ
CKPT7MkPJozjeyuwspxj+X4Ate2lpDENY/Mo360QDvFQUSNFZ4
-----END SSH SIGNATURE-----
`,
  },
]

/** The same, by keys that were made without `-O verify-required`, over `hello`. */
const TOUCHED_ONLY = {
  line: 'sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAINeGzO7uvvT5LANXQ5ODrDDZmsozeuZCgcJwQzpoaLobAAAABHNzaDo= plain',
  armour: `-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAg14bM7u
6+9PksA1dDk4OsMNmayjN65kKBwnBDOmhouhsAAAAEc3NoOgAAABB3cml0LWRlY2lzaW9u
QHYxAAAAAAAAAAZzaGE1MTIAAABnAAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAA
AAQFORZtHgAHXhopAkUofo/XcmBqBDpTPr1RicUYMC0QVf3RgNua6ZbMBTnf6R9uiGB8Ps
McxDSjPKOsEA3o1+9QABEjRWeA==
-----END SSH SIGNATURE-----
`,
}

const proofOf = (line: string, armour: string, document: string): SshProof => {
  const key = readSshPublicKey(line)
  const signature = signatureBlob(armour)
  if (key === undefined || signature === undefined) throw new Error('a key or signature that cannot be read')
  return { ...key, document, signature }
}

t.test('what ssh-keygen made with a key that verifies its user holds', async (t) => {
  for (const { line, keyId, armour } of MADE) {
    const proof = proofOf(line, armour, DOCUMENT)
    t.equal(proof.key_id, keyId)
    t.equal(sshProblem(proof), undefined)
    t.equal(sshSignCount(proof), 0x12345678)
    t.match(sshProblem({ ...proof, document: `${DOCUMENT} ` }), /not over this document/)
  }
  const touched = proofOf(TOUCHED_ONLY.line, TOUCHED_ONLY.armour, 'hello')
  t.match(
    sshProblem(touched),
    /did not verify its user/,
    'a good signature all the same: ssh-keygen takes it',
  )
})

for (const kind of KINDS) {
  t.test(`gates: ${kind}`, async (t) => {
    const sk = softwareSk(kind)
    const after = (options: SkOptions) => sshProblem(sk.proof(DOCUMENT, options))
    t.equal(after({}), undefined)
    t.equal(after({ counter: 0 }), undefined)
    // Backup eligibility and state, as a synced key has them.
    t.equal(after({ flags: 0x1d }), undefined)

    t.match(after({ flags: 0x04 }), /user presence/)
    t.match(after({ flags: 0x00 }), /user presence/)
    t.match(after({ flags: 0x01 }), /did not verify/)
    t.match(after({ flags: 0x15 }), /contradict/)
    t.match(after({ flags: 0x45 }), /more than SSH can say/)
    t.match(after({ flags: 0x85 }), /more than SSH can say/)
    t.match(after({ namespace: 'file' }), /namespace/)
    t.match(after({ namespace: `${SSH_NAMESPACE}\n` }), /not one that ssh-keygen/)
    t.match(after({ namespace: '' }), /namespace/)
    t.match(after({ reserved: 'x' }), /reserved/)
    t.match(after({ hash: 'sha256' }), /sha512/)
    t.match(after({ version: 2 }), /not one that ssh-keygen/)
    t.match(after({ version: 0 }), /not one that ssh-keygen/)
    t.match(after({ application: 'example.com' }), /not over this document/)
    t.match(after({ type: 'webauthn-sk-ecdsa-sha2-nistp256@openssh.com' }), /another type/)
    t.match(after({ type: kind === 'ed25519' ? 'ssh-ed25519' : 'ecdsa-sha2-nistp256' }), /another type/)
    for (const trailing of ['blob', 'signature', 'numbers'] as const) {
      t.match(after({ trailing }), /not one that ssh-keygen/, `bytes after the ${trailing}`)
    }
    if (kind === 'ecdsa') {
      // Often enough that a number of each length is among them.
      for (let counter = 0; counter < 20; counter += 1) {
        if (after({ padded: true, counter }) === undefined) t.fail('one number has one spelling')
      }
    }

    const other = softwareSk(kind)
    t.match(after({ named: other.blob }), /names another key/)
    const proof = sk.proof(DOCUMENT)
    t.match(sshProblem({ ...proof, key_id: other.keyId }), /fingerprint/)
    t.match(sshProblem({ ...proof, key_id: `${sk.keyId}=` }), /fingerprint/)
    t.match(sshProblem({ ...other.proof(DOCUMENT), signature: proof.signature }), /names another key/)
    t.match(sshProblem({ ...proof, document: `${DOCUMENT}\n` }), /not over this document/)
    t.match(sshProblem({ ...sk.proof('\ufffd'), document: '\ud800' }), /not Unicode/)

    const website = softwareSk(kind, 'example.com')
    t.match(sshProblem(website.proof(DOCUMENT)), /application/, "a website's credential is no SSH key")
    t.equal(sshProblem(softwareSk(kind, 'ssh:writ').proof(DOCUMENT)), undefined)
  })
}

t.test('keys that are none', async (t) => {
  const sk = softwareSk('ed25519')
  t.match(readSshPublicKey(`${sk.publicKey} bob@laptop\n`), {
    public_key: sk.publicKey,
    key_id: sk.keyId,
    kind: 'ssh-sk',
  })
  t.equal(readSshPublicKey(sk.publicKey)?.key_id, sk.keyId)
  t.equal(readSshPublicKey(`${sk.publicKey}\r\n`)?.key_id, sk.keyId)
  for (const line of [
    '',
    sk.publicKey.slice(0, -4),
    `${sk.publicKey}AAAA`,
    `${sk.publicKey}\n${sk.publicKey}`,
    `no-touch-required ${sk.publicKey}`,
    ` ${sk.publicKey}`,
    sk.publicKey.replace('ed25519@', 'ed25519-cert-v01@'),
    `${sk.publicKey} ${'x'.repeat(2000)}`,
  ]) {
    t.equal(readSshPublicKey(line), undefined, line.slice(0, 60))
  }

  const { publicKey } = generateKeyPairSync('ed25519')
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')
  const named = (type: string, ...parts: readonly (string | Buffer)[]) =>
    `${type} ${Buffer.concat([wireString(type), ...parts.map(wireString)]).toString('base64')}`
  const ED = 'sk-ssh-ed25519@openssh.com'
  const EC = 'sk-ecdsa-sha2-nistp256@openssh.com'
  t.ok(readSshPublicKey(named(ED, point, 'ssh:')), 'so that what follows is refused for its own reason')
  t.notOk(readSshPublicKey(named('ssh-ed25519', point)), 'a plain key')
  t.notOk(readSshPublicKey(named(ED, point)), 'no application')
  t.notOk(readSshPublicKey(named(ED, point, 'ssh:', '')), 'something after it')
  t.notOk(readSshPublicKey(named(ED, point, 'ssh:\0')), 'a control character')
  t.notOk(readSshPublicKey(named(ED, point.subarray(1), 'ssh:')), 'a short point')
  t.notOk(readSshPublicKey(`${EC} ${named(ED, point, 'ssh:').split(' ')[1]}`), 'two types')
  t.notOk(readSshPublicKey(`${ED} ${named('ssh-ed25519', point, 'ssh:').split(' ')[1]}`), 'another inside')
  const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  const onCurve = Buffer.concat([
    Buffer.of(4),
    Buffer.from(curve.x ?? '', 'base64url'),
    Buffer.from(curve.y ?? '', 'base64url'),
  ])
  t.ok(readSshPublicKey(named(EC, 'nistp256', onCurve, 'ssh:')))
  t.notOk(readSshPublicKey(named(EC, 'nistp384', onCurve, 'ssh:')), 'another curve')
  t.notOk(readSshPublicKey(named('ecdsa-sha2-nistp256', 'nistp256', onCurve, 'ssh:')), 'no FIDO2 key')
  t.notOk(readSshPublicKey(named(EC, 'nistp256', Buffer.alloc(65, 4), 'ssh:')), 'a point beside the curve')
  const identity = Buffer.concat([Buffer.of(1), Buffer.alloc(31)])
  t.notOk(readSshPublicKey(named(ED, identity, 'ssh:')), 'a point of small order: anybody can sign for it')
  const negative = Buffer.concat([Buffer.alloc(31), Buffer.of(0x80)])
  t.notOk(readSshPublicKey(named(ED, negative, 'ssh:')), 'the same with the other sign')
})

t.test('armour', async (t) => {
  const { armour = '' } = MADE[0] ?? {}
  const blob = signatureBlob(armour)
  t.match(blob, /^U1NIU0lH/)
  t.equal(signatureBlob(armour.replaceAll('\n', '\r\n')), blob, 'as Windows writes it')
  for (const other of [
    `x\n${armour}`,
    `\n${armour}`,
    `${armour}x`,
    armour + armour,
    armour.slice(0, -1),
    armour.replace('\n', '\r'),
  ]) {
    t.equal(signatureBlob(other), undefined, JSON.stringify(other.slice(0, 8)))
  }
})

t.test('ssh-keygen takes what the software keys make', async (t) => {
  if (spawnSync('ssh-keygen', ['-Y', 'check-novalidate'], { stdio: 'ignore' }).error !== undefined) {
    if (process.env.WRIT_CI === '1') t.fail('ssh-keygen is not installed, and WRIT_CI=1 wants it')
    else t.comment('SKIPPED: ssh-keygen is not installed, so nothing here shows that it agrees')
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'writ-sk-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const kind of KINDS) takenBySshKeygen(t, folder, kind)
})

function takenBySshKeygen(t: Test, folder: string, kind: SkKind): void {
  const sk = softwareSk(kind)
  const at = (name: string) => join(folder, `${kind}-${name}`)
  const verifies = (options: SkOptions, document = DOCUMENT) => {
    writeFileSync(at('sig'), armoured(sk.sign(DOCUMENT, options)))
    writeFileSync(at('allowed'), `bob@example.com ${sk.publicKey}\n`)
    const of = ['-n', SSH_NAMESPACE, '-s', at('sig')]
    const verify = ['-Y', 'verify', '-f', at('allowed'), '-I', 'bob@example.com', ...of]
    const checked = [['-Y', 'check-novalidate', ...of], verify].map(
      (args) => spawnSync('ssh-keygen', args, { input: document }).status === 0,
    )
    return checked.every((one) => one)
  }
  t.ok(verifies({}), kind)
  t.ok(verifies({ flags: 0x00 }), 'which ignores whether anybody was there: why we check ourselves')
  t.notOk(verifies({}, `${DOCUMENT} `))
  t.notOk(verifies({ namespace: 'file' }))
  writeFileSync(at('key.pub'), `${sk.publicKey} test\n`)
  const listed = spawnSync('ssh-keygen', ['-l', '-f', at('key.pub')], { encoding: 'utf8' })
  t.match(listed.stdout, sk.keyId)
}
