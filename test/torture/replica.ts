import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** One broker, run as `writ serve` runs it, and started again whenever it ends: what a supervisor does. */
export interface Replica {
  readonly name: string
  /** Where it listens; undefined while it does not. */
  readonly url: () => string | undefined
  readonly pid: () => number | undefined
  readonly kill9: () => void
  readonly stop: () => void
  readonly go: () => void
  readonly stopped: () => boolean
  /** Resolves when it listens, at once when it does. */
  readonly up: () => Promise<string>
  readonly close: () => Promise<void>
}

export interface ReplicaOptions {
  readonly name: string
  /** `cli/main.js` of a compiled copy, as a file URL. */
  readonly main: string
  readonly env: Readonly<Record<string, string>>
  /** Told each line of level error or worse. */
  readonly onError: (message: string) => void
}

/**
 * Ends with whoever started it: the pipe closes when that process dies, however it dies. Not by `process.exit`: a
 * log whose reader died too throws at the exit, which is off then.
 */
const LAUNCH = `process.stdin.resume().on('end', () => process.kill(process.pid, 'SIGKILL')).unref()
const { main } = await import(process.argv[1])
await main(['serve'])`

const RESTART_MS = 200

export function startReplica(options: ReplicaOptions): Replica {
  const { name, main, env, onError } = options
  let child: ChildProcess | undefined
  let url: string | undefined
  let stopped = false
  let closing = false
  let waiting: ((url: string) => void)[] = []

  const launch = (): void => {
    stopped = false
    const started = spawn(process.execPath, ['--input-type=module', '-e', LAUNCH, main], {
      env: { ...env, PATH: process.env.PATH ?? '' },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    child = started
    const kill = (): void => void started.kill('SIGKILL')
    process.once('exit', kill)
    createInterface(started.stdout).on('line', (line) => {
      if (line.includes('"msg":"listening"')) {
        url = (JSON.parse(line) as { url: string }).url
        for (const tell of waiting.splice(0)) tell(url)
      } else if (line.includes('"level":50')) {
        const { msg, why = '' } = JSON.parse(line) as { msg: string; why?: string }
        onError(why === '' ? msg : `${msg}: ${why}`)
      }
    })
    createInterface(started.stderr).on('line', (line) => {
      if (line.includes('writ: ')) onError(line.replace(/(postgres:\/\/)\S+/, '$1…'))
    })
    started.once('exit', () => {
      process.removeListener('exit', kill)
      url = undefined
      if (!closing) setTimeout(launch, RESTART_MS)
    })
  }
  launch()

  const signal = (what: NodeJS.Signals): void => void child?.kill(what)
  return {
    name,
    url: () => url,
    pid: () => child?.pid,
    kill9: () => {
      url = undefined
      signal('SIGKILL')
    },
    stop: () => {
      stopped = true
      signal('SIGSTOP')
    },
    go: () => {
      stopped = false
      signal('SIGCONT')
    },
    stopped: () => stopped,
    up: () =>
      url !== undefined
        ? Promise.resolve(url)
        : new Promise((resolve) => {
            waiting = [...waiting, resolve]
          }),
    close: async () => {
      closing = true
      signal('SIGCONT')
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      signal('SIGTERM')
      await ended
    },
  }
}
