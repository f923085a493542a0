import { type Html, html, type Part } from '../html.js'
import { type Assets, layout, type Notice, type Viewer } from '../layout.js'
import {
  ago,
  badge,
  copyable,
  count,
  empty,
  foreign,
  left,
  listed,
  pager,
  type Tone,
  table,
  time,
} from './parts.js'

/** A grant. Instants are ISO 8601 UTC. */
export interface GrantView {
  readonly id: string
  readonly request_id: string
  readonly state: 'live' | 'not-yet-valid' | 'used-up' | 'expired' | 'revoked'
  readonly created_at: string
  readonly agent: string
  readonly environment: string
  readonly scopes: readonly string[]
  readonly uses: number
  readonly max_uses: number
  readonly not_before: string
  readonly expires_at: string
  readonly approved_by: readonly string[]
  readonly revoked_at: string | null
  readonly revoked_by: string | null
  readonly revoke_reason: string | null
  readonly break_glass?: boolean
}

/** A grant that one human made alone in an emergency. */
export interface GlassView {
  readonly grant_id: string
  readonly request_id: string
  readonly agent: string
  readonly environment: string
  readonly scopes: readonly string[]
  readonly operator: string
  readonly comment: string | null
  readonly at: string
  readonly review_due: string
  readonly overdue: boolean
}

export interface GrantsPage {
  readonly viewer: Viewer
  readonly notices: readonly (string | Notice)[]
  readonly assets: Assets
  readonly now: Date
  readonly live: readonly GrantView[]
  readonly ended: readonly GrantView[]
  /** Break-glass that waits for somebody's review. */
  readonly reviews: readonly GlassView[]
  readonly agents: readonly string[]
  readonly filter: { readonly agent?: string | undefined; readonly id?: string | undefined }
  readonly older?: string | undefined
}

const STATES: Readonly<Record<GrantView['state'], readonly [string, Tone]>> = {
  live: ['live', 'ok'],
  'not-yet-valid': ['not yet valid', 'info'],
  'used-up': ['used up', 'quiet'],
  expired: ['over', 'quiet'],
  revoked: ['revoked', 'danger'],
}

export const grantsPage = (page: GrantsPage): string => {
  const { viewer, notices, assets, now, filter } = page
  const may = viewer.roles.some((role) => role === 'operator' || role === 'approver')
  return layout({
    title: 'Grants',
    section: 'grants',
    viewer,
    notices,
    assets,
    now,
    modules: ['live', 'grant'],
    body: html`<div class="row spread"><p id="live-said" class="muted small-text" role="status" aria-live="polite"></p>${viewer.roles.includes('approver') && html`<a class="button" href="/console/grants/new">Grant unasked</a>`}</div>
${page.reviews.length > 0 && html`<section class="stack" aria-labelledby="reviews"><h2 id="reviews">Break-glass to review</h2><ul class="cards-list">${page.reviews.map((glass) => reviewCard(glass, viewer, now))}</ul></section>`}
<section class="stack" aria-labelledby="live-title"><h2 id="live-title">Live</h2>
<div id="grants-live" data-live="grant issuance">${liveList(page, may)}</div></section>
<section class="stack" aria-labelledby="ended-title"><h2 id="ended-title">Ended</h2>
${filters(page)}
<div id="grants-ended" data-live="grant">${endedList(page.ended)}</div>
${pager({ older: page.older })}</section>
${filter.id !== undefined && html`<p><a href="/console/grants">All grants</a></p>`}
<noscript><p class="problem">Revoking needs JavaScript here, or a terminal: <code>writ grants revoke GRANT</code></p></noscript>`,
  })
}

function liveList({ live, now }: GrantsPage, may: boolean): Html {
  if (live.length === 0) return empty('No grant is live.', 'No agent can write in production at the moment.')
  return html`<ul class="cards-list">${live.map((grant) => liveCard(grant, now, may))}</ul>`
}

const titleOf = ({ agent, scopes, environment }: Pick<GrantView, 'agent' | 'scopes' | 'environment'>): Part =>
  html`${agent}: ${listed(scopes)} in ${environment}`

const liveCard = (grant: GrantView, now: Date, may: boolean): Html =>
  html`<li class="card waiting" data-key="${grant.id}" data-version="${grant.state}.${grant.uses}">
<h3>${titleOf(grant)}</h3>
<p class="row">${badge(...STATES[grant.state])}${grant.break_glass === true && badge('break-glass', 'danger')}<span>${
    grant.state === 'not-yet-valid' ? html`begins ${time(grant.not_before)}` : left(grant.expires_at, now)
  }</span><span><strong>${grant.max_uses - grant.uses}</strong> of ${count(grant.max_uses, 'use')} left</span></p>
<p class="row small-text muted"><span>approved by ${listed(grant.approved_by)} ${ago(grant.created_at, now)}</span><a href="/console/requests/${grant.request_id}">its request</a>${copyable(grant.id)}</p>
${may && revokeForm(grant)}
</li>`

/** Taking away is safe: one confirmation, no signature. */
const revokeForm = ({ id, agent }: GrantView): Html =>
  html`<details><summary>Revoke</summary><form class="stack" data-revoke="${id}">
<div class="field"><label for="why-${id}">Why</label><input id="why-${id}" name="reason" required maxlength="500"></div>
<p class="small-text muted">From then on nothing is issued to ${agent} on this grant. A session it already has runs until its own end.</p>
<button>Revoke this grant</button><div role="status" aria-live="polite"></div></form></details>`

const reviewCard = (glass: GlassView, viewer: Viewer, now: Date): Html =>
  html`<li class="card" data-key="glass-${glass.grant_id}">
<h3>${titleOf(glass)}</h3>
<p class="row">${badge('break-glass', 'danger')}<span>by <strong>${glass.operator}</strong> ${ago(glass.at, now)}</span><span>${
    glass.overdue ? badge('review overdue', 'danger') : html`review: ${left(glass.review_due, now)}`
  }</span></p>
<p>${glass.comment === null ? html`<span class="muted">The reason was erased.</span>` : html`“${foreign(glass.comment)}”`}</p>
<p class="small-text"><a href="/console/requests/${glass.request_id}">its request</a></p>
${
  glass.operator === viewer.operator
    ? html`<p class="muted">You broke the glass; somebody else reviews it.</p>`
    : viewer.roles.some((role) => ['approver', 'security', 'admin'].includes(role)) &&
      html`<details><summary>Review</summary><form class="stack" data-review="${glass.grant_id}">
<div class="field"><label for="review-${glass.grant_id}">What you found</label><textarea id="review-${glass.grant_id}" name="comment" required maxlength="500" rows="2"></textarea></div>
<div class="choices"><button name="verdict" value="justified">Justified</button><button name="verdict" value="not-justified">Not justified</button></div><div role="status" aria-live="polite"></div></form></details>`
}</li>`

const filters = ({ filter, agents }: GrantsPage): Html =>
  html`<form class="filters" method="get" action="/console/grants"><div class="field"><label for="agent">Agent</label><select id="agent" name="agent"><option value="">all agents</option>${agents.map(
    (agent) => html`<option${filter.agent === agent && html` selected`}>${agent}</option>`,
  )}</select></div><button>Filter</button></form>`

function endedList(ended: readonly GrantView[]): Html {
  if (ended.length === 0) return empty('Nothing here.', 'No grant that fits has ended.')
  return table({
    caption: 'Ended grants',
    columns: ['Grant', 'Ended', 'How', { label: 'Used', numeric: true }, 'Approved by'],
    rows: ended.map((grant) => ({
      key: `${grant.id}.${grant.state}`,
      cells: [
        html`<a href="/console/requests/${grant.request_id}">${titleOf(grant)}</a>`,
        time(grant.revoked_at ?? grant.expires_at),
        html`${badge(...STATES[grant.state])}${grant.break_glass === true && badge('break-glass', 'danger')}${grant.revoked_by !== null && html` by ${grant.revoked_by}${grant.revoke_reason !== null && html`: “${foreign(grant.revoke_reason)}”`}`}`,
        `${grant.uses} of ${grant.max_uses}`,
        listed(grant.approved_by),
      ],
    })),
  })
}
