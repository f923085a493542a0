import { startChild } from './child.js'
import type { ExportConfig, Exported, ExportFormat } from './children/export.js'
import { median } from './measure.js'
import type { Cell, Result } from './result.js'
import type { Run } from './run.js'

const FORMATS: readonly ExportFormat[] = ['floor', 'whole', 'ndjson', 'csv', 'ocsf']
const NAMES: Readonly<Record<ExportFormat, string>> = {
  floor: 'bodies alone, by their key',
  whole: 'whole entries, to verify (/v1/log/entries)',
  ndjson: 'events as NDJSON',
  csv: 'events as CSV',
  ocsf: 'events as OCSF',
}

/** How fast the record is taken along, and that a long export needs no more memory than a short one. */
export async function exporting(run: Run): Promise<Result> {
  const kept = await run.kept(run.entries)
  const [short, long, rounds] = run.smoke
    ? [2_000, 2_000, 1]
    : [10_000, Math.min(run.entries, 500_000), Math.min(run.pace.rounds, 3)]
  const once = async (format: ExportFormat, entries: number): Promise<Exported> => {
    const config: ExportConfig = { databaseUrl: kept.brokerUrl, format, entries }
    const child = await startChild<Exported>('children/export.js', config)
    await child.stop()
    return child.ready
  }
  const found = new Map<ExportFormat, { short: Exported; long: Exported[] }>()
  for (let round = 1; round <= rounds; round++) {
    for (const format of FORMATS) {
      run.say(`export: ${NAMES[format]}, round ${round}`)
      const exported = await once(format, long)
      const all = found.get(format) ?? {
        short: short === long ? exported : await once(format, short),
        long: [],
      }
      found.set(format, all)
      all.long.push(exported)
    }
  }
  const floor = found.get('floor')?.long ?? []
  const rows: Record<string, Cell>[] = []
  for (const [format, exported] of found) {
    const rate = ({ seconds }: Exported) => long / seconds
    rows.push({
      export: NAMES[format],
      entries: long,
      'per second': median(exported.long.map(rate)),
      'MB per second': median(exported.long.map(({ bytes, seconds }) => bytes / seconds / 1e6)),
      'of floor': {
        ratio: median(exported.long.map((one, n) => rate(one) / rate(floor[n] ?? one))),
      },
      [`peak MB, ${short.toLocaleString('en')} entries`]: exported.short.peak / 1e6,
      [`peak MB, ${long.toLocaleString('en')} entries`]: Math.max(
        ...exported.long.map(({ peak }) => peak / 1e6),
      ),
    })
  }
  return {
    name: 'export',
    title: 'Export: the record taken along',
    about:
      'From the first entry on, in a process of its own, as the route makes it but into nothing instead of a socket. The peak is of the resident memory of the whole process, Node included, for a short export and for a long one.',
    rows,
  }
}
