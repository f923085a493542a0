/** Markup that is already escaped. Plain strings given to `el` never are. */
export interface Xml {
  readonly xml: string
}

/** One element; strings and numbers become escaped text, so no key, tag or message can add markup. */
export function el(name: string, ...content: readonly (string | number | Xml)[]): Xml {
  const inner = content.map((one) => (typeof one === 'object' ? one.xml : escapeText(String(one)))).join('')
  return { xml: `<${name}>${inner}</${name}>` }
}

/** A whole document whose root carries a namespace. */
export function xmlDocument(
  root: string,
  namespace: string,
  ...content: readonly (string | number | Xml)[]
): string {
  const inner = el('x', ...content).xml.slice(3, -4)
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${namespace}">${inner}</${root}>`
}

const NAMED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

function escapeText(text: string): string {
  // Control characters go out as references, as S3 sends keys that hold them.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[&<>"'\u0000-\u001f\u007f-\u009f]/g, (one) => NAMED[one] ?? `&#${one.charCodeAt(0)};`)
}
