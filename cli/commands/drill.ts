import { writeFile } from 'node:fs/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { DrillOptions } from '../drill/stage.js'
import { EXIT, usageError } from '../exit.js'
import { collect, withJson } from '../options.js'
import { answer, note } from '../output.js'

interface Options extends DrillOptions {
  readonly only?: readonly string[]
  readonly report?: string
  readonly release?: boolean
  readonly allowSkipped?: boolean
  readonly json?: boolean
}

const NAMES = [
  'stolen-token',
  'injected-delete',
  'environment-confusion',
  'self-approval',
  'grant-replay',
  'velocity-burst',
  'use-after-stop',
] as const

/** A rogue agent, played. */
export function drillCommand(program: Command): void {
  const drill = withJson(program.command('drill'))
  const connection = (flags: string, meaning: string) =>
    drill.addOption(new Option(flags, meaning).helpGroup('Connection:'))
  connection('--url <url>', 'where the broker is (WRIT_URL)')
  connection('--data-dir <folder>', 'data folder of the local broker (WRIT_DATA_DIR)')
  connection('--insecure', 'allow plain http to another machine')
  connection('--token-file <file>', 'token of the drill agent; with a local broker one is made')
  connection('--twin-token-file <file>', 'token of a second drill agent')
  connection('--operator-token-file <file>', 'token of an operator who may stop it')
  connection('--reader-token-file <file>', 'token of security, to look every attempt up in the record')
  drill
    .summary('play a rogue agent against the broker, and show what stops it')
    .description(
      'Play a rogue agent against a running broker, without harm: only the drill agent is played with, and it may hold nothing of worth. Says of each attempt what stopped it and where it is recorded. Exits with 0 only when every scenario was stopped. docs/drill.md has the scenarios.',
    )
    .option('--agent <name>', 'the drill agent', 'writ-drill')
    .option('--approver <name>', 'local broker only: the operator who approves, and stops', 'alice')
    .option('--owner <name>', 'local broker only: an operator of the team that owns the drill agent', 'bob')
    .option('--reader <name>', 'local broker only: the operator who reads the record', 'carol')
    .option('--only <scenario>', `one of ${NAMES.join(', ')}; repeatable`, known)
    .option('--report <file>', 'also write a report for auditors, in Markdown')
    .option('--release', 'local broker only: release the drill agent afterwards, after a minute')
    .option('--allow-skipped', 'exit with 0 although something could not be played')
    .action(async (options: Options) => {
      const [{ openStage }, { playDrill, SCENARIOS }, { markdown, showReport }] = await Promise.all([
        import('../drill/stage.js'),
        import('../drill/run.js'),
        import('../drill/report.js'),
      ])
      const chosen = SCENARIOS.filter(({ name }) => options.only?.includes(name) ?? true)
      const stage = await openStage(options)
      const report = await playDrill(stage, chosen, { release: options.release === true }, note)
      if (options.report !== undefined) {
        await writeFile(options.report, markdown(report)).catch(() => {
          throw usageError(`The report cannot be written to ${options.report}.`)
        })
      }
      answer(options, report, () => showReport(report))
      const failed = report.scenarios.some(({ outcome }) => outcome === 'failed')
      const whole = report.complete || options.allowSkipped === true
      if (failed || !whole) process.exitCode = EXIT.unexpected
    })
}

function known(text: string, before: readonly string[] = []): readonly string[] {
  const names = collect(text, before)
  const unknown = names.find((name) => !(NAMES as readonly string[]).includes(name))
  if (unknown === undefined) return names
  throw new InvalidArgumentError(`Give some of ${NAMES.join(', ')}.`)
}
