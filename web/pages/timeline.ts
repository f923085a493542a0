import { type Html, html } from '../html.js'
import { axis } from './chart.js'
import { count } from './parts.js'

export interface Span {
  readonly agent: string
  readonly environment: string
  readonly state: 'intended' | 'issued' | 'failed' | 'abandoned'
  /** ISO 8601. */
  readonly at: string
  /** When the session ends, or would have; null when there is none. */
  readonly expires_at: string | null
}

const WIDTH = 1000
/** What has no width is not drawn at all. */
const THINNEST = 1
const THICK = 10
/** Sessions of one lane that are drawn below each other; more than these lie on the last. */
const MOST_DEEP = 4
const MOST_LANES = 10

/**
 * Sessions as bars from their beginning to their end, a lane for each agent in an environment. What is drawn is said
 * in words beside each lane, and row by row in the table of the page.
 */
export function timeline(spans: readonly Span[], now: Date): Html | undefined {
  const drawn = spans.map((span) => placed(span, now))
  if (drawn.length === 0) return undefined
  const begin = Math.min(...drawn.map(({ from }) => from))
  const end = Math.max(...drawn.map(({ to }) => to), begin + 60_000)
  const lanes = new Map<string, Placed[]>()
  for (const one of drawn) {
    const name = `${one.span.agent} · ${one.span.environment}`
    lanes.set(name, [...(lanes.get(name) ?? []), one])
  }
  const scale = (at: number) => (((at - begin) / (end - begin)) * WIDTH).toFixed(1)
  const more = lanes.size - MOST_LANES
  return html`<figure class="plot">
<figcaption>Of the issuances on this page ${said(drawn)}.</figcaption>
<p class="legend"><span class="key live">live</span><span class="key over">over</span><span class="key failed">no session</span></p>
<ul class="lanes">${[...lanes].slice(0, MOST_LANES).map(([name, all]) => {
    const rows = stacked(all)
    const height = THICK * Math.max(...rows.map(({ row }) => row + 1))
    const live = all.filter((one) => one.live).length
    return html`<li><span class="lane">${name}<small> ${count(all.length, 'session')}${live > 0 && `, ${live} live`}</small></span>
<svg class="lane-${height / THICK}" viewBox="0 0 ${WIDTH} ${height}" preserveAspectRatio="none" aria-hidden="true" focusable="false">${rows.map(
      ({ one, row }) =>
        html`<rect class="${one.look}" x="${scale(one.from)}" y="${row * THICK + 1}" width="${Math.max(((one.to - one.from) / (end - begin)) * WIDTH, THINNEST).toFixed(1)}" height="${THICK - 2}"/>`,
    )}${now.getTime() < end && now.getTime() > begin && html`<line class="now" x1="${scale(now.getTime())}" x2="${scale(now.getTime())}" y1="0" y2="${height}"/>`}</svg></li>`
  })}</ul>
${axis(new Date(begin).toISOString(), new Date(end).toISOString())}
${more > 0 && html`<p class="muted">${count(more, 'more lane')} not drawn; the table has all.</p>`}
</figure>`
}

function said(drawn: readonly Placed[]): string {
  const of = (look: Placed['look']) => drawn.filter((one) => one.look === look).length
  const parts = [
    [of('live'), 'a live session', 'live sessions'],
    [of('over'), 'a session that is over', 'sessions that are over'],
    [of('failed'), 'no session', 'no session'],
  ] as const
  return parts
    .filter(([n]) => n > 0)
    .map(([n, one, many]) =>
      `${n} ${n === 1 ? `is ${one}` : `are ${many}`}`.replace(
        /(is|are) no session/,
        n === 1 ? 'has no session' : 'have no session',
      ),
    )
    .join(', ')
}

interface Placed {
  readonly span: Span
  readonly from: number
  readonly to: number
  readonly live: boolean
  readonly look: 'live' | 'over' | 'failed'
}

function placed(span: Span, now: Date): Placed {
  const from = Date.parse(span.at)
  const to = span.state === 'issued' && span.expires_at !== null ? Date.parse(span.expires_at) : from
  const live = span.state === 'issued' && to > now.getTime()
  return { span, from, to, live, look: live ? 'live' : span.state === 'issued' ? 'over' : 'failed' }
}

/** Each on the first row that is free by then. */
function stacked(all: readonly Placed[]): readonly { readonly one: Placed; readonly row: number }[] {
  const ends: number[] = []
  return [...all]
    .sort((a, b) => a.from - b.from)
    .map((one) => {
      const free = ends.findIndex((end) => end <= one.from)
      const row = free !== -1 ? free : Math.min(ends.length, MOST_DEEP - 1)
      ends[row] = Math.max(ends[row] ?? 0, one.to)
      return { one, row }
    })
}
