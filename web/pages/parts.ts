import { type Html, html, type Part } from '../html.js'

/** What looks dangerous, what is fine, what is only said. */
export type Tone = 'ok' | 'warn' | 'danger' | 'info' | 'quiet'

type Instant = string | Date | null | undefined

const parsed = (instant: Instant): Date | undefined => {
  if (instant === null || instant === undefined) return undefined
  const date = new Date(instant)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/** An instant. In UTC until web/browser/times.ts says it in the reader's own zone. */
export function time(instant: Instant): Html {
  const date = parsed(instant)
  if (date === undefined)
    return html`<span class="muted">${instant === null || instant === undefined ? 'never' : 'unreadable time'}</span>`
  const iso = date.toISOString()
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`
}

/** How long ago: `12 min ago`. Counts on while the page is open. */
export const ago = (instant: Instant, now: Date): Html => relative(instant, now, 'ago')

/** How long until then: `41 min left`, or `over`. Counts on while the page is open. */
export const left = (instant: Instant, now: Date): Html => relative(instant, now, 'left')

function relative(instant: Instant, now: Date, way: 'ago' | 'left'): Html {
  const date = parsed(instant)
  if (date === undefined) return time(instant)
  const seconds = (date.getTime() - now.getTime()) / 1000
  const iso = date.toISOString()
  return html`<time datetime="${iso}" title="${iso}" data-relative="${way}">${way === 'ago' ? agoText(-seconds) : leftText(seconds)}</time>`
}

// web/browser/times.ts says the same in the same words.
const agoText = (seconds: number): string => (seconds < 60 ? 'just now' : `${span(seconds)} ago`)
const leftText = (seconds: number): string => (seconds <= 0 ? 'over' : `${span(seconds)} left`)

/** Roughly how long: `45 s`, `12 min`, `3 h`, `2 d`. */
function span(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.floor(seconds))} s`
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min`
  if (seconds < 129_600) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

const UNITS: readonly (readonly [number, string])[] = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
]

/** Exactly how long, in words: `1 hour 30 minutes`. */
export function duration(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds))
  const words: string[] = []
  for (const [size, name] of UNITS) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) words.push(count === 1 ? `1 ${name}` : `${count} ${name}s`)
  }
  return words.length === 0 ? '0 seconds' : words.join(' ')
}

/** `1 use`, `3 uses`. */
export const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`

/** An id, an ARN, a digest: in full, with a button that copies it where the browser can. */
export const copyable = (text: string, shown: string = text): Html =>
  html`<span class="id"><code${shown !== text && html` title="${text}"`}>${shown}</code><button type="button" class="copy" data-copy="${text}" aria-label="Copy ${shown}" hidden>copy</button></span>`

/** A digest, cut short to look at and whole to copy. */
export const digest = (text: string): Html => {
  const bare = text.replace(/^sha256:/, '')
  return bare.length > 20
    ? copyable(text, `${text.slice(0, text.length - bare.length)}${bare.slice(0, 12)}…`)
    : copyable(text)
}

export const badge = (text: string, tone: Tone = 'quiet'): Html =>
  html`<span class="badge ${tone}">${text}</span>`

/** Where a list has nothing: what that means, and what to do. */
export const empty = (title: string, text?: Part): Html =>
  html`<div class="empty"><p><strong>${title}</strong></p>${text !== undefined && html`<p>${text}</p>`}</div>`

export interface Column {
  readonly label: string
  readonly numeric?: boolean
}

export interface Row {
  /** Names the row over reloads, for pages that are kept up to date. */
  readonly key?: string
  readonly cells: readonly Part[]
}

export interface Table {
  /** What the table is of; read out, and shown when `captionShown`. */
  readonly caption: string
  readonly captionShown?: boolean
  readonly columns: readonly (Column | string)[]
  readonly rows: readonly Row[]
  /** On a narrow screen rows become cards; `scroll` keeps the table and scrolls it inside its own box. */
  readonly narrow?: 'cards' | 'scroll'
}

/** A table that never makes the page scroll sideways. The roles survive `display: block` on narrow screens. */
export function table({ caption, captionShown, columns, rows, narrow = 'cards' }: Table): Html {
  const heads = columns.map((column) => (typeof column === 'string' ? { label: column } : column))
  const numeric = (n: number) => heads[n]?.numeric === true && html` class="number"`
  return html`<div class="table" role="region" aria-label="${caption}" tabindex="0"><table class="${narrow}" role="table">
<caption${captionShown !== true && html` class="hidden"`}>${caption}</caption>
<thead role="rowgroup"><tr role="row">${heads.map((head, n) => html`<th role="columnheader" scope="col"${numeric(n)}>${head.label}</th>`)}</tr></thead>
<tbody role="rowgroup">${rows.map(
    ({ key, cells }) =>
      html`<tr role="row"${key !== undefined && html` data-key="${key}"`}>${cells.map(
        (cell, n) => html`<td role="cell" data-label="${heads[n]?.label ?? ''}"${numeric(n)}>${cell}</td>`,
      )}</tr>`,
  )}</tbody>
</table></div>`
}

/** Newer and older pages; nothing at all when there is only one. */
export const pager = ({
  newer,
  older,
}: {
  readonly newer?: string | undefined
  readonly older?: string | undefined
}): Html | undefined =>
  newer === undefined && older === undefined
    ? undefined
    : html`<nav class="pager" aria-label="Pages">${newer !== undefined && html`<a class="button" href="${newer}" rel="prev">Newer</a>`}${
        older !== undefined && html`<a class="button" href="${older}" rel="next">Older</a>`
      }</nav>`

/** Term and what it is, in the order given; rows with nothing to say are left out. */
export const facts = (rows: readonly (readonly [string, Part])[]): Html =>
  html`<dl class="facts">${rows
    .filter(([, value]) => value !== undefined && value !== null && value !== false)
    .map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`

/** The one sentence a page is about. */
export const sentence = (...parts: readonly Part[]): Html => html`<p class="sentence">${parts}</p>`

/** `a`, `a and b`, `a, b and c`. */
export const listed = (parts: readonly Part[]): Part =>
  parts.map((part, n) => [n === 0 ? '' : n === parts.length - 1 ? ' and ' : ', ', part])

/** A box with a heading of its own. */
export const panel = (title: string, body: Part, extra = ''): Html =>
  html`<section class="panel ${extra}"><h2>${title}</h2>${body}</section>`

/**
 * Everything that shows as nothing, or as something else than it is: controls, format characters (bidi overrides,
 * zero-width and tag characters), line separators, fillers, spaces that are not the space, variation selectors
 * where they choose nothing.
 */
const UNSEEN =
  /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u115f\u1160\u2800\u3164\uffa0]|[\ufe00-\ufe0e]|[\u{e0100}-\u{e01ef}]|(?<!\p{Extended_Pictographic})\ufe0f|(?! )\p{Zs}/gu

/** Text that somebody else wrote: what cannot be seen in it is said by its number. Isolated, whatever its direction. */
export function foreign(text: string): Html {
  const parts: Part[] = []
  let from = 0
  for (const match of text.matchAll(UNSEEN)) {
    parts.push(text.slice(from, match.index), unseen(match[0]))
    from = match.index + match[0].length
  }
  return html`<bdi class="foreign">${parts}${text.slice(from)}</bdi>`
}

const codePoint = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`

const unseen = (character: string): Html =>
  html`<span class="unseen" title="a character that cannot be seen">${codePoint(character)}</span>`

/** JSON to read: sorted keys, and nothing in it that cannot be seen. Parses to what was put in. */
export const readableJson = (value: unknown): string =>
  JSON.stringify(sorted(value), null, 2).replace(UNSEEN, (character) =>
    character === '\n'
      ? character
      : [...Array(character.length).keys()]
          .map((n) => `\\u${character.charCodeAt(n).toString(16).padStart(4, '0')}`)
          .join(''),
  )

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}
