import { CommanderError } from 'commander'
import { StartError } from '../server/errors.js'
import { CliError, EXIT, type ExitCode, type Problem } from './exit.js'
import { requestCommand } from './issuing.js'
import { clean, note } from './output.js'
import { buildProgram } from './program.js'

/** Runs one command line, `node` and script left out, and sets the exit code. Never throws. */
export async function main(args: readonly string[]): Promise<void> {
  // `writ events | head`: the reader has enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok)
  })
  try {
    const program = await buildProgram(args[0])
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = say(error, wantsJson(args))
  }
}

/** What went wrong, in the form asked for; answers the exit code. */
function say(error: unknown, json: boolean): ExitCode {
  if (error instanceof CommanderError) {
    // Help and version were asked for, and printed.
    if (error.exitCode === 0) return EXIT.ok
    const verbless = error.code === 'commander.help'
    if (verbless && !json) return EXIT.usage
    const detail = verbless ? 'This needs a verb.' : clean(error.message.replace(/^error: /, ''))
    return tell(
      EXIT.usage,
      { title: 'Usage', code: 'usage', detail, next: 'See `writ help`, or --help after a verb.' },
      json,
    )
  }
  if (error instanceof CliError) return tell(error.exitCode, error.problem, json)
  if (error instanceof StartError) {
    return tell(EXIT.unexpected, { title: 'Cannot start', code: 'start', detail: error.message }, json)
  }
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : 'Something unknown was thrown.'
  return tell(EXIT.unexpected, { title: 'Unexpected error', code: 'unexpected', detail }, json)
}

function tell(exitCode: ExitCode, problem: Problem, json: boolean): ExitCode {
  if (json) {
    process.stdout.write(`${JSON.stringify(problem, null, 2)}\n`)
    return exitCode
  }
  const lines = problem.detail.split('\n').map(clean)
  const ask = requestCommand(problem)
  if (ask !== undefined) lines.push(`Ask for it: ${clean(ask)}`)
  else if (problem.next !== undefined) lines.push(clean(problem.next))
  if (typeof problem.request === 'string')
    lines.push(`(${clean(problem.code)}, request ${clean(problem.request)})`)
  note(`writ: ${lines.join('\n      ')}`)
  return exitCode
}

/** Before `--`: what comes after belongs to another command. */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return (end === -1 ? args : args.slice(0, end)).includes('--json')
}
