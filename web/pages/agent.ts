import { type Html, html, type Part } from '../html.js'
import { type AgentLine, isStopped, legend, matrix, owner, told, type Way, way } from './agents.js'
import { type HistoryItem, onBehalfOf, scopeList } from './history.js'
import { badge, copyable, count, empty, facts, foreign, left, panel, sentence, table, time } from './parts.js'
import { may, STOPS_BY, type StopView, stopForm } from './stop-parts.js'
import { stoppedPanel } from './stops.js'

export interface AgentView {
  readonly agent: AgentLine
  readonly viewer: { readonly roles: readonly string[] }
  /** Engaged stops that hold for it. */
  readonly stops: readonly {
    readonly stop: StopView
    /** Environments; undefined for all of them. */
    readonly where: readonly string[] | undefined
  }[]
  readonly now: Date
  /** Issuer and matchers of its tokens. */
  readonly identity: { readonly issuer: string; readonly claims: readonly string[] }
  readonly scopes: readonly {
    readonly environment: string
    readonly scopes: readonly {
      readonly name: string
      readonly describe: string
      readonly levels: readonly string[]
      readonly way: Way
    }[]
  }[]
  /** Live sessions, newest first. */
  readonly live: readonly HistoryItem[]
  /** Newest first. */
  readonly denials: readonly {
    readonly at: string
    readonly environment: string | null
    readonly code: string
    readonly detail: string | null
    readonly repeats: number | null
  }[]
  readonly pending: readonly {
    readonly id: string
    readonly environment: string
    readonly scopes: readonly string[]
    readonly expires_at: string
  }[]
}

export function agentPage(view: AgentView): Html {
  const { agent, now, identity, live, pending } = view
  return html`${sentence(html`<strong>${agent.name}</strong>`, isStopped(agent) ? ' is stopped: it gets nothing. It belongs to ' : ' is active, and belongs to ', html`<strong>${owner(agent.owner)}</strong>`, '.')}
${agent.describe !== '' && html`<p>${agent.describe}</p>`}
<div id="stopped" class="stack" data-live="stop">${stops(view)}</div>
${may(view.viewer.roles, STOPS_BY) && !view.stops.some(({ stop }) => stop.kind === 'agent') && stopForm(agent.name)}
${
  pending.length > 0 &&
  panel(
    'Waiting for a human',
    html`<ul class="plain">${pending.map(
      (request) =>
        html`<li><a href="/console/requests/${request.id}">${scopeList(request.scopes)} in ${request.environment}</a> <span class="muted">${left(request.expires_at, now)}</span></li>`,
    )}</ul>`,
  )
}
<section class="panel" id="live"><h2>Live sessions: ${told(agent.live)}</h2>${
    live.length === 0
      ? html`<p class="muted">None. No credentials of this agent work now.</p>`
      : html`${table({
          caption: 'Live sessions',
          columns: ['Issuance', 'Environment', 'Scopes', 'On behalf of', 'Ends'],
          rows: live.map((item) => ({
            key: item.issuance,
            cells: [
              html`<a href="/console/history/${item.issuance}"><code>${item.issuance}</code></a>`,
              item.environment,
              html`<div>${scopeList(item.scopes)}</div>`,
              html`<div>${onBehalfOf(item)}</div>`,
              html`<div>${left(item.expires_at, now)}<br>${time(item.expires_at)}</div>`,
            ],
          })),
        })}${agent.live.count > live.length && html`<p class="muted">The newest ${live.length} are shown.</p>`}`
  }<p><a href="/console/history?agent=${encodeURIComponent(agent.name)}">All its issuances</a></p></section>
<section class="panel"><h2>What it can have</h2><p class="muted">${legend()}</p>${matrix(agent.name, agent.places)}
${view.scopes.map(
  (place) =>
    html`<details><summary>${place.environment}: ${count(place.scopes.length, 'scope')}</summary><ul class="plain">${place.scopes.map(
      (scope) =>
        html`<li class="row"><code>${scope.name}</code> ${way(scope.way)} <span class="muted">${scope.levels.join(', ')}</span> <span>${scope.describe}</span></li>`,
    )}</ul></details>`,
)}</section>
${refused(view)}
${panel(
  'Who it is',
  facts([
    ['Token issuer', copyable(identity.issuer)],
    [
      'Claims',
      identity.claims.length === 0
        ? undefined
        : html`<ul class="plain">${identity.claims.map((claim) => html`<li><code>${claim}</code></li>`)}</ul>`,
    ],
    ['Owner', owner(agent.owner)],
  ]),
)}`
}

function refused({ agent, denials }: AgentView): Html {
  return html`<section class="panel" id="refused"><h2>Refused in the last day: ${told(agent.denials)}</h2>${
    denials.length === 0
      ? empty('Nothing was refused.')
      : table({
          caption: 'Newest refusals',
          columns: ['When', 'Environment', 'Code', 'Why', { label: 'Repeats', numeric: true }],
          rows: denials.map((one) => ({
            cells: [
              time(one.at),
              one.environment === null ? '' : foreign(one.environment),
              html`<code>${one.code}</code>`,
              one.detail === null ? '' : foreign(one.detail),
              one.repeats ?? 0,
            ],
          })),
        })
  }</section>`
}

/** Its document's word and the stops on it; its form is not among them, so that nothing moves under who writes a reason. */
const stops = ({ agent, stops, now }: AgentView): Part => [
  agent.status === 'stopped' &&
    panel(
      'Stopped by its document',
      html`<p>${badge('stopped', 'danger')} Sessions that were out before last until their end, unless a stop denies them: ${told(agent.live)} live.</p>`,
    ),
  stops.map((one) => stoppedPanel(one, now)),
]
