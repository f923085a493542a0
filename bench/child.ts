import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A process of ours. It takes JSON on stdin, answers one JSON line when it is ready, and ends on SIGTERM. */
export interface Child<Ready> {
  readonly ready: Ready
  readonly pid: number
  /** One message, one answer; only `children/load.ts` listens. */
  readonly ask: <Answer>(question: object) => Promise<Answer>
  readonly stop: () => Promise<void>
}

/** `script` is relative to this file, compiled. Throws when it ends before it is ready. */
export async function startChild<Ready>(script: string, config: object): Promise<Child<Ready>> {
  const child = spawn(process.execPath, [fileURLToPath(new URL(script, import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit', 'ipc'],
  })
  // However we end, it must not run on.
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.removeListener('exit', kill))
  const ended = once(child, 'exit').then(([code, signal]): never => {
    throw new Error(`${script} ended with ${code ?? signal}`)
  })
  // Also when nobody waits for an answer.
  ended.catch(() => undefined)
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw new Error('spawned without pipes')
  stdin.end(JSON.stringify(config))
  const line = once(createInterface(stdout), 'line').then(String)
  const ready = JSON.parse(await Promise.race([line, ended])) as Ready
  return {
    ready,
    pid: child.pid ?? 0,
    ask: async <Answer>(question: object) => {
      child.send(question)
      const [answer] = (await Promise.race([once(child, 'message'), ended])) as [Answer]
      return answer
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

/** The child's side: what it was given. */
export function given<Config>(): Config {
  return JSON.parse(readFileSync(0, 'utf8')) as Config
}

/** The child's side: says that it is ready, and ends when told to or when the benchmark is gone. */
export function serveUntilStopped(ready: object, close: () => Promise<unknown>): void {
  const stop = (): void => void close().then(() => process.exit(0))
  process.once('SIGTERM', stop)
  process.once('disconnect', stop)
  process.stdout.write(`${JSON.stringify(ready)}\n`)
}
