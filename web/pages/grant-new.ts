import { type Html, html } from '../html.js'
import { type Assets, layout, type Notice, type Viewer } from '../layout.js'
import { badge, duration, empty } from './parts.js'

export interface GrantablePlace {
  readonly agent: string
  readonly describe: string
  readonly environment: string
  readonly tier: string
}

export interface GrantableScope {
  readonly name: string
  readonly describe: string
  readonly levels: readonly string[]
  readonly destroys: boolean
  readonly approvals: number
}

export interface GrantNewPage {
  readonly viewer: Viewer
  readonly notices: readonly (string | Notice)[]
  readonly assets: Assets
  /** Where the viewer may approve something that needs a human. */
  readonly places: readonly GrantablePlace[]
  /** Set once agent and environment are chosen. */
  readonly chosen?: GrantablePlace & {
    readonly scopes: readonly GrantableScope[]
    readonly maxSessionSeconds: number
  }
}

/** Granting what nobody asked for: it becomes a request of the operator's own, which is signed on its card. */
export const grantNewPage = ({ viewer, notices, assets, places, chosen }: GrantNewPage): string =>
  layout({
    title: 'Grant unasked',
    section: 'grants',
    viewer,
    notices,
    assets,
    width: 'reading',
    modules: chosen === undefined ? [] : ['grant'],
    body: chosen === undefined ? choose(places) : form(chosen),
  })

const choose = (places: readonly GrantablePlace[]): Html =>
  places.length === 0
    ? empty('There is nothing you could grant.', 'No agent has scopes that need a human where you approve.')
    : html`<p>Which agent, and where? Only what needs a human is listed; everything else it can have already.</p>
<ul class="cards-list">${places.map(
        ({ agent, describe, environment, tier }) =>
          html`<li class="card"><a class="whole" href="/console/grants/new?agent=${agent}&amp;environment=${environment}">${agent} in ${environment}</a><p class="row small-text muted"><span>${describe}</span>${badge(tier, tier === 'production' ? 'warn' : 'quiet')}</p></li>`,
      )}</ul>`

const LIVES = [900, 1800, 3600, 7200, 14_400, 28_800, 86_400, 259_200, 604_800]

const form = (chosen: NonNullable<GrantNewPage['chosen']>): Html =>
  html`<p><a href="/console/grants/new">Another agent or environment</a></p>
<form id="grant-new" class="panel stack" data-agent="${chosen.agent}" data-environment="${chosen.environment}">
<p class="sentence">Let <strong>${chosen.agent}</strong> in <strong>${chosen.environment}</strong> …</p>
<fieldset class="stack"><legend>Scopes</legend>${chosen.scopes.map(
    ({ name, describe, levels, destroys, approvals }) =>
      html`<label class="check"><input type="checkbox" name="scope" value="${name}"><span><code>${name}</code> ${describe} <span class="muted">(${levels.join(', ')}; ${approvals === 1 ? 'one approval' : `${approvals} approvals`})</span> ${destroys && badge('deletes', 'danger')}</span></label>`,
  )}</fieldset>
<div class="field"><label for="uses">How many sessions</label><input id="uses" name="uses" type="number" min="1" max="1000" value="1" required inputmode="numeric"><small>Each lasts at most ${duration(chosen.maxSessionSeconds)}.</small></div>
<div class="field"><label for="valid">Within</label><select id="valid" name="valid">${LIVES.map(
    (seconds) =>
      html`<option value="${seconds}"${seconds === 3600 && html` selected`}>${duration(seconds)}</option>`,
  )}</select><small>Counted from the last approval.</small></div>
<div class="field"><label for="reason">Why</label><textarea id="reason" name="reason" required maxlength="500" rows="3"></textarea></div>
<div class="field"><label for="ticket">Ticket</label><input id="ticket" name="ticket" maxlength="100"><small>Optional.</small></div>
<p class="muted">Nothing is granted yet: the next page shows exactly what this permits, for you to sign.</p>
<button class="strong">Show what this permits</button>
<div id="said" role="status" aria-live="polite"></div>
<noscript><p class="problem">This form needs JavaScript.</p></noscript>
</form>`
