import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { CliError, EXIT } from './exit.js'

const FORWARDED = ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGINT'] as const

/**
 * Runs a command to its end in our place: same streams, our signals passed on, and we end as it ended, by its
 * code or by its signal. Throws `CliError` when it cannot be started.
 */
export async function runCommand(
  [name = '', ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const child = spawn(name, args, { stdio: 'inherit', env })
  const forward = (signal: NodeJS.Signals): void => {
    // A terminal's Ctrl-C and Ctrl-\ reach the command by themselves; twice would be once too often.
    if (process.stdin.isTTY && (signal === 'SIGINT' || signal === 'SIGQUIT')) return
    child.kill(signal)
  }
  for (const signal of FORWARDED) process.on(signal, forward)
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => reject(notStarted(name, error)))
    child.once('exit', (...ended) => resolve(ended))
  })
  for (const one of FORWARDED) process.removeListener(one, forward)
  if (signal !== null) {
    process.exitCode = 128 + (constants.signals[signal] ?? 0)
    // So that whoever waits for us sees a signal too; a shell's script ends on Ctrl-C only then.
    process.kill(process.pid, signal)
  } else process.exitCode = code ?? EXIT.unexpected
}

function notStarted(name: string, error: NodeJS.ErrnoException): CliError {
  const missing = error.code === 'ENOENT'
  return new CliError(EXIT.usage, {
    title: 'Command not started',
    code: missing ? 'command_not_found' : 'command_not_started',
    detail: missing
      ? `The command ${name} was not found.`
      : `The command ${name} cannot be started (${error.code ?? 'unknown'}).`,
  })
}
