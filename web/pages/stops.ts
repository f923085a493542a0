import { type Html, html } from '../html.js'
import { badge, copyable, empty, foreign, left, listed, panel, readableJson, table, time } from './parts.js'
import {
  may,
  RELEASED_BY,
  reasonField,
  STOPS_BY,
  type StopKind,
  type StopView,
  signedBy,
  states,
  stopped,
  story,
} from './stop-parts.js'

/** An engaged stop, and the fields that every signed release of it has. */
export interface EngagedStop {
  readonly stop: StopView
  readonly shown: Readonly<Record<string, unknown>>
}

export interface StopsView {
  readonly engaged: readonly EngagedStop[]
  /** Newest first. */
  readonly released: readonly StopView[]
  readonly viewer: { readonly operator: string; readonly roles: readonly string[] }
  readonly now: Date
  /** Names to choose from. Whoever and whatever else has a name can be typed. */
  readonly known: Readonly<Record<Exclude<StopKind, 'everything' | 'human'>, readonly string[]>>
}

export function stopsPage(view: StopsView): Html {
  const { engaged, released, viewer } = view
  return html`<p id="live-said" class="muted small-text" role="status" aria-live="polite"></p>
${may(viewer.roles, STOPS_BY) && elseForm(view)}
<div id="stops-engaged" data-live="stop">${
    engaged.length === 0
      ? empty('Nothing is stopped.', 'Every agent gets what policy and grants allow.')
      : html`<ul class="cards-list">${engaged.map((one) => engagedCard(one, view))}</ul>`
  }</div>
${
  released.length > 0 &&
  panel(
    'Released',
    table({
      caption: 'Released stops',
      columns: ['What', 'Stopped', 'Why', 'Released', 'Signed by'],
      rows: released.map((stop) => ({
        cells: [
          html`<div>${stopped(stop)}</div>`,
          html`<div>${time(stop.engaged_at)} by ${stop.automatic ? 'the broker' : stop.engaged_by}</div>`,
          stop.reason === null ? '' : foreign(stop.reason),
          time(stop.released_at),
          html`<div>${listed(stop.signed_by)}</div>`,
        ],
      })),
    }),
  )
}
<noscript><p class="problem">Stopping and releasing need JavaScript, or a terminal: <code>writ stop KIND NAME</code>, <code>writ release KIND NAME</code></p></noscript>`
}

/** Replaced when somebody signs; its states are kept up to date by themselves. */
const engagedCard = ({ stop, shown }: EngagedStop, { viewer, now }: StopsView): Html =>
  html`<li class="card stopped" id="stop-${stop.id}" data-key="${stop.id}" data-version="${stop.signed_by.length}">
<h2>${stop.kind === 'everything' ? 'Everything is stopped' : html`Stopped: ${stopped(stop)}`}</h2>
${story(stop, now)}
<div id="states-${stop.id}" data-live="stop">${states(stop, now)}</div>
<p class="small-text muted">${copyable(stop.id)}${stop.kind === 'agent' && html` <a href="/console/agents/${stop.name}">the agent</a>`}</p>
${release(stop, shown, viewer, now)}</li>`

function release(stop: StopView, shown: EngagedStop['shown'], viewer: StopsView['viewer'], now: Date): Html {
  const signed = html`<p>${signedBy(stop)}</p>`
  if (stop.signed_by.includes(viewer.operator))
    return html`${signed}<p class="muted">You have signed. Somebody else has to sign too.</p>`
  if (!may(viewer.roles, RELEASED_BY))
    return html`${signed}<p class="muted">Signing takes the role approver or security.</p>`
  const last = stop.signed_by.length + 1 >= stop.approvals_needed
  return html`${signed}<details><summary>Release</summary><div class="stack">
<p>You sign that the stop <code>${stop.id}</code> on <strong>${stopped(stop)}</strong> may end. ${
    last
      ? 'Yours is the last signature: from then on credentials are issued again. Sessions from before the stop stay denied.'
      : 'It stays stopped until somebody else signs too.'
  }</p>
${new Date(stop.cutoff) > now && html`<p class="muted">Possible from ${time(stop.cutoff)} on (${left(stop.cutoff, now)}): what was being minted as the stop came has to be over.</p>`}
<details><summary>Raw document</summary><pre id="release-${stop.id}" translate="no" tabindex="0">${readableJson(shown)}</pre></details>
<button type="button" data-release="${stop.id}">Sign the release</button></div></details><div id="said-${stop.id}" role="status" aria-live="polite"></div>`
}

const KINDS: readonly (readonly [StopKind, string])[] = [
  ['agent', 'one agent'],
  ['human', 'a human: all agents they own or that act for them'],
  ['environment', 'an environment'],
  ['account', 'an AWS account'],
  ['everything', 'everything'],
]

/** What asks for the name and what asks for the word are shown in turn by web/browser/stop.ts. */
const elseForm = ({ known }: StopsView): Html =>
  html`<details class="stop"><summary>Stop something</summary><form class="stack" data-stop="">
<div class="field"><label for="stop-kind">What</label><select id="stop-kind" name="kind">${KINDS.map(([kind, said]) => html`<option value="${kind}">${said}</option>`)}</select></div>
<div class="field" data-for="name"><label for="stop-name">Name</label><input id="stop-name" name="name" list="known-agent" required maxlength="200" autocomplete="off" autocapitalize="none" spellcheck="false"></div>
<div class="field" data-for="everything" hidden><label for="stop-word">Type EVERYTHING</label><input id="stop-word" name="word" autocomplete="off" autocapitalize="characters" spellcheck="false"><small>No agent gets anything anywhere, and every session that is out is denied.</small></div>
${reasonField('stop-why')}
${Object.entries(known).map(([kind, names]) => html`<datalist id="known-${kind}">${names.map((name) => html`<option value="${name}"></option>`)}</datalist>`)}
<button class="danger">Stop it now</button><div role="status" aria-live="polite"></div></form></details>`

/** For an agent's page: a stop that holds for it. `where` names environments when it is not stopped everywhere. */
export const stoppedPanel = (
  { stop, where }: { readonly stop: StopView; readonly where: readonly string[] | undefined },
  now: Date,
): Html =>
  html`<section class="panel danger"><h2>${badge('stopped', 'danger')} ${
    where === undefined ? 'everywhere' : html`in ${listed(where)}`
  }${stop.kind !== 'agent' && html` by the stop on ${stopped(stop)}`}</h2>
${story(stop, now)}${states(stop, now)}<p>${signedBy(stop)} <a href="/console/stops#stop-${stop.id}">To the release</a></p></section>`
