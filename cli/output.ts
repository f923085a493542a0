/**
 * Text from elsewhere, made harmless for a terminal: an agent's reason must not be able to move the cursor,
 * recolour what an approver reads, or turn its direction around.
 */
export const clean = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
  text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '?')

/** Answers go to stdout; the machine form is one JSON document. */
export function answer(options: { readonly json?: boolean }, value: unknown, human: () => string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(value, null, 2)}\n` : ended(human()))
}

/** What a human should know beside the answer; stderr, so that pipes carry answers only. */
export const note = (text: string): void => void process.stderr.write(ended(text))

const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`)

/** Columns under a header, or `empty` when there are no rows. Cells are cleaned here. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  empty: string,
): string {
  if (rows.length === 0) return empty
  const all = [header, ...rows.map((row) => row.map(clean))]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** `Name:  value` lines, aligned; rows without a value are left out. Values are cleaned here. */
export function fields(rows: readonly (readonly [name: string, value: string | undefined | null])[]): string {
  const shown = rows.flatMap(([name, value]) => (value == null ? [] : [[name, value] as const]))
  const width = Math.max(...shown.map(([name]) => name.length)) + 2
  return shown
    .map(([name, value]) => {
      const [first = '', ...more] = value.split('\n').map(clean)
      return [`${`${name}:`.padEnd(width)}${first}`, ...more.map((line) => ' '.repeat(width) + line)].join(
        '\n',
      )
    })
    .join('\n')
}

/** Safe between any characters of a POSIX shell. */
export const shellQuote = (text: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

/** An instant of the broker's for a human: UTC, to the second. */
export const sayInstant = (instant: string): string => {
  const at = new Date(instant)
  return Number.isNaN(at.getTime()) ? instant : `${at.toISOString().slice(0, 19).replace('T', ' ')}Z`
}
