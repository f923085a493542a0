import { type Html, html } from './html.js'

export type Section = 'requests' | 'grants' | 'agents' | 'stops' | 'history' | 'integrity' | 'keys'

/** Who looks at a page. */
export interface Viewer {
  readonly operator: string
  readonly roles: readonly string[]
  /** Sent along with everything that changes something; useless without the session's cookie. */
  readonly csrf: string
}

/** A sentence on top of a page; `href` leads to where it is dealt with. */
export interface Notice {
  readonly tone: 'info' | 'warn' | 'danger'
  readonly text: string
  readonly href?: string
}

/** What every page is built with. */
export interface Assets {
  /** Where modules and images are, such as `/console/assets/1a2b3c`. */
  readonly path: string
  /** The whole style sheet: fetched by a request of its own, it would hold the first paint up. */
  readonly style: Html
}

export interface Page {
  readonly title: string
  readonly section?: Section
  /** Absent before signing in. */
  readonly viewer?: Viewer
  readonly body: Html
  /** Browser modules to load, without folder and suffix: `live` is web/browser/live.ts. `times` and `copy` are on every page. */
  readonly modules?: readonly string[]
  /** Said on top of every page: a record that is not trusted, what is stopped, break-glass that waits for review, local mode. */
  readonly notices?: readonly (string | Notice)[]
  readonly assets: Assets
  /** `reading` keeps lines short enough to read; tables take the whole width. */
  readonly width?: 'reading' | 'full'
  /** The server's clock, which times on the page are counted by. */
  readonly now?: Date
}

const SECTIONS: readonly (readonly [Section, string])[] = [
  ['requests', 'Requests'],
  ['grants', 'Grants'],
  ['agents', 'Agents'],
  ['stops', 'Stops'],
  ['history', 'History'],
  ['integrity', 'Integrity'],
  ['keys', 'Your keys'],
]

const EVERYWHERE = ['times', 'copy']

/** The whole document around a page. */
export function layout({ body, ...page }: Page): string {
  const [before, after] = layoutAround(page)
  return before + body.text + after
}

/** The document before and after its body, for a body that takes longer than a reader should look at nothing. */
export function layoutAround(page: Omit<Page, 'body'>): readonly [before: string, after: string] {
  const { viewer } = page
  const modules = new Set([...EVERYWHERE, ...(page.modules ?? [])])
  const before = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="now" content="${(page.now ?? new Date()).toISOString()}">
${viewer && html`<meta name="csrf" content="${viewer.csrf}">`}
<title>${page.title} · Writ</title>
<link rel="icon" type="image/svg+xml" href="${page.assets.path}/icon.svg">
<style>${page.assets.style}</style>
${[...modules].map((name) => html`<script type="module" src="${page.assets.path}/${name}.js"></script>`)}
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header class="top">
<a class="brand" href="/console">Writ</a>
${viewer && navigation(page.section)}
${viewer && who(viewer)}
</header>
${(page.notices ?? []).map(banner)}
<main id="main" tabindex="-1" class="${page.width ?? 'full'}">
<h1>${page.title}</h1>
`.text
  return [before, '\n</main>\n</body>\n</html>']
}

const navigation = (current: Section | undefined): Html =>
  html`<nav aria-label="Console"><ul>${SECTIONS.map(
    ([section, label]) =>
      html`<li><a href="/console/${section}"${current === section && html` aria-current="page"`}>${label}</a></li>`,
  )}</ul></nav>`

const who = ({ operator, csrf }: Viewer): Html =>
  html`<form class="who" method="post" action="/console/sign-out"><span title="Signed in as ${operator}">${operator}</span><input type="hidden" name="csrf" value="${csrf}"><button class="small">Sign out</button></form>`

function banner(notice: string | Notice): Html {
  const { tone, text, href } =
    typeof notice === 'string' ? { tone: 'info', text: notice, href: undefined } : notice
  return html`<p class="notice ${tone}" role="status">${href === undefined ? text : html`<a href="${href}">${text}</a>`}</p>`
}
