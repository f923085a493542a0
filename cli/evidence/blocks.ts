/** A document before it is Markdown or HTML: both say the same, and what is dynamic is escaped by whoever writes it out. */
export type Block =
  | { readonly kind: 'heading'; readonly level: 1 | 2 | 3; readonly text: string }
  | { readonly kind: 'text'; readonly text: readonly Inline[] }
  | { readonly kind: 'facts'; readonly rows: readonly (readonly [name: string, value: Inline])[] }
  | {
      readonly kind: 'table'
      readonly header: readonly string[]
      readonly rows: readonly (readonly Inline[])[]
      readonly empty: string
    }
  | { readonly kind: 'list'; readonly items: readonly (readonly Inline[])[] }
  | { readonly kind: 'code'; readonly text: string }

/** Text, an identifier, or words of somebody else. */
export type Inline =
  | string
  | { readonly code: string }
  /** Written by the agent, or by whoever asked in its name: shown as such wherever it stands. */
  | { readonly agent: string }
  /** Written by an operator. */
  | { readonly human: string }

export const code = (text: string | null): Inline => (text === null || text === '' ? '-' : { code: text })
export const byAgent = (text: string | null | undefined): Inline => (text == null ? '-' : { agent: text })
export const byHuman = (text: string | null): Inline => (text === null ? '(erased)' : { human: text })

/** Rows of a table that somebody reads; evidence.json has all. */
export const MOST_ROWS = 500

export const heading = (level: 1 | 2 | 3, text: string): Block => ({ kind: 'heading', level, text })

/** A table of as many rows as somebody reads, and how many more there are. */
export function listed(
  header: readonly string[],
  rows: readonly (readonly Inline[])[],
  empty: string,
): readonly Block[] {
  const table: Block = { kind: 'table', header, rows: rows.slice(0, MOST_ROWS), empty }
  if (rows.length <= MOST_ROWS) return [table]
  return [table, { kind: 'text', text: [`${rows.length - MOST_ROWS} more are in evidence.json.`] }]
}
