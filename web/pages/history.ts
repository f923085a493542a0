import { type Html, html, type Part } from '../html.js'
import { activityChart, type Bar } from './chart.js'
import { type FilterValues, filterForm, historyPath, type Known, PERIODS, type Period } from './filters.js'
import { badge, copyable, empty, foreign, left, listed, table, time } from './parts.js'
import { timeline } from './timeline.js'

/** One line of the history, as /v1/issuances says it. */
export interface HistoryItem {
  readonly issuance: string
  readonly at: string
  readonly state: 'intended' | 'issued' | 'failed' | 'abandoned'
  readonly agent: string
  readonly environment: string
  readonly tier: string | null
  readonly scopes: readonly string[]
  readonly personal_data: 'none' | 'shown' | 'erased' | 'archived' | 'altered'
  readonly human: string | null
  readonly human_how: string | null
  readonly grant: string | null
  readonly expires_at: string | null
  readonly not_after: string
  readonly error_code: string | null
}

export interface HistoryView {
  readonly filter: FilterValues
  readonly over: Period | undefined
  readonly known: Known
  readonly now: Date
  /** What is wrong with the filters: then there is nothing else. */
  readonly problem?: { readonly code: string; readonly fields: readonly string[] }
  readonly items: readonly HistoryItem[]
  /** Where the next page begins; a page may be short, or empty, and have one. */
  readonly next: string | null
  /** Whether this is a later page. */
  readonly later: boolean
  readonly full: boolean
  readonly bars: readonly Bar[]
}

export function historyPage(view: HistoryView): Html {
  const { filter, over, known, now, problem, items } = view
  const form = filterForm(filter, known, over)
  if (problem !== undefined) return html`${form}${problemOf(problem)}`
  return html`${form}
<section class="panel later"><div class="row spread"><h2>Issuances over time</h2>${periods(filter, over)}</div>${activityChart(view.bars)}</section>
${items.length > 0 && html`<section class="panel later"><h2>Sessions</h2>${timeline(items, now)}</section>`}
${items.length === 0 ? nothing(view) : html`<div class="below later">${rows(view)}</div>`}
${pages(view)}`
}

function problemOf({ code, fields }: { readonly code: string; readonly fields: readonly string[] }): Html {
  return html`<div class="problem" role="alert"><p><strong>These filters cannot be used.</strong> <code>${code}</code></p><ul>${fields.map((field) => html`<li>${field}</li>`)}</ul><p>Correct them above and press Show.</p></div>`
}

function periods(filter: FilterValues, over: Period | undefined): Part {
  // A time that is asked for is the chart's too.
  if (filter.since !== undefined || filter.until !== undefined) return undefined
  return html`<ul class="tabs">${PERIODS.map(
    (period) =>
      html`<li><a href="${historyPath({ ...filter, over: period })}"${(over ?? PERIODS[0]) === period && html` aria-current="true"`}>${period.replace('h', ' hours').replace('d', ' days')}</a></li>`,
  )}</ul>`
}

function nothing({ filter, next, later }: HistoryView): Html {
  if (next !== null)
    return empty(
      'Nothing found in this stretch of the log.',
      'Older entries were not looked at yet. Go on below.',
    )
  if (later) return empty('Nothing older.')
  return Object.keys(filter).length === 0
    ? empty(
        'No issuances yet.',
        'Each session that an agent gets stands here from the moment it is asked for.',
      )
    : empty('Nothing matches these filters.', html`<a href="/console/history">Show everything</a>`)
}

function pages({ filter, over, next, later, full, items }: HistoryView): Part {
  if (next === null && !later) return undefined
  const onward = items.length > 0 && full ? 'Older' : 'Go on looking'
  return html`<nav class="pager" aria-label="Pages">${later && html`<a class="button" href="${historyPath({ ...filter, over })}">Newest</a>`}${
    next !== null &&
    html`<a class="button" rel="next" href="${historyPath({ ...filter, over, before: next })}">${onward}</a>`
  }${next !== null && !full && items.length > 0 && html`<span class="muted">There may be more: the rest of the log was not looked at yet.</span>`}</nav>`
}

const rows = ({ items, now }: HistoryView): Html =>
  table({
    caption: 'Issuances, newest first',
    columns: ['Issuance', 'Agent', 'Environment', 'Scopes', 'On behalf of', 'Outcome', 'Grant'],
    rows: items.map((item) => ({
      key: item.issuance,
      cells: [
        html`<div><a class="whole-word" href="/console/history/${item.issuance}"><code>${item.issuance}</code></a><br>${time(item.at)}</div>`,
        html`<a class="whole-word" href="/console/agents/${item.agent}">${item.agent}</a>`,
        place(item),
        html`<div>${scopeList(item.scopes)}</div>`,
        html`<div>${onBehalfOf(item)}</div>`,
        html`<div>${outcome(item, now)}</div>`,
        item.grant === null ? html`<span class="muted">none needed</span>` : copyable(item.grant),
      ],
    })),
  })

/** Each on a line of its own when there is no room; never cut in two. */
export const scopeList = (scopes: readonly string[]): Part =>
  listed(scopes.map((scope) => html`<code class="whole-word">${scope}</code>`))

/** An environment, marked where it is production. */
const place = ({ environment, tier }: Pick<HistoryItem, 'environment' | 'tier'>): Part =>
  tier === 'production' ? badge(environment, 'warn') : environment

/** The human, with how we know; or honestly why there is none to show. */
export function onBehalfOf(item: Pick<HistoryItem, 'human' | 'human_how' | 'personal_data'>): Part {
  if (item.human !== null)
    return html`${foreign(item.human)}${item.human_how !== null && html` ${how(item.human_how)}`}`
  switch (item.personal_data) {
    case 'erased':
      return html`<span class="muted">erased</span>`
    case 'archived':
      return html`<span class="muted">archived</span>`
    case 'altered':
      return badge('altered: not shown', 'danger')
    default:
      return html`<span class="muted">nobody named</span>`
  }
}

const how = (known: string): Html =>
  badge(known, known === 'verified' ? 'ok' : known === 'self-claimed' ? 'warn' : 'quiet')

export function outcome(item: Pick<HistoryItem, 'state' | 'expires_at' | 'error_code'>, now: Date): Html {
  switch (item.state) {
    case 'issued':
      return Date.parse(item.expires_at ?? '') > now.getTime()
        ? html`${badge('live', 'ok')} ${left(item.expires_at, now)}`
        : html`${badge('over')} <span class="muted">since</span> ${time(item.expires_at)}`
    case 'failed':
      return html`${badge('failed', 'warn')} <code>${item.error_code ?? ''}</code>`
    case 'abandoned':
      return html`${badge('abandoned', 'danger')} <span class="muted">possibly minted, never handed out</span>`
    case 'intended':
      return html`${badge('under way', 'info')} <span class="muted">no outcome recorded yet</span>`
  }
}
