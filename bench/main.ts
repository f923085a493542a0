import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../server/paths.js'
import { renewPage } from '../server/policy/reference.js'
import { append } from './append.js'
import { containment } from './containment.js'
import { cost } from './cost.js'
import { exporting } from './export.js'
import { firstPaint } from './first-paint.js'
import { floors } from './floors.js'
import { history } from './history.js'
import { issuance } from './issuance.js'
import { policy } from './policy.js'
import { record } from './record.js'
import { markdownTable, type Result, textTable } from './result.js'
import type { Run } from './run.js'
import { type Kept, openKept } from './seed/kept.js'
import { openStage, type Stage } from './stage.js'
import { verify } from './verify.js'

const BENCHMARKS = {
  floors,
  issuance,
  cost,
  containment,
  record,
  append,
  history,
  firstPaint,
  export: exporting,
  verify,
  policy,
}
type Name = keyof typeof BENCHMARKS

const USUAL = { warmupSeconds: 1, seconds: 2, rounds: 5 }
const SMOKE = { warmupSeconds: 0.05, seconds: 0.1, rounds: 1 }

/** The least in which everything occurs that is looked for. */
const SMOKE_ENTRIES = 5_000

const USAGE = `npm run bench -- [${Object.keys(BENCHMARKS).join('|')}…] [--smoke] [--json|--markdown|--write]
  --entries N how long the record is that is appended to, searched and exported; default 1000000. Filled once and
              kept in the folder for temporary files: a minute for a million (3 GB), about ten for
              ten million (20 GB)
  --smoke     a few seconds in all: shows that everything runs, its figures say nothing
  --json      one JSON object on stdout
  --markdown  the tables as they stand in docs/benchmarks.md
  --write     puts them there; takes a run of everything`

// The SDK warns on Node 20, in each of our processes.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'

const OPTIONS = {
  entries: { type: 'string' },
  smoke: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  markdown: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
} as const

async function main(args: readonly string[]): Promise<void> {
  const { values: wants, positionals } = parseArgs({
    args: [...args],
    options: OPTIONS,
    allowPositionals: true,
  })
  const names = (positionals.length > 0 ? positionals : Object.keys(BENCHMARKS)).map(known)
  if (wants.write && (positionals.length > 0 || wants.smoke)) throw new Error(USAGE)
  const entries = Number(wants.entries ?? (wants.smoke ? SMOKE_ENTRIES : 1_000_000))
  if (!Number.isInteger(entries) || entries < SMOKE_ENTRIES)
    throw new Error(`--entries is a number of at least ${SMOKE_ENTRIES}.\n${USAGE}`)
  let stage: Promise<Stage> | undefined
  const keeping = new Map<number, Promise<Kept>>()
  const run: Run = {
    pace: wants.smoke ? SMOKE : USUAL,
    smoke: wants.smoke,
    stage: () => {
      stage ??= openStage(wants.smoke ? 10 : 200)
      return stage
    },
    entries,
    kept: (length) => {
      const kept = keeping.get(length) ?? openKept(length, !wants.smoke, run.say)
      keeping.set(length, kept)
      return kept
    },
    say: (text) => void process.stderr.write(`${text}\n`),
  }
  const close = async (): Promise<void> => {
    for (const one of [stage, ...keeping.values()]) await (await one?.catch(() => undefined))?.close()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void close().finally(() => process.exit(1)))
  }
  const loadBefore = loadavg()[0] ?? 0
  const results: Result[] = []
  let postgres: string | undefined
  try {
    for (const name of names) results.push(await BENCHMARKS[name](run))
    postgres = (await stage)?.postgresVersion ?? (await [...keeping.values()][0])?.version
  } finally {
    await close()
  }
  const about = {
    node: process.version,
    postgres,
    cores: cpus().length,
    memory: totalmem(),
    entries: keeping.size > 0 ? entries : undefined,
    loadBefore,
    pace: run.pace,
    smoke: wants.smoke,
  }
  if (wants.json) console.log(JSON.stringify({ about, results }, undefined, 2))
  else if (wants.markdown) console.log(markdown(about, results))
  else if (!wants.write) console.log([facts(about), ...results.map(textTable)].join('\n\n'))
  if (wants.write) {
    const page = join(packageRoot(), 'docs/benchmarks.md')
    writeFileSync(page, renewPage(readFileSync(page, 'utf8'), { results: markdown(about, results) }))
  }
}

interface About {
  readonly node: string
  readonly postgres: string | undefined
  readonly cores: number
  /** Bytes. */
  readonly memory: number
  /** Length of the long record, where one was needed. */
  readonly entries: number | undefined
  readonly loadBefore: number
  readonly pace: Run['pace']
  readonly smoke: boolean
}

function facts({ node, postgres, cores, memory, entries, loadBefore, pace, smoke }: About): string {
  const database = postgres === undefined ? '' : `, PostgreSQL ${postgres} with fsync on`
  const rounds = `${pace.rounds} rounds of ${pace.seconds} s after ${pace.warmupSeconds} s of warm-up`
  const record = entries === undefined ? '' : ` The long record has ${entries.toLocaleString('en')} entries.`
  return `${cores} cores, ${Math.round(memory / 2 ** 30)} GB of memory, Node ${node.slice(1)}${database}; ${rounds}; load average before: ${loadBefore.toFixed(1)}.${record}${smoke ? ' A smoke run: the figures say nothing.' : ''}`
}

const markdown = (about: About, results: readonly Result[]): string =>
  [facts(about), ...results.map(markdownTable)].join('\n\n')

function known(name: string): Name {
  if (Object.hasOwn(BENCHMARKS, name)) return name as Name
  throw new Error(`There is no benchmark ${name}.\n${USAGE}`)
}

await main(process.argv.slice(2)).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
