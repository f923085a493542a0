import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { SSH_NAMESPACE } from '../server/audit/proofs/document.js'
import { readSshPublicKey, signatureBlob } from '../server/audit/proofs/ssh.js'
import { CliError, EXIT, usageError } from './exit.js'
import { clean } from './output.js'

/** A FIDO2 key of this machine's user. */
export interface SshKeyFile {
  /** What `ssh-keygen -f` takes. */
  readonly path: string
  readonly public_key: string
  /** `SHA256:…` */
  readonly key_id: string
}

/** The key in FILE or FILE.pub. Throws a usage error where that is none of a FIDO2 authenticator. */
export async function readKeyFile(file: string): Promise<SshKeyFile> {
  const path = resolve(file)
  const publicFile = path.endsWith('.pub') ? path : `${path}.pub`
  const line = await readFile(publicFile, 'utf8').catch(() => {
    throw usageError(
      `The public key cannot be read: ${publicFile}`,
      `It lies beside the private one; ssh-keygen -y -f ${path} prints it.`,
    )
  })
  const key = readSshPublicKey(line)
  if (key !== undefined) return { path, ...key }
  throw usageError(
    `${publicFile} is not the key of a FIDO2 authenticator (sk-ssh-ed25519@openssh.com or sk-ecdsa-sha2-nistp256@openssh.com).`,
    'Make one with: ssh-keygen -t ed25519-sk -O verify-required',
  )
}

/** The first key in ~/.ssh that is one of these. */
export async function findKeyFile(keyIds: ReadonlySet<string>): Promise<SshKeyFile | undefined> {
  if (keyIds.size === 0) return undefined
  const folder = join(homedir(), '.ssh')
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.pub')).sort()
  for (const name of names) {
    const line = await readFile(join(folder, name), 'utf8').catch(() => '')
    const key = readSshPublicKey(line)
    if (key !== undefined && keyIds.has(key.key_id)) return { path: join(folder, name), ...key }
  }
  return undefined
}

/**
 * Has `ssh-keygen` sign a text with a key: it asks for the PIN and the touch. Answers the signature's blob in base64.
 * Throws `CliError` ssh_keygen_missing, or not_signed for everything else that can go wrong.
 */
export async function sshSign(key: SshKeyFile, text: string, withinMs: number): Promise<string> {
  if (withinMs <= 0) throw late()
  // A file, not stdin: that stays the terminal's, where ssh-keygen asks for the PIN.
  const folder = await mkdtemp(join(tmpdir(), 'writ-sign-'))
  try {
    const file = join(folder, 'document.json')
    await writeFile(file, text, { mode: 0o600, flag: 'wx' })
    await runSshKeygen(['-q', '-Y', 'sign', '-f', key.path, '-n', SSH_NAMESPACE, file], withinMs)
    const blob = signatureBlob(await readFile(`${file}.sig`, 'latin1').catch(() => ''))
    if (blob === undefined) throw notSigned('ssh-keygen left no signature.')
    return blob
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function runSshKeygen(args: readonly string[], withinMs: number): Promise<void> {
  const child = spawn('ssh-keygen', args, { stdio: ['inherit', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said = (said + chunk).slice(-4096)
    process.stderr.write(chunk.replaceAll('\r', '').split('\n').map(clean).join('\n'))
  })
  // A terminal's Ctrl-C reaches ssh-keygen by itself; we stay, to remove the file.
  const stay = (): void => undefined
  process.on('SIGINT', stay)
  let over = false
  const timer = setTimeout(() => {
    over = true
    child.kill()
  }, withinMs)
  try {
    const code = await new Promise<number | null>((done, reject) => {
      child.once('error', (error: NodeJS.ErrnoException) => reject(notStarted(error)))
      child.once('close', done)
    })
    if (over) throw late()
    if (code !== 0) throw notSigned(whyNot(said))
  } finally {
    clearTimeout(timer)
    process.removeListener('SIGINT', stay)
  }
}

/** OpenSSH's words for what an authenticator answered (ssherr.c, and skerr_to_ssherr in ssh-sk.c). */
const WHY: readonly (readonly [said: RegExp, means: string])[] = [
  [/device not found/i, 'The key is not plugged in, or is not the one that this file belongs to.'],
  [/incorrect passphrase/i, 'The PIN was wrong, or the key refused.'],
  [/feature not supported/i, 'The key cannot verify its user.'],
  [/agent refused/i, 'The ssh-agent refused: the PIN or the touch was not given, or it cannot ask for them.'],
  [/no private key found/i, 'There is no private key beside the public one, and none in the ssh-agent.'],
  [
    /bad permissions|too open/i,
    'The private key file can be read by others, and ssh-keygen does not use it.',
  ],
  [/invalid format/i, 'The key was not touched, or it refused.'],
]

const whyNot = (said: string): string =>
  WHY.find(([words]) => words.test(said))?.[1] ?? 'ssh-keygen did not sign.'

function notStarted(error: NodeJS.ErrnoException): CliError {
  const missing = error.code === 'ENOENT'
  return new CliError(EXIT.unexpected, {
    title: 'No ssh-keygen',
    code: 'ssh_keygen_missing',
    detail: missing
      ? 'ssh-keygen was not found.'
      : `ssh-keygen cannot be started (${error.code ?? 'unknown'}).`,
    next: 'Install OpenSSH 8.2 or newer with FIDO support, or decide in the console.',
  })
}

const late = (): CliError => notSigned('Nobody signed in time: what was shown is over.')

const notSigned = (detail: string): CliError =>
  new CliError(EXIT.unexpected, {
    title: 'Not signed',
    code: 'not_signed',
    detail: `${detail} Nothing was decided.`,
    next: 'Run it again; without --key it shows a link to decide on another device.',
  })
