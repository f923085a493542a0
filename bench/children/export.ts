import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { csvLines } from '../../server/audit/formats/csv.js'
import { EVENT_COLUMNS } from '../../server/audit/formats/csv-columns.js'
import { ndjsonLines } from '../../server/audit/formats/ndjson.js'
import { ocsfOf } from '../../server/audit/formats/ocsf/map.js'
import { exportEntries } from '../../server/audit/queries.js'
import { contextsOf } from '../../server/audit/review/context.js'
import { fetchEvents } from '../../server/audit/review/events.js'
import { searchEvents } from '../../server/audit/review/filters.js'
import { type FetchRows, streamOf } from '../../server/audit/review/stream.js'
import type { Database } from '../../server/db/pool.js'
import { given, serveUntilStopped } from '../child.js'
import { openPool } from '../plain.js'

export type ExportFormat = 'floor' | 'whole' | 'ndjson' | 'csv' | 'ocsf'

export interface ExportConfig {
  readonly databaseUrl: string
  readonly format: ExportFormat
  /** From the first one on. */
  readonly entries: number
}

export interface Exported {
  readonly seconds: number
  readonly bytes: number
  /** The most the process ever held, in bytes. */
  readonly peak: number
}

/** Everything but the socket of an export: what GET /v1/log/entries and /v1/events/export send. */
async function main({ databaseUrl, format, entries }: ExportConfig): Promise<void> {
  const database = openPool(databaseUrl)
  let bytes = 0
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done()
    },
  })
  const begin = performance.now()
  await pipeline(Readable.from(await linesOf(database, format, entries)), sink)
  const seconds = (performance.now() - begin) / 1000
  const done: Exported = { seconds, bytes, peak: process.resourceUsage().maxRSS * 1024 }
  await database.end()
  serveUntilStopped(done, () => Promise.resolve())
  await once(process, 'disconnect')
}

async function linesOf(
  database: Database,
  format: ExportFormat,
  entries: number,
): Promise<AsyncIterable<string>> {
  if (format === 'floor') return bareBodies(database, entries)
  if (format === 'whole') return ndjsonLines(exportEntries(database, 0, entries, false))
  const search = { ...(await searchEvents(database, {})), range: { lo: 0, hi: entries } }
  if (format === 'csv') return csvLines(EVENT_COLUMNS, streamOf(database, search, fetchEvents))
  if (format === 'ndjson') return ndjsonLines(streamOf(database, search, fetchEvents))
  const fetchOcsf: FetchRows<unknown> = async (...asked) => {
    const events = await fetchEvents(...asked)
    const contextOf = await contextsOf(database, events)
    return events.map((event) => ocsfOf(event, contextOf(event)))
  }
  return ndjsonLines(streamOf(database, search, fetchOcsf))
}

/** The least that reading them takes: bodies by their key, five hundred at a time, as they are. */
async function* bareBodies(database: Database, entries: number): AsyncGenerator<string> {
  for (let from = 0; from < entries; from += 500) {
    const rows = await database.query<{ body: string }>(
      `SELECT convert_from(body, 'UTF8') AS body FROM writ.entry WHERE idx >= $1 AND idx < $2 ORDER BY idx`,
      [from, Math.min(from + 500, entries)],
    )
    for (const { body } of rows) yield `${body}\n`
  }
}

await main(given<ExportConfig>())
