/**
 * Runs the tests beside which it lies: `node dist/test/support/run.js [files…]`; with flags of tap's (`--grep=…`)
 * by tap's own runner. One PostgreSQL serves the whole run: our own in a temporary folder, or the one that
 * WRIT_TEST_SUPERUSER_URL names.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startEmbeddedPostgres } from '../../server/db/embedded.js'
import { provision, serverVersion, withDatabase, withLogin } from '../../server/db/provision.js'
import { StartError } from '../../server/errors.js'
import { packageRoot } from '../../server/paths.js'
import { endWithUs, FAST, makeTemplate, silent, type TestServer } from './postgres.js'
import { createRunner, type Runner } from './runner.js'

const root = packageRoot()
/** The compiler's out folder that this file lies in, whatever its name. */
const out = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
/** More wait for each other's database and browser more than they do at once. */
const JOBS = 2
const tap = join(root, 'node_modules', '.bin', 'tap')

interface Running extends Omit<TestServer, 'template'> {
  stop(): Promise<void>
}

async function startServer(): Promise<Running> {
  const given = process.env.WRIT_TEST_SUPERUSER_URL
  if (given !== undefined) return await useServer(given)
  const dataDir = await mkdtemp(join(tmpdir(), 'writ-run-'))
  const forget = endWithUs(dataDir)
  try {
    const server = await startEmbeddedPostgres({ dataDir, log: silent, extraSettings: FAST })
    return {
      ...server,
      stop: async () => {
        await server.stop()
        await rm(dataDir, { recursive: true, force: true })
        forget()
      },
    }
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true })
    throw error
  }
}

/** Roles belong to the whole server, so this gives `writ_migrator` and `writ_broker_login` new passwords there. */
async function useServer(superuserUrl: string): Promise<Running> {
  const version = await serverVersion(superuserUrl)
  const major = Number.parseInt(version, 10)
  if (major < 15 || major > 18) {
    throw new StartError(`The tests run on PostgreSQL 15 to 18; WRIT_TEST_SUPERUSER_URL leads to ${version}.`)
  }
  const passwords = { owner: randomBytes(24).toString('hex'), broker: randomBytes(24).toString('hex') }
  await provision(superuserUrl, { database: 'writ', passwords })
  const url = withDatabase(superuserUrl, 'writ')
  return {
    superuserUrl,
    ownerUrl: withLogin(url, 'writ_migrator', passwords.owner),
    brokerUrl: withLogin(url, 'writ_broker_login', passwords.broker),
    stop: async () => undefined,
  }
}

/** Test files as given (source or compiled, from the project's folder), by default all of ours. */
function testFiles(given: readonly string[]): string[] {
  if (given.length > 0) {
    return given.map((file) => {
      const path = relative(root, resolve(file)).replace(/\.ts$/, '.js')
      return path.startsWith('test/') ? relative(root, join(out, path)) : path
    })
  }
  const all = readdirSync(join(out, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .sort()
  // The long ones first, so that none is left to run alone at the end.
  const long = (file: string): boolean => /^(bench|torture|browser|cli)\//.test(file)
  return [...all.filter(long), ...all.filter((file) => !long(file))].map((file) =>
    relative(root, join(out, 'test', file)),
  )
}

let child: ReturnType<typeof spawn> | undefined
let runner: Runner | undefined
let interrupted = false

/** Runs tap to its end; the answer is the exit code to pass on. */
function runTap(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<number> {
  if (interrupted) return Promise.resolve(1)
  return new Promise((resolve, reject) => {
    child = spawn(tap, args, { cwd: root, env, stdio: 'inherit' })
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

/** As npm installs it, tap contains a TypeScript plugin that cannot work with TypeScript 7: build it without. */
async function buildTap(): Promise<void> {
  const built = join(root, 'node_modules/@tapjs/test/test-built/dist/esm/index.js')
  if (readFileSync(built, 'utf8').includes('@tapjs/typescript')) await runTap(['build'])
}

async function main(args: readonly string[]): Promise<number> {
  // A terminal's Ctrl-C reaches tap by itself; SIGTERM reaches only us. Either way we stay to clean up.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      interrupted = true
      child?.kill(signal)
      runner?.interrupt(signal)
    })
  }
  await buildTap()
  const server = await startServer()
  try {
    const { superuserUrl, ownerUrl, brokerUrl } = server
    const template = await makeTemplate(server)
    const handed: TestServer = { superuserUrl, ownerUrl, brokerUrl, template }
    const flags = args.filter((arg) => arg.startsWith('-'))
    const files = testFiles(args.filter((arg) => !arg.startsWith('-')))
    const env = {
      ...process.env,
      WRIT_TEST_POSTGRES: JSON.stringify(handed),
      // As bin/writ.js sets it.
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    }
    if (flags.length > 0) return await runTap([...flags, ...files], env)
    if (interrupted) return 1
    runner = createRunner({ cwd: root, env, jobs: JOBS, say: (text) => console.log(text) })
    return await runner.run(files)
  } finally {
    await server.stop()
  }
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof StartError ? error.message : error)
  return 1
})
