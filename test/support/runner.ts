import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/**
 * Runs test files, each in a process of its own. tap's runner does the same, and watches every process that starts
 * below it, which costs each of them one to three seconds of a core: a third of the time of the whole run.
 */
export interface Runner {
  /** To the end; the answer is the exit code to pass on. */
  readonly run: (files: readonly string[]) => Promise<number>
  /** Ends what runs, and begins nothing more. */
  readonly interrupt: (signal: NodeJS.Signals) => void
}

interface Counts {
  readonly total: number
  readonly pass: number
}

interface Ended extends Counts {
  /** Why it failed; undefined where it did not. */
  readonly problem: string | undefined
  readonly seconds: number
}

/** A file ends itself after this (tap's TAP_TIMEOUT), unless it gave itself longer. */
const FILE_SECONDS = 120
/** However long it gave itself. */
const MOST_SECONDS = 300

export interface RunnerOptions {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  readonly jobs: number
  readonly say: (text: string) => void
}

export function createRunner({ cwd, env, jobs, say }: RunnerOptions): Runner {
  const running = new Set<ReturnType<typeof spawn>>()
  let interrupted = false

  const runFile = (file: string): Promise<Ended> =>
    new Promise((resolve, reject) => {
      const began = performance.now()
      const child = spawn(process.execPath, ['--enable-source-maps', file], {
        cwd,
        env: { ...env, TAP_TIMEOUT: String(FILE_SECONDS) },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      running.add(child)
      const cap = setTimeout(() => child.kill('SIGKILL'), MOST_SECONDS * 1_000)
      const reader = tapReader()
      const lines = { stdout: reader.stdout, stderr: reader.stderr }
      for (const stream of ['stdout', 'stderr'] as const)
        createInterface(child[stream]).on('line', lines[stream])
      child.once('error', reject)
      child.once('close', (code, signal) => {
        clearTimeout(cap)
        running.delete(child)
        const { counts, shown } = reader.end()
        const problem = problemOf(code, signal, counts)
        const seconds = (performance.now() - began) / 1_000
        const said = `${problem === undefined ? 'ok' : 'not ok'} ${file} (${counts?.pass ?? 0} in ${seconds.toFixed(1)} s)`
        say([...shown, problem === undefined ? said : `${said}: ${problem}`].join('\n'))
        resolve({ total: 0, pass: 0, ...counts, problem, seconds })
      })
    })

  return {
    run: async (files) => {
      const began = performance.now()
      const left = [...files]
      const failed: string[] = []
      const sum = { total: 0, pass: 0 }
      const work = async (): Promise<void> => {
        for (let file = left.shift(); file !== undefined && !interrupted; file = left.shift()) {
          const { total, pass, problem } = await runFile(file)
          sum.total += total
          sum.pass += pass
          if (problem !== undefined) failed.push(`${file}: ${problem}`)
        }
      }
      await Promise.all(Array.from({ length: jobs }, work))
      const seconds = ((performance.now() - began) / 1_000).toFixed(0)
      for (const one of failed) say(`FAILED ${one}`)
      say(`# { total: ${sum.total}, pass: ${sum.pass}, files: ${files.length}, seconds: ${seconds} }`)
      return failed.length > 0 || interrupted || sum.total === 0 ? 1 : 0
    },
    interrupt: (signal) => {
      interrupted = true
      for (const child of running) child.kill(signal)
    },
  }
}

/** A file that ends well without having counted has tested nothing: something ended its process. */
function problemOf(
  code: number | null,
  signal: NodeJS.Signals | null,
  counts: Counts | undefined,
): string | undefined {
  if (signal !== null) return `ended by ${signal}`
  if (code !== 0) return `exit code ${code}`
  if (counts === undefined) return 'it ended without counting its tests'
  if (counts.total === 0) return 'nothing in it is a test'
  return undefined
}

/** `# { total: 12, pass: 11, fail: 1 }`, tap's last word but one. */
const COUNTED = /^# \{ total: (\d+)(?:.* pass: (\d+))?.*\}$/
/** What says only that all is well. A skipped test does not. */
const WELL = /^\s*(ok (?!.*# (SKIP|TODO))|# Subtest|# time=|\d+\.\.\d+|TAP version|\}?$)/

/** Keeps of a file's output what somebody wants to read: what failed, why, and what was said besides. */
export function tapReader(): {
  readonly stdout: (line: string) => void
  readonly stderr: (line: string) => void
  readonly end: () => { readonly counts: Counts | undefined; readonly shown: readonly string[] }
} {
  const shown: string[] = []
  let counts: Counts | undefined
  /** In the details of an assertion, which are kept where it failed. */
  let details: 'none' | 'shown' | 'left out' = 'none'
  let failing = false
  return {
    stdout: (line) => {
      const counted = COUNTED.exec(line)
      if (counted !== null) {
        counts = { total: Number(counted[1]), pass: Number(counted[2] ?? 0) }
        return
      }
      if (details === 'none' && /^\s*---$/.test(line)) details = failing ? 'shown' : 'left out'
      if (details !== 'none') {
        if (details === 'shown') shown.push(line)
        if (/^\s*\.\.\.$/.test(line)) details = 'none'
        return
      }
      failing = /^\s*not ok /.test(line)
      if (!WELL.test(line)) shown.push(line)
    },
    stderr: (line) => shown.push(line),
    end: () => ({ counts, shown }),
  }
}
