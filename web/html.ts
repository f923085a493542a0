/** Text that may stand in a page as it is. Only `html` makes it. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** What may be put into a page. Nothing, null and false leave no trace. */
export type Part = Html | string | number | null | undefined | false | readonly Part[]

/**
 * A piece of a page. Everything put in is escaped, whatever an agent wrote; attributes have to be quoted.
 * Never a place for text inside of <script> or <style>: there is none but our own style sheet.
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.map((literal, n) => (n === 0 ? '' : rendered(parts[n - 1])) + literal).join(''))
}

function rendered(part: Part): string {
  if (part === undefined || part === null || part === false) return ''
  if (part instanceof Html) return part.text
  if (Array.isArray(part)) return part.map(rendered).join('')
  return escaped(String(part))
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
