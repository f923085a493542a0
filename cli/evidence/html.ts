import { createHash } from 'node:crypto'
import { clean } from '../output.js'
import type { Block, Inline } from './blocks.js'

const STYLE = `:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--back:#fff;--mark:#fff3cd;--code:#f3f4f6}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--line:#3d444d;--back:#0d1117;--mark:#3a2f0b;--code:#1c2128}}
body{margin:0 auto;padding:1.5rem;max-width:70rem;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem;border-bottom:1px solid var(--line)}h3{font-size:1rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.87rem;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{color:var(--soft);white-space:nowrap;overflow-wrap:normal}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
code,pre{font:.87em/1.45 ui-monospace,monospace;background:var(--code)}pre{padding:.75rem;white-space:pre-wrap;overflow-wrap:anywhere}
q.agent{background:var(--mark);padding:0 .2rem}.by{color:var(--soft);font-size:.85em}
@media print{:root{--ink:#000;--soft:#444;--line:#999;--back:#fff;--mark:#eee;--code:#f5f5f5}body{max-width:none;padding:0;font-size:10pt}
h2,h3{break-after:avoid}tr{break-inside:avoid}thead{display:table-header-group}.wide{overflow:visible}}
`

/** Nothing of it is loaded from anywhere, and nothing in it runs: the policy says so to the browser too. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`

/** One file that stands by itself: readable in light, dark and print. */
export function html(title: string, blocks: readonly Block[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${blocks.map(block).join('\n')}
</main>
</body>
</html>
`
}

const NAMES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escaped = (text: string): string => clean(text).replace(/[&<>"']/g, (one) => NAMES[one] ?? '')

function inline(one: Inline): string {
  if (typeof one === 'string') return escaped(one)
  if ('code' in one) return `<code>${escaped(one.code)}</code>`
  if ('agent' in one)
    return `<span class="by">(written by the agent)</span> <q class="agent">${escaped(one.agent)}</q>`
  return `<q>${escaped(one.human)}</q>`
}

const line = (items: readonly Inline[]): string => items.map(inline).join('')

function block(one: Block): string {
  switch (one.kind) {
    case 'heading':
      return `<h${one.level}>${escaped(one.text)}</h${one.level}>`
    case 'text':
      return `<p>${line(one.text)}</p>`
    case 'facts':
      return `<dl>${one.rows.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${inline(value)}</dd>`).join('\n')}</dl>`
    case 'list':
      return `<ul>${one.items.map((item) => `<li>${line(item)}</li>`).join('\n')}</ul>`
    case 'table':
      return one.rows.length === 0 ? `<p>${escaped(one.empty)}</p>` : table(one.header, one.rows)
    case 'code':
      return `<pre>${one.text.replace(/\n+$/, '').split('\n').map(escaped).join('\n')}</pre>`
  }
}

const table = (header: readonly string[], rows: readonly (readonly Inline[])[]): string =>
  [
    '<div class="wide"><table>',
    `<thead><tr>${header.map((name) => `<th scope="col">${escaped(name)}</th>`).join('')}</tr></thead>`,
    `<tbody>${rows.map((cells) => `<tr>${cells.map((cell) => `<td>${inline(cell)}</td>`).join('')}</tr>`).join('\n')}</tbody>`,
    '</table></div>',
  ].join('\n')
