import { spawn } from 'node:child_process'
import { readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { OsUser } from './embedded-user.js'

/**
 * What PostgreSQL's programs see of our environment: nothing. PGPORT or PGDATA must not steer them,
 * and the broker's own secrets must not show in the environment of another user's process.
 */
export const PROGRAM_ENV = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' }

export interface Ran {
  /** Exit code; -1 when the program could not be started at all. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end. Never rejects. The folder is `/`: the user may not be allowed into ours. */
export function run(file: string, args: readonly string[], user: OsUser = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      ...user,
      cwd: '/',
      env: PROGRAM_ENV,
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
    child.on('error', (error) => resolve({ code: -1, stdout, stderr: error.message }))
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }))
  })
}

export interface PidFile {
  readonly pid: number
  readonly port: number
  /** Whether it accepts connections. */
  readonly ready: boolean
}

/** Reads postmaster.pid: line 1 is the process id, line 4 the port, line 8 the state. Absent or unfinished: undefined. */
export async function readPidFile(dataFolder: string): Promise<PidFile | undefined> {
  const text = await readFile(join(dataFolder, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  const pid = Number(lines[0])
  const port = Number(lines[3])
  if (!Number.isInteger(pid) || pid <= 0 || !Number.isInteger(port) || port <= 0) return undefined
  return { pid, port, ready: lines[7]?.trim() === 'ready' }
}

/** Whether any process has this id, whoever owns it. */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Whether this process is the PostgreSQL of this data folder. A live pid alone proves nothing: after a
 * reboot, or in a new container, it is somebody else's; and in a container whose first process does
 * not reap, a killed server stays as a zombie that answers signal 0.
 */
export async function isServerOf(pid: number, dataFolder: string): Promise<boolean> {
  if (!isAlive(pid)) return false
  if (process.platform === 'linux') {
    // A server's working folder is its data folder, whatever its command line says.
    return (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === dataFolder
  }
  const { stdout } = await run('/bin/ps', ['-o', 'command=', '-p', String(pid)])
  return stdout.includes(`-D ${dataFolder}`)
}
