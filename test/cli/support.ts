import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import { packageRoot } from '../../server/paths.js'
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../support/broker.js'
import type { Done, Order } from './warm.js'

const here = dirname(fileURLToPath(import.meta.url))
/** The compiled command beside these tests, whatever the compiler's out folder is called. */
const MAIN = resolve(here, '../../cli/main.js')

export interface Ran {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** What is on stdout. */
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever JSON came and compares it
  readonly json: any
}

export interface RunOptions {
  /** Added to an environment without AWS_ and WRIT_ variables. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly onStart?: (child: ChildProcess) => void
}

export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'writ-cli-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** An executable `writ` in this folder, for what wants a command line. */
export function writeLauncher(folder: string): string {
  const path = join(folder, 'writ.mjs')
  const call = `(await import(${JSON.stringify(pathToFileURL(MAIN).href)})).main(process.argv.slice(2))`
  writeFileSync(path, `#!${process.execPath}\nawait ${call}\n`)
  chmodSync(path, 0o755)
  return path
}

export const cleanEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined || /^(AWS|WRIT)_/.test(name) ? [] : [[name, value]],
    ),
  )

/** Runs a program to its end. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return new Promise((done, reject) => {
    // tap puts NODE_OPTIONS back into every child it sees started, to watch it, and a watched process ends on
    // a signal another way than ours do.
    const child = spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], {
      env: { ...cleanEnvironment(), ...options.env },
      cwd: options.cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', (code, signal) => done(withJson({ code, signal, stdout, stderr })))
    options.onStart?.(child)
  })
}

const withJson = (ran: Omit<Ran, 'json'>): Ran => ({
  ...ran,
  get json() {
    return JSON.parse(ran.stdout)
  },
})

/** These are about the process: they hand it over, wait for signals, or stay. */
const OWN_PROCESS = ['exec', 'serve', 'demo']

/** Runs the command in one process for all, one at a time; undefined while it is busy. */
function warmRunner(t: Test): (order: Order) => Promise<Done> | undefined {
  let child: ChildProcess | undefined
  let settle: { readonly resolve: (done: Done) => void; readonly reject: (error: Error) => void } | undefined
  t.teardown(() => child?.disconnect())
  const start = (): ChildProcess => {
    const started = fork(join(here, 'warm.js'), {
      env: cleanEnvironment(),
      execArgv: [],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    started.on('message', (done) => settle?.resolve(done as Done))
    started.on('exit', (code) => settle?.reject(new Error(`the process of the command ended with ${code}`)))
    return started
  }
  return (order) => {
    if (settle !== undefined) return undefined
    child ??= start()
    child.send(order)
    return new Promise<Done>((resolve, reject) => {
      settle = { resolve, reject }
    }).finally(() => {
      settle = undefined
    })
  }
}

export interface Command {
  readonly folder: string
  readonly launcher: string
  /** Runs the command, in a process of its own where that matters: for `onStart`, and what runs at once. */
  readonly writ: (args: readonly string[], options?: RunOptions) => Promise<Ran>
}

/** The command in a folder of its own, so that no data folder lies beside it. */
export function command(t: Test): Command {
  const folder = temporaryFolder(t)
  const launcher = writeLauncher(folder)
  const warm = warmRunner(t)
  return {
    folder,
    launcher,
    writ: async (args, options = {}) => {
      const { env, cwd = folder, onStart } = options
      const own = onStart !== undefined || OWN_PROCESS.includes(args[0] ?? '')
      const done = own ? undefined : warm({ args, cwd, env: { ...cleanEnvironment(), ...env } })
      if (done !== undefined) return withJson({ signal: null, ...(await done) })
      return run(process.execPath, [launcher, ...args], { cwd: folder, ...options })
    },
  }
}

export interface OnBroker extends Command {
  readonly broker: TestBroker
  /** With a token of that agent, or operator, in the environment: quicker than --as. */
  readonly agent: (name: string, args: readonly string[], options?: RunOptions) => Promise<Ran>
  readonly operator: (name: string, args: readonly string[], options?: RunOptions) => Promise<Ran>
  /** A token file for an agent, as `writ dev token --write` leaves it. */
  readonly tokenFile: (agent: string) => Promise<string>
}

/** The command beside a local broker that announces itself as `writ serve` does. */
export async function commandOnBroker(t: Test, options: TestBrokerOptions = {}): Promise<OnBroker> {
  const broker = await startTestBroker(t, options)
  const { url, dataDir, localAws } = broker
  writeFileSync(
    join(dataDir, 'local.json'),
    JSON.stringify({
      url,
      localAwsUrl: localAws.url,
      policies: join(packageRoot(), 'policies'),
      consoleUrl: broker.origin,
    }),
  )
  // As `--as` leaves them at their first use, which takes the owner of an embedded database.
  mkdirSync(join(dataDir, 'operator-keys'))
  for (const operator of ['alice', 'bob']) {
    const key = await broker.enrol(operator)
    writeFileSync(join(dataDir, 'operator-keys', `${operator}.json`), JSON.stringify(key.store()))
  }
  const offline = command(t)
  const writ = (args: readonly string[], { env, ...options }: RunOptions = {}) =>
    offline.writ(args, { ...options, env: { WRIT_DATA_DIR: dataDir, ...env } })
  const having = (options: RunOptions | undefined, env: Readonly<Record<string, string>>) => ({
    ...options,
    env: { ...options?.env, ...env },
  })
  return {
    ...offline,
    broker,
    writ,
    agent: async (name, args, options) =>
      writ(args, having(options, { WRIT_TOKEN: await broker.agentToken(name) })),
    operator: async (name, args, options) =>
      writ(args, having(options, { WRIT_OPERATOR_TOKEN: await broker.operatorToken(name) })),
    tokenFile: async (agent) => {
      const path = join(offline.folder, `${agent}.token`)
      writeFileSync(path, await broker.agentToken(agent), { mode: 0o600 })
      return path
    },
  }
}

/** Whether a program is there; says so loudly when not, and fails where everything has to be there. */
export function installed(t: Test, what: string, name: string, args: readonly string[]): boolean {
  const { status } = spawnSync(name, args, { stdio: 'ignore' })
  if (status === 0) return true
  if (process.env.WRIT_CI === '1') t.fail(`${what} is not installed, and WRIT_CI=1 wants it`)
  else t.comment(`SKIPPED: ${what} is not installed, so nothing here shows that it works with Writ`)
  return false
}
