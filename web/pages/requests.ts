import { type Html, html } from '../html.js'
import { type Assets, layout, type Notice, type Viewer } from '../layout.js'
import {
  ago,
  badge,
  count,
  duration,
  empty,
  foreign,
  left,
  listed,
  pager,
  type Tone,
  table,
  time,
} from './parts.js'

/** A grant request as the lists and the card read it. Instants are ISO 8601 UTC. */
export interface RequestView {
  readonly id: string
  readonly state: 'pending' | 'granted' | 'denied' | 'withdrawn' | 'expired'
  readonly created_at: string
  readonly expires_at: string
  readonly closed_at: string | null
  readonly agent: string
  readonly environment: string
  readonly account: string
  readonly role_arn: string
  readonly scopes: readonly string[]
  readonly reason: string | null
  readonly ticket: string | null
  readonly on_behalf_of: { readonly human: string; readonly how: string } | null
  readonly requested_by: string
  readonly policy_digest: string
  readonly permissions: readonly unknown[]
  readonly permissions_sha256: string
  readonly max_uses: number
  readonly valid_seconds: number
  readonly not_before: string | null
  readonly max_session_seconds: number
  readonly approvals_needed: number
  readonly decisions: readonly DecisionView[]
  readonly grant_id: string | null
}

export interface DecisionView {
  readonly operator: string
  readonly decision: 'approve' | 'deny'
  readonly at: string
  readonly comment: string | null
  readonly proof_kind: string
  readonly break_glass?: boolean
}

export interface RequestsPage {
  readonly viewer: Viewer
  readonly notices: readonly (string | Notice)[]
  readonly assets: Assets
  readonly now: Date
  /** Environments the viewer may approve for. */
  readonly approves: (request: RequestView) => boolean
  /** Oldest end first: what runs out next is on top. */
  readonly pending: readonly RequestView[]
  readonly decided: readonly RequestView[]
  readonly filter: { readonly state?: string | undefined; readonly agent?: string | undefined }
  readonly agents: readonly string[]
  readonly older?: string | undefined
}

export const STATES: Readonly<Record<RequestView['state'], readonly [string, Tone]>> = {
  pending: ['waiting', 'info'],
  granted: ['granted', 'ok'],
  denied: ['denied', 'danger'],
  withdrawn: ['withdrawn', 'quiet'],
  expired: ['expired', 'quiet'],
}

export const stateBadge = (state: RequestView['state']): Html => badge(...STATES[state])

export const requestsPage = (page: RequestsPage): string =>
  layout({
    title: 'Requests',
    section: 'requests',
    viewer: page.viewer,
    notices: page.notices,
    assets: page.assets,
    now: page.now,
    modules: ['live'],
    body: html`<p id="live-said" class="muted small-text" role="status" aria-live="polite"></p>
<section aria-labelledby="waiting" class="stack"><h2 id="waiting">Waiting for a decision</h2>
<div id="pending" data-live="request">${pendingList(page)}</div></section>
<section aria-labelledby="decided-title" class="stack"><h2 id="decided-title">Decided</h2>
${filters(page)}
<div id="decided" data-live="request">${decidedList(page)}</div>
${pager({ older: page.older })}</section>`,
  })

function pendingList({ pending, now, viewer, approves, filter }: RequestsPage): Html {
  if (pending.length === 0) {
    return filter.agent === undefined
      ? empty('Nothing is waiting.', 'A new request appears here by itself.')
      : empty(`Nothing of ${filter.agent} is waiting.`, html`<a href="/console/requests">All agents</a>`)
  }
  return html`<ul class="cards-list">${pending.map((request) => pendingCard(request, now, viewer, approves(request)))}</ul>`
}

function pendingCard(request: RequestView, now: Date, viewer: Viewer, mine: boolean): Html {
  const approvals = request.decisions.filter(({ decision }) => decision === 'approve').length
  const decided = request.decisions.some(({ operator }) => operator === viewer.operator)
  return html`<li class="card waiting" data-key="${request.id}" data-version="${request.state}.${request.decisions.length}">
<a class="whole" href="/console/requests/${request.id}">${request.agent} asks for ${listed(request.scopes)} in ${request.environment}</a>
${request.reason !== null && html`<p>“${foreign(request.reason)}”</p>`}
<p class="row small-text"><span>${left(request.expires_at, now)}</span><span class="muted">asked ${ago(request.created_at, now)}</span>${
    request.on_behalf_of !== null &&
    html`<span class="muted">for ${foreign(request.on_behalf_of.human)} (${request.on_behalf_of.how})</span>`
  }<span class="muted">${count(request.max_uses, 'use')}, ${duration(request.valid_seconds)}</span>${
    request.approvals_needed > 1 && badge(`${approvals} of ${request.approvals_needed} approvals`, 'info')
  }${decided ? badge('you decided', 'quiet') : !mine && badge('not yours to approve', 'quiet')}</p>
</li>`
}

const FILTERS: readonly (readonly [string, string])[] = [
  ['', 'all decided'],
  ['granted', 'granted'],
  ['denied', 'denied'],
  ['withdrawn', 'withdrawn'],
  ['expired', 'expired'],
]

const filters = ({ filter, agents }: RequestsPage): Html =>
  html`<form class="filters" method="get" action="/console/requests">
<div class="field"><label for="state">State</label><select id="state" name="state">${FILTERS.map(
    ([value, label]) =>
      html`<option value="${value}"${(filter.state ?? '') === value && html` selected`}>${label}</option>`,
  )}</select></div>
<div class="field"><label for="agent">Agent</label><select id="agent" name="agent"><option value="">all agents</option>${agents.map(
    (agent) => html`<option${filter.agent === agent && html` selected`}>${agent}</option>`,
  )}</select></div>
<button>Filter</button></form>`

function decidedList({ decided }: RequestsPage): Html {
  if (decided.length === 0)
    return empty('Nothing here.', 'No request was decided, withdrawn or ran out that fits.')
  return table({
    caption: 'Decided requests',
    columns: ['Request', 'Asked', 'State', 'Decided by'],
    rows: decided.map((request) => ({
      key: `${request.id}.${request.state}`,
      cells: [
        html`<a href="/console/requests/${request.id}">${request.agent}: ${listed(request.scopes)} in ${request.environment}</a>`,
        time(request.created_at),
        stateBadge(request.state),
        request.decisions.length === 0
          ? html`<span class="muted">nobody</span>`
          : listed(request.decisions.map(({ operator }) => operator)),
      ],
    })),
  })
}
