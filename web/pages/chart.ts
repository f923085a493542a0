import { type Html, html, type Part } from '../html.js'
import { table, time } from './parts.js'

/** What happened between two instants (ISO 8601 UTC). */
export interface Bar {
  readonly from: string
  readonly to: string
  /** Null where counting did not get to. */
  readonly issuances: number | null
  /** Null where nothing is said of refusals. */
  readonly denials: number | null
  readonly counted: 'exactly' | 'about' | 'at least' | 'not'
  /** Leads to what it counts. */
  readonly href: string
}

/** The drawing's own units: it is stretched to the width there is. */
const WIDTH = 1000
const HEIGHT = 100

/** Counts over time as bars, with the same as a sentence above and as a table behind. */
export function activityChart(bars: readonly Bar[]): Html {
  const top = Math.max(1, ...bars.map(({ issuances, denials }) => (issuances ?? 0) + (denials ?? 0)))
  const refusals = bars.some(({ denials }) => denials !== null)
  const unknown = bars.filter(({ counted }) => counted === 'not').length
  return html`<figure class="plot">
<figcaption>${summary(bars)}</figcaption>
<p class="legend"><span class="key issued">issuances</span>${refusals && html`<span class="key denied">refusals</span>`}${
    unknown > 0 && html`<span class="key unknown">not counted</span>`
  }<span class="muted">full height: ${number(top)}</span></p>
<svg class="bars" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false">
${bars.map((bar, n) => column(bar, n, bars.length, top))}</svg>
${axis(bars[0]?.from, bars.at(-1)?.to)}
<details><summary>The numbers</summary>
${table({
  caption: 'Issuances over time',
  narrow: 'scroll',
  columns: [
    'From',
    'To',
    { label: 'Issuances', numeric: true },
    ...(refusals ? [{ label: 'Refusals', numeric: true }] : []),
    '',
  ],
  rows: [...bars].reverse().map((bar) => ({
    cells: [
      time(bar.from),
      time(bar.to),
      said(bar.issuances, bar.counted),
      ...(refusals ? [said(bar.denials, bar.counted)] : []),
      html`<a href="${bar.href}" aria-label="Show these issuances">show</a>`,
    ],
  })),
})}</details>
</figure>`
}

/** Where a drawing begins, its middle and where it ends: in HTML, so that they are in the reader's own zone. */
export function axis(from: string | undefined, to: string | undefined): Html | undefined {
  if (from === undefined || to === undefined) return undefined
  const [begin, end] = [Date.parse(from), Date.parse(to)]
  return html`<div class="axis">${[begin, (begin + end) / 2, end].map((at) => time(new Date(at)))}</div>`
}

function column(bar: Bar, n: number, of: number, top: number): Html {
  const each = WIDTH / of
  const x = fixed(n * each + each * 0.1)
  const width = fixed(each * 0.8)
  const tall = (value: number | null) => ((value ?? 0) / top) * HEIGHT
  const issued = tall(bar.issuances)
  const denied = tall(bar.denials)
  // The whole column is the target: a bar of one is too thin to hit. Out of the tab order: the table has the links.
  return html`<a href="${bar.href}" tabindex="-1"><rect class="back${bar.counted === 'not' && ' unknown'}" x="${fixed(n * each)}" y="0" width="${fixed(each)}" height="${HEIGHT}"/>${
    issued > 0 &&
    html`<rect class="issued" x="${x}" y="${fixed(HEIGHT - issued)}" width="${width}" height="${fixed(issued)}"/>`
  }${
    denied > 0 &&
    html`<rect class="denied" x="${x}" y="${fixed(HEIGHT - issued - denied)}" width="${width}" height="${fixed(denied)}"/>`
  }</a>
`
}

const fixed = (value: number): string => value.toFixed(1).replace(/\.0$/, '')

function summary(bars: readonly Bar[]): Html {
  const sum = (of: 'issuances' | 'denials') => bars.reduce((all, bar) => all + (bar[of] ?? 0), 0)
  const all = sum('issuances')
  const left = bars.filter(({ counted }) => counted === 'not').length
  const word = bars.some(({ counted }) => counted === 'about')
    ? 'about '
    : bars.some(({ counted }) => counted === 'not' || counted === 'at least')
      ? 'at least '
      : ''
  const most = bars.reduce<Bar | undefined>(
    (best, bar) => ((bar.issuances ?? 0) > (best?.issuances ?? 0) ? bar : best),
    undefined,
  )
  const refused = bars.some(({ denials }) => denials !== null)
    ? ` and ${word}${number(rounded(sum('denials'), word))} refusals`
    : ''
  const parts: Part[] = [
    all === 0 && left === 0
      ? html`<strong>No issuances</strong>${refused} in this time.`
      : html`<strong>${word}${number(rounded(all, word))} issuances</strong>${refused} in this time.`,
    most !== undefined &&
      html` Most (${said(most.issuances, most.counted)}) from ${time(most.from)} to ${time(most.to)}.`,
    left > 0 &&
      html` The oldest ${left === 1 ? 'column was' : `${left} columns were`} not counted: narrow the filter, or the time.`,
  ]
  return html`${parts}`
}

function said(value: number | null, counted: Bar['counted']): Part {
  if (value === null) return html`<span class="muted">not counted</span>`
  const word = counted === 'about' || counted === 'at least' ? `${counted} ` : ''
  return `${word}${number(rounded(value, word))}`
}

/** A sample is no better than two digits. */
function rounded(value: number, word: string): number {
  return word === 'about ' ? Number(value.toPrecision(2)) : value
}

const number = (value: number): string => value.toLocaleString('en')
