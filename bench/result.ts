/** Absent, or not a number, is shown as a dash. */
export type Cell = string | number | { readonly ratio: number } | undefined

export interface Result {
  readonly name: string
  readonly title: string
  /** What stands beside what. */
  readonly about: string
  readonly rows: readonly Readonly<Record<string, Cell>>[]
}

/** As text with aligned columns. */
export function textTable(result: Result): string {
  const [head = [], ...rows] = cells(result)
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const numeric = head.map((_, column) => rows.every((row) => /^[\d,.×–]+$/.test(row[column] ?? '')))
  const pad = (cell: string, column: number): string =>
    numeric[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
  const lines = all.map((row) => row.map(pad).join('  ').trimEnd())
  return [result.title, result.about, '', ...lines].join('\n')
}

export function markdownTable(result: Result): string {
  const [head = [], ...rows] = cells(result)
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`
  const lines = [line(head), line(head.map(() => '---')), ...rows.map(line)]
  return [`### ${result.title}`, '', result.about, '', ...lines].join('\n')
}

function cells(result: Result): string[][] {
  const columns = [...new Set(result.rows.flatMap((row) => Object.keys(row)))]
  return [columns, ...result.rows.map((row) => columns.map((column) => shown(row[column])))]
}

function shown(cell: Cell): string {
  if (typeof cell === 'string') return cell
  if (typeof cell === 'object') return `${shortened(cell.ratio)}×`
  return cell === undefined || !Number.isFinite(cell) ? '–' : shortened(cell)
}

/** Sizes are whole and shown in full; of a measurement three digits are more than it repeats. */
export function shortened(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en')
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return value.toPrecision(value < 1 ? 2 : 3)
}
