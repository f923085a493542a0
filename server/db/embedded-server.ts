import { spawn } from 'node:child_process'
import { close as closeFd, open as openFd } from 'node:fs'
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { StartError } from '../errors.js'
import { isAlive, isServerOf, PROGRAM_ENV, readPidFile } from './embedded-process.js'
import type { OsUser } from './embedded-user.js'

const POLL_MS = 20
/** Crash recovery of a large log takes a while. */
const START_DEADLINE_MS = 60_000
const STOP_DEADLINE_MS = 60_000
const LOG_LIMIT_BYTES = 10 * 1024 * 1024

export interface ServerPlan {
  readonly dataFolder: string
  readonly postgres: string
  readonly user: OsUser
  readonly logFile: string
  readonly settings: Readonly<Record<string, string>>
  readonly choosePort: () => Promise<number>
}

export interface RunningServer {
  readonly pid: number
  readonly port: number
  /** Whether it was already running when we came. */
  readonly adopted: boolean
}

/**
 * Nothing about statements, their values, or the rows they failed on goes to the log file (`terse` drops
 * the DETAIL line, which quotes them). TCP on loopback only, and no socket in /tmp for others to find.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  password_encryption: 'scram-sha-256',
  log_line_prefix: '%m [%p] ',
  log_error_verbosity: 'terse',
  log_statement: 'none',
  log_min_duration_statement: '-1',
  log_min_error_statement: 'panic',
  log_parameter_max_length_on_error: '0',
  log_checkpoints: 'off',
  lc_messages: 'C',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/** Starts the server of a data folder, or finds it running. Throws StartError with PostgreSQL's own reason. */
export async function ensureRunning(plan: ServerPlan): Promise<RunningServer> {
  const deadline = Date.now() + START_DEADLINE_MS
  for (let attempt = 1; ; attempt++) {
    const running = await waitUntilReady(plan, deadline)
    if (running !== undefined) return { ...running, adopted: attempt === 1 }
    await removeForeignPidFile(plan.dataFolder)
    const failure = await launch(plan, deadline)
    if (failure === undefined) continue
    if (!isPassing(failure, attempt) || Date.now() > deadline) {
      throw new StartError(`PostgreSQL did not start in ${plan.dataFolder}: ${failure} (see ${plan.logFile})`)
    }
    await delay(5 * POLL_MS)
  }
}

/** Whether the next attempt may go better. */
function isPassing(failure: string, attempt: number): boolean {
  // The port was taken in between; another one will do.
  if (/could not create any TCP/.test(failure)) return attempt < 5
  // A killed server's last processes are still going away, or another start was quicker.
  return /shared memory block|postmaster\.pid" already/.test(failure) && attempt < 50
}

/** Fast shutdown: sessions are ended, everything is flushed. Returns when the process is gone. */
export async function shutDown(dataFolder: string): Promise<void> {
  const found = await readPidFile(dataFolder)
  if (found === undefined || !(await isServerOf(found.pid, dataFolder))) return
  process.kill(found.pid, 'SIGINT')
  const deadline = Date.now() + STOP_DEADLINE_MS
  while (await isServerOf(found.pid, dataFolder)) {
    // An immediate shutdown loses nothing either: the next start recovers from the log.
    if (Date.now() > deadline) process.kill(found.pid, 'SIGQUIT')
    await delay(POLL_MS)
  }
}

/**
 * Waits for a server that is up or coming up; undefined when there is none. Only the pid file's word
 * `ready` makes the port trustworthy: before that somebody else may listen on it and ask for a password.
 */
async function waitUntilReady(
  { dataFolder }: ServerPlan,
  deadline: number,
): Promise<{ pid: number; port: number } | undefined> {
  while (Date.now() < deadline) {
    const found = await readPidFile(dataFolder)
    if (found === undefined || !(await isServerOf(found.pid, dataFolder))) return undefined
    if (found.ready) return { pid: found.pid, port: found.port }
    await delay(POLL_MS)
  }
  throw new StartError(`PostgreSQL in ${dataFolder} is still not ready after a minute; see its log.`)
}

/** Starts the process; undefined once it is ready, otherwise the reason why it ended. */
async function launch(plan: ServerPlan, deadline: number): Promise<string | undefined> {
  const { dataFolder, postgres, user, logFile } = plan
  const port = await plan.choosePort()
  const from = await rotate(logFile)
  const pidFile = join(dataFolder, 'postmaster.pid')
  const stale = await readFile(pidFile, 'utf8').catch(() => '')
  const settings = Object.entries({ ...SETTINGS, ...plan.settings }).flatMap(([k, v]) => ['-c', `${k}=${v}`])
  // Opened by us, so that it may lie in a folder that the database's user cannot enter.
  const log = await promisify(openFd)(logFile, 'a', 0o600)
  let ended: string | undefined
  try {
    const child = spawn(postgres, ['-D', dataFolder, '-p', String(port), ...settings], {
      ...user,
      cwd: '/',
      env: PROGRAM_ENV,
      stdio: ['ignore', log, log],
      // Its own session: Ctrl-C in the terminal must not end the database before the broker has drained.
      detached: true,
    })
    child.on('error', (error) => {
      ended = error.message
    })
    child.on('exit', (code, signal) => {
      ended = `it ended with ${signal ?? `code ${code}`}`
    })
    child.unref()
    while (ended === undefined && Date.now() < deadline) {
      const found = await readPidFile(dataFolder)
      // In a container numbers repeat: a dead server's file may name the very pid that ours got now.
      if (
        found?.pid === child.pid &&
        found?.ready &&
        (await readFile(pidFile, 'utf8').catch(() => stale)) !== stale
      )
        return undefined
      await delay(POLL_MS)
    }
  } finally {
    await promisify(closeFd)(log)
  }
  const said = (await tail(logFile, from)).match(/(?:FATAL|PANIC): .*/g)?.join(' ')
  return said ?? ended ?? 'it was not ready in time'
}

/**
 * PostgreSQL deals with a pid file whose process is dead, but refuses one whose number now belongs to
 * any other process of the same user: that one is taken away. Renamed, looked at again, and put back if it was replaced meanwhile.
 */
async function removeForeignPidFile(dataFolder: string): Promise<void> {
  const file = join(dataFolder, 'postmaster.pid')
  const before = await readFile(file, 'utf8').catch(() => undefined)
  const pid = Number(before?.split('\n')[0])
  if (before === undefined || !isAlive(pid) || (await isServerOf(pid, dataFolder))) return
  const aside = `${file}.stale`
  await rename(file, aside).catch(() => undefined)
  const moved = await readFile(aside, 'utf8').catch(() => undefined)
  if (moved !== undefined && moved !== before) await rename(aside, file)
  else await rm(aside, { force: true })
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

/** Keeps one older log file. Answers where the next start's lines begin. */
async function rotate(logFile: string): Promise<number> {
  const size = await stat(logFile).then(
    (found) => found.size,
    () => 0,
  )
  if (size < LOG_LIMIT_BYTES) return size
  await rename(logFile, `${logFile}.1`)
  return 0
}

async function tail(file: string, from: number): Promise<string> {
  const handle = await open(file, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, from)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await handle.close()
  }
}
