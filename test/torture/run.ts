/** The long way: `npm run torture -- --issuances 100000`. Exit code 1 when the record is not what was seen. */
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { USUAL } from './killer.js'
import { measureStalls, stallTable } from './stall.js'
import { type Report, torture } from './torture.js'

const USAGE = `npm run torture -- [--issuances N] [--replicas N] [--workers N] [--seed N] [--gap MS] [--no-fsync]
                   [--setting NAME=VALUE]… [--compiled FOLDER] [--sabotage FILE.sql] [--quiet]
npm run torture -- --stalls TRIALS [--replicas N]`

const OPTIONS = {
  issuances: { type: 'string', default: '2000' },
  replicas: { type: 'string', default: '3' },
  workers: { type: 'string', default: '24' },
  seed: { type: 'string', default: '' },
  gap: { type: 'string', default: '3000' },
  stalls: { type: 'string', default: '' },
  compiled: { type: 'string', default: '' },
  sabotage: { type: 'string', default: '' },
  setting: { type: 'string', multiple: true },
  'no-fsync': { type: 'boolean', default: false },
  quiet: { type: 'boolean', default: false },
} as const

const OUT = resolve(dirname(fileURLToPath(import.meta.url)), '../..')

async function main(args: readonly string[]): Promise<void> {
  const { values: wants } = parseArgs({ args: [...args], options: OPTIONS })
  const seed = wants.seed === '' ? Date.now() % 1_000_000 : whole(wants.seed)
  const postgres = Object.fromEntries([
    ...(wants['no-fsync'] ? [['fsync', 'off'] as const] : []),
    ...(wants.setting ?? []).map((text) => text.split('=') as [string, string]),
  ])
  const compiled = wants.compiled === '' ? OUT : resolve(wants.compiled)
  const say = (text: string): void => {
    if (!wants.quiet) process.stderr.write(`${new Date().toISOString().slice(11, 23)} ${text}\n`)
  }
  const shared = {
    seed,
    compiled,
    postgres,
    say,
    replicas: whole(wants.replicas),
    workers: whole(wants.workers),
  }
  console.log(`seed ${seed}; ${cpus().length} cores, Node ${process.version.slice(1)}`)
  if (wants.stalls !== '') {
    console.log(stallTable(await measureStalls({ ...shared, trials: whole(wants.stalls) })))
    return
  }
  const report = await torture({
    ...shared,
    issuances: whole(wants.issuances),
    violence: { ...USUAL, gapMs: [whole(wants.gap) / 3, (whole(wants.gap) * 5) / 3] },
    ...(wants.sabotage === '' ? {} : { sabotage: readFileSync(wants.sabotage, 'utf8') }),
  })
  console.log(text(report))
  if (report.findings.length > 0) process.exitCode = 1
}

const MOST_SHOWN = 20

function text(report: Report): string {
  const lines = (title: string, pairs: Iterable<readonly [string, number]>): string =>
    [title, ...[...pairs].map(([name, n]) => `  ${String(n).padStart(9)}  ${name}`)].join('\n')
  const { findings } = report
  return [
    lines('Strikes', report.struck),
    lines('Figures', Object.entries(report.figures)),
    lines('Refusals', report.refusals),
    lines('Errors that brokers logged', report.errors),
    `PostgreSQL ${report.postgres}`,
    findings.length === 0
      ? 'The record is what was seen.'
      : [`${findings.length} FINDINGS`, ...findings.slice(0, MOST_SHOWN).map((one) => `  ${one}`)].join('\n'),
  ].join('\n\n')
}

function whole(given: string): number {
  const number = Number(given)
  if (!Number.isInteger(number) || number < 0) throw new Error(USAGE)
  return number
}

await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
})
