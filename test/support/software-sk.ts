import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { SSH_NAMESPACE, type SshProof } from '../../server/audit/proofs/document.js'

/**
 * FIDO2 keys of OpenSSH in software: they sign as an authenticator does for `ssh-keygen -Y sign`, and as none would.
 * Written from PROTOCOL.sshsig and PROTOCOL.u2f with an encoder of its own, so that a misreading is not shared.
 */
export interface SoftwareSk {
  /** `sk-ssh-ed25519@openssh.com AAAA…` */
  readonly publicKey: string
  readonly keyId: string
  readonly blob: Buffer
  readonly sign: (document: string, options?: SkOptions) => Buffer
  readonly proof: (document: string, options?: SkOptions) => SshProof
  /** KEY and KEY.pub, as a folder `.ssh` has them; the private half only the stand-in can read. */
  readonly save: (path: string, options?: SkOptions & { readonly behaviour?: Behaviour }) => string
}

/** What an attacker, or a broken tool, would change. */
export interface SkOptions {
  /** User present and verified unless told. */
  readonly flags?: number
  readonly counter?: number
  readonly namespace?: string
  readonly hash?: string
  readonly reserved?: string
  readonly version?: number
  /** What the authenticator hashes as its rp id; the key's own unless told. */
  readonly application?: string
  /** Type named inside the signature. */
  readonly type?: string
  /** Public key named inside the blob. */
  readonly named?: Buffer
  readonly trailing?: 'blob' | 'signature' | 'numbers'
  /** A needless zero before r. */
  readonly padded?: boolean
}

/** How the stand-in for ssh-keygen fails, in OpenSSH's own words. */
export type Behaviour =
  | 'sign'
  | 'no-device'
  | 'wrong-pin'
  | 'no-touch'
  | 'hang'
  | 'other-document'
  | 'rubbish'

export type SkKind = 'ed25519' | 'ecdsa'

const TYPES = {
  ed25519: 'sk-ssh-ed25519@openssh.com',
  ecdsa: 'sk-ecdsa-sha2-nistp256@openssh.com',
} as const

const string = (data: string | Buffer): Buffer => {
  const bytes = Buffer.from(data as string)
  return Buffer.concat([uint32(bytes.length), bytes])
}
const uint32 = (value: number): Buffer => Buffer.from(value.toString(16).padStart(8, '0'), 'hex')
const digest = (hash: string, data: string | Buffer): Buffer => createHash(hash).update(data).digest()
const mpint = (number: Buffer, padded = false): Buffer => {
  const digits = number.subarray(number.findIndex((byte) => byte !== 0))
  const zeros = ((digits[0] ?? 0) > 127 ? 1 : 0) + (padded ? 1 : 0)
  return string(Buffer.concat([Buffer.alloc(zeros), digits]))
}

export function softwareSk(kind: SkKind, application = 'ssh:'): SoftwareSk {
  const { privateKey } =
    kind === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return holding(kind, application, privateKey)
}

function holding(kind: SkKind, application: string, privateKey: KeyObject): SoftwareSk {
  const jwk = privateKey.export({ format: 'jwk' })
  const [x, y] = [Buffer.from(jwk.x ?? '', 'base64url'), Buffer.from(jwk.y ?? '', 'base64url')]
  const point =
    kind === 'ed25519' ? [string(x)] : [string('nistp256'), string(Buffer.concat([Buffer.of(4), x, y]))]
  const blob = Buffer.concat([string(TYPES[kind]), ...point, string(application)])
  const publicKey = `${TYPES[kind]} ${blob.toString('base64')}`
  const keyId = `SHA256:${digest('sha256', blob).toString('base64').slice(0, 43)}`

  const signBlob = (document: string, o: SkOptions = {}): Buffer => {
    const [namespace, hash] = [o.namespace ?? SSH_NAMESPACE, o.hash ?? 'sha512']
    const reserved = o.reserved ?? ''
    const message = Buffer.concat([
      Buffer.from('SSHSIG'),
      ...[namespace, reserved, hash].map(string),
      string(digest(hash, document)),
    ])
    const tail = Buffer.concat([Buffer.of(o.flags ?? 0x05), uint32(o.counter ?? nextCount())])
    const asked = Buffer.concat([
      digest('sha256', o.application ?? application),
      tail,
      digest('sha256', message),
    ])
    const raw =
      kind === 'ed25519'
        ? sign(null, asked, privateKey)
        : sign('sha256', asked, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    const more = (where: SkOptions['trailing']) => (o.trailing === where ? Buffer.of(0) : Buffer.alloc(0))
    const numbers =
      kind === 'ed25519'
        ? raw
        : Buffer.concat([mpint(raw.subarray(0, 32), o.padded), mpint(raw.subarray(32))])
    return Buffer.concat([
      Buffer.from('SSHSIG'),
      uint32(o.version ?? 1),
      string(o.named ?? blob),
      ...[namespace, reserved, hash].map(string),
      string(
        Buffer.concat([
          string(o.type ?? TYPES[kind]),
          string(Buffer.concat([numbers, more('numbers')])),
          tail,
          more('signature'),
        ]),
      ),
      more('blob'),
    ])
  }

  return {
    publicKey,
    keyId,
    blob,
    sign: signBlob,
    proof: (document, options) => ({
      kind: 'ssh-sk',
      document,
      key_id: keyId,
      public_key: publicKey,
      signature: signBlob(document, options).toString('base64'),
    }),
    save: (path, { behaviour = 'sign', ...options } = {}) => {
      const pkcs8 = privateKey.export({ format: 'pem', type: 'pkcs8' })
      writeFileSync(path, JSON.stringify({ kind, application, pkcs8, behaviour, options }), { mode: 0o600 })
      writeFileSync(`${path}.pub`, `${publicKey} somebody@laptop\n`)
      return path
    },
  }
}

/** As ssh-keygen writes it: lines of 70 characters. */
export const armoured = (blob: Buffer): string =>
  `-----BEGIN SSH SIGNATURE-----\n${(blob.toString('base64').match(/.{1,70}/g) ?? []).join('\n')}\n-----END SSH SIGNATURE-----\n`

/**
 * An executable `ssh-keygen` in this folder that signs with saved keys, for a PATH: the real one wants hardware.
 * It leaves the arguments it was called with, and the file it signed, in `calls.json`.
 */
export function writeSshKeygen(folder: string): string {
  const path = join(folder, 'ssh-keygen')
  const call = `(await import(${JSON.stringify(pathToFileURL(new URL(import.meta.url).pathname).href)})).standIn(process.argv.slice(2), ${JSON.stringify(folder)})`
  writeFileSync(path, `#!/bin/sh\nexec env -u NODE_OPTIONS '${process.execPath}' '${path}.mjs' "$@"\n`)
  writeFileSync(`${path}.mjs`, `await ${call}\n`)
  chmodSync(path, 0o755)
  return path
}

const SAYS: Partial<Record<Behaviour, string>> = {
  'no-device': 'device not found',
  'wrong-pin': 'incorrect passphrase supplied to decrypt private key',
  'no-touch': 'invalid format',
}

/** `ssh-keygen [-q] -Y sign -f KEY -n NAMESPACE FILE`, and nothing else. */
export async function standIn(args: readonly string[], folder: string): Promise<void> {
  const after = (flag: string): string => args[args.indexOf(flag) + 1] ?? ''
  const file = args.at(-1) ?? ''
  if (after('-Y') !== 'sign') throw new Error('not what ssh-keygen was called for')
  const document = readFileSync(file, 'utf8')
  writeFileSync(join(folder, 'calls.json'), JSON.stringify({ args, document, file }))
  const path = after('-f').replace(/\.pub$/, '')
  const saved = JSON.parse(readFileSync(path, 'utf8'))
  const behaviour: Behaviour = saved.behaviour
  process.stderr.write(`Confirm user presence for key ${TYPES[saved.kind as SkKind]} \u001b[31m\n`)
  const says = SAYS[behaviour]
  if (says !== undefined) {
    process.stderr.write(`Couldn't sign message: ${says}\nSigning ${file} failed: ${says}\n`)
    process.exitCode = 255
    return
  }
  // Until it is killed.
  if (behaviour === 'hang') setInterval(() => undefined, 60_000)
  else if (behaviour === 'rubbish') writeFileSync(`${file}.sig`, 'rubbish\n')
  else {
    const key = holding(saved.kind, saved.application, createPrivateKey(saved.pkcs8))
    const signed = behaviour === 'other-document' ? document.replace('"deny"', '"approve"') : document
    const options = { ...saved.options, namespace: saved.options.namespace ?? after('-n') }
    writeFileSync(`${file}.sig`, armoured(key.sign(signed, options)))
  }
}

let last = 0

/** Rises with every signature, also from one process to the next: by tenths of seconds. */
function nextCount(): number {
  last = Math.max(last + 1, Math.floor(Date.now() / 100) % 2 ** 32)
  return last
}
