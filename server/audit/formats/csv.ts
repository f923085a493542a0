/** A column: its name, and what its cell says of a row; null is an empty cell. */
export type Column<T> = readonly [name: string, cell: (row: T) => string | number | null | undefined]

/**
 * CSV by RFC 4180, in UTF-8: a header, CRLF, quotes where they are needed. Reasons and tickets are written by
 * agents, and a spreadsheet runs what begins like a formula: such a cell gets an apostrophe in front, and so does
 * one that begins with an apostrophe, so that taking the first one away always gives back what was recorded.
 */
export async function* csvLines<T>(
  columns: readonly Column<T>[],
  rows: AsyncIterable<T>,
): AsyncGenerator<string> {
  yield line(columns.map(([name]) => name))
  for await (const row of rows) yield line(columns.map(([, cell]) => cell(row)))
}

const line = (cells: readonly (string | number | null | undefined)[]): string =>
  `${cells.map(quoted).join(',')}\r\n`

/** OWASP, CSV Injection; the wide forms too, which some spreadsheets take for the narrow ones. */
const FORMULA = /^['=+\-@\t\r\n＝＋－＠]/

function quoted(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number') return String(value)
  const text = FORMULA.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
