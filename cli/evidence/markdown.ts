import { clean } from '../output.js'
import type { Block, Inline } from './blocks.js'

/** CommonMark with tables (GFM). No character of what is dynamic can begin anything: not a link, a tag, an image, a cell. */
export const markdown = (blocks: readonly Block[]): string => `${blocks.map(block).join('\n\n')}\n`

/** A backslash before every ASCII punctuation character is that character and nothing else (CommonMark 0.31, section 2.4). */
const escaped = (text: string): string => clean(text).replace(/[!-/:-@[-`{-~]/g, '\\$&')

/** Our own sentences with names in them: what reads badly stays as it is. A bare address must not become a link (GFM). */
const plain = (text: string): string =>
  clean(text).replace(/[\\`*_[\]<>|#&~@]|:(?=\/\/)|\.(?<=www\.)/gi, '\\$&')

function inline(one: Inline): string {
  if (typeof one === 'string') return plain(one)
  if ('code' in one) return codeSpan(one.code)
  if ('agent' in one) return `(written by the agent) “${escaped(one.agent)}”`
  return `“${escaped(one.human)}”`
}

/** Longer fences than any within; in a table a bar would end the cell, also in code. */
function codeSpan(text: string): string {
  const safe = clean(text)
  if (/[`|\\]/.test(safe)) return escaped(safe)
  return `\`${safe}\``
}

const line = (items: readonly Inline[]): string => items.map(inline).join('')

function block(one: Block): string {
  switch (one.kind) {
    case 'heading':
      return `${'#'.repeat(one.level)} ${plain(one.text)}`
    case 'text':
      return line(one.text)
    case 'facts':
      return one.rows.map(([name, value]) => `- **${plain(name)}:** ${inline(value)}`).join('\n')
    case 'list':
      return one.items.map((item) => `- ${line(item)}`).join('\n')
    case 'table':
      return one.rows.length === 0 ? plain(one.empty) : table(one.header, one.rows)
    case 'code':
      return fenced(one.text)
  }
}

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const table = (header: readonly string[], rows: readonly (readonly Inline[])[]): string =>
  [row(header.map(plain)), row(header.map(() => '---')), ...rows.map((cells) => row(cells.map(inline)))].join(
    '\n',
  )

function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length))
  const fence = '`'.repeat(longest + 1)
  const lines = text.split('\n').map(clean).join('\n').replace(/\n+$/, '')
  return `${fence}\n${lines}\n${fence}`
}
