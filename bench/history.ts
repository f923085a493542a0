import type { EventFilter } from '../server/audit/review/filters.js'
import { listEvents, listIssuances } from '../server/audit/review/lists.js'
import type { Database } from '../server/db/pool.js'
import { type Case, HOW_OFTEN, historyCases } from './history-cases.js'
import { quantile } from './measure.js'
import { openPool } from './plain.js'
import { type Cell, type Result, shortened } from './result.js'
import type { Run } from './run.js'

const LIMIT = 50
const DEEP = 100
/** What a page may take at the 99th percentile. */
const MOST_MS = 50

/** Pages of what was issued and of the log, by every filter, near and far. */
export async function history(run: Run): Promise<Result> {
  const kept = await run.kept(run.entries)
  const database = openPool(kept.brokerUrl)
  const tries = run.smoke ? 1 : 200
  const rows: Record<string, Cell>[] = []
  try {
    const floor = await timed(tries, () => barePage(database, run.entries))
    rows.push({
      list: 'floor',
      by: 'a page by its key',
      ...noCells(),
      'common, 1st': shown(floor),
      ...worst([floor], floor),
    })
    const cases = await historyCases(database)
    for (const one of cases) {
      run.say(`history: ${one.list} by ${one.by}`)
      rows.push(await measured(one, database, { tries, deep: run.smoke ? 3 : DEEP, floor, say: run.say }))
    }
  } finally {
    await database.end()
  }
  return {
    name: 'history',
    title: 'History: a page of what was',
    about: `p50 and p99 in milliseconds of a page of ${LIMIT} over ${tries} tries, from the functions behind /v1/issuances and /v1/events, on ${run.entries.toLocaleString('en')} entries. Each filter with a value that is in much of the record, one in a few thousand places all over it, and one in its oldest tenth only; the first page and the hundredth, or the last where there are fewer (its number in brackets; one that has only one is not repeated). Warm: PostgreSQL’s own 128 MB of buffers, and the operating system’s cache behind them. The floor reads ${LIMIT} bodies by their key; the ratio is of the slowest median of a line.`,
    rows,
  }
}

interface Measure {
  readonly tries: number
  /** The number of the far page. */
  readonly deep: number
  readonly floor: readonly number[]
  readonly say: Run['say']
}

async function measured(
  { list, by, filters }: Case,
  database: Database,
  { tries, deep: furthest, floor, say }: Measure,
): Promise<Record<string, Cell>> {
  const cells = noCells()
  const all: (readonly number[])[] = []
  for (const often of HOW_OFTEN) {
    const filter = filters[often]
    if (filter === undefined) continue
    const page = pager(list, database, filter)
    const near = await timed(tries, () => page(undefined))
    cells[`${often}, 1st`] = shown(near)
    all.push(near)
    const deep = await turnTo(page, furthest)
    if (deep.number > 1) {
      const far = await timed(tries, () => page(deep.before))
      cells[`${often}, 100th`] = `${shown(far)}${deep.number < DEEP ? ` (${deep.number})` : ''}`
      all.push(far)
    }
  }
  const slowest = worst(all, floor)
  if (slowest['slowest p99 ms'] > MOST_MS)
    say(`history: ABOVE ${MOST_MS} ms: ${list} by ${by}: ${JSON.stringify(cells)}`)
  return { list, by, ...cells, ...slowest }
}

type Page = (before: number | undefined) => Promise<number | null>

/** Answers where the next page begins. */
function pager(list: Case['list'], database: Database, filter: EventFilter): Page {
  return async (before) => {
    const asked = { limit: LIMIT, before }
    if (list === 'events') return (await listEvents(database, filter, asked)).next
    return (await listIssuances(database, filter, asked)).next
  }
}

/** The page of this number, or the last before it. */
async function turnTo(
  page: Page,
  furthest: number,
): Promise<{ readonly number: number; readonly before: number | undefined }> {
  let before: number | undefined
  for (let number = 1; ; number++) {
    if (number === furthest) return { number, before }
    const next = await page(before)
    if (next === null) return { number, before }
    before = next
  }
}

async function timed(tries: number, call: () => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = []
  const warmup = Math.min(20, tries)
  for (let n = -warmup; n < tries; n++) {
    const begin = performance.now()
    await call()
    if (n >= 0) times.push(performance.now() - begin)
  }
  return times
}

/** The least that a page takes. */
async function barePage(database: Database, entries: number): Promise<unknown> {
  return await database.query(
    `SELECT idx, convert_from(body, 'UTF8') AS body, personal, salt FROM writ.entry WHERE idx < $1 ORDER BY idx DESC LIMIT $2`,
    [entries, LIMIT],
  )
}

/** In the order of the columns. */
const noCells = (): Record<string, Cell> =>
  Object.fromEntries(
    HOW_OFTEN.flatMap((often) => ['1st', '100th'].map((page) => [`${often}, ${page}`, undefined])),
  )

const shown = (times: readonly number[]): string =>
  [0.5, 0.99].map((share) => shortened(quantile(times, share))).join(' / ')

function worst(all: readonly (readonly number[])[], floor: readonly number[]) {
  return {
    'slowest p99 ms': Math.max(...all.map((times) => quantile(times, 0.99))),
    'of floor': { ratio: Math.max(...all.map((times) => quantile(times, 0.5))) / quantile(floor, 0.5) },
  }
}
