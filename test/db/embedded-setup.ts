import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../server/db/embedded.js'
import { isAlive, readPidFile } from '../../server/db/embedded-process.js'
import { createPool } from '../../server/db/pool.js'
import { endWithUs, FAST, silent } from '../support/postgres.js'

interface Teardown {
  teardown(work: () => unknown): unknown
}

export const isRoot = process.getuid?.() === 0

/** An empty folder, removed after the test together with any server that still runs on it. */
export async function emptyFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-test-'))
  const forget = endWithUs(folder)
  t.teardown(async () => {
    await killServer(folder)
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    forget()
  })
  return folder
}

async function killServer(dataDir: string): Promise<void> {
  const found = await readPidFile(join(dataDir, 'postgres'))
  // The cwd check of the code under test is not relied on here: tests write pids of others into this file.
  if (found === undefined || !found.ready || !isAlive(found.pid)) return
  process.kill(found.pid, 'SIGKILL')
  await gone(found.pid)
}

let initialised: Promise<string> | undefined

async function initialise(): Promise<string> {
  const folder = await emptyFolder(t)
  const server = await start(folder)
  await server.stop()
  return folder
}

/** A folder in which the broker ran once, shared by the tests of a file: initdb takes most of a second. */
export async function usedFolder(): Promise<string> {
  initialised ??= initialise()
  const folder = await initialised
  await killServer(folder)
  return folder
}

/** A copy of it, for tests that damage it or need a second one. */
export async function copiedFolder(t: Teardown): Promise<string> {
  const folder = await emptyFolder(t)
  await promisify(execFile)('cp', ['-a', `${await usedFolder()}/.`, folder])
  return folder
}

export function start(
  dataDir: string,
  options: Partial<Parameters<typeof startEmbeddedPostgres>[0]> = {},
): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ dataDir, log: silent, extraSettings: FAST, ...options })
}

export async function ask(url: string, text: string): Promise<object[]> {
  const pool = createPool({ connectionString: url, applicationName: 'test', log: silent, max: 1 })
  try {
    return await pool.query(text)
  } finally {
    await pool.end()
  }
}

/** Returns when the process is gone; a zombie that nobody reaps counts as gone. */
export async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) {
    const { stdout } = await promisify(execFile)('ps', ['-o', 'stat=', '-p', String(pid)]).catch(() => ({
      stdout: 'Z',
    }))
    if (stdout.startsWith('Z')) return
    await delay(10)
  }
}

export interface Child {
  readonly process: ChildProcess
  /** The next line it says, parsed. */
  next(): Promise<Partial<EmbeddedPostgres> & { name?: string; message?: string; last?: string }>
  kill9(): Promise<void>
}

/** A broker's process of its own, in a process group of its own like a job in a terminal. */
export function child(
  t: Teardown,
  args: readonly string[],
  user: { uid?: number; gid?: number } = {},
): Child {
  const file = fileURLToPath(new URL('./embedded-child.js', import.meta.url))
  const process = spawn(globalThis.process.execPath, [file, ...args], {
    ...user,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]()
  const ended = once(process, 'exit')
  const kill9 = async (): Promise<void> => {
    process.kill('SIGKILL')
    await ended
  }
  t.teardown(kill9)
  return {
    process,
    next: async () => {
      const line = await lines.next()
      return JSON.parse(line.done === true ? '{}' : line.value)
    },
    kill9,
  }
}

/** Permission bits, octal. */
export async function modeOf(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8)
}

/** An ordinary user's id, for which a folder is opened. */
export async function ordinaryUser(folder: string): Promise<{ uid: number; gid: number }> {
  await chmod(folder, 0o777)
  return { uid: 65_534, gid: 65_534 }
}
