import { type Html, html } from '../html.js'
import { badge, left, listed, panel, time } from './parts.js'
import { line, may, presumed, reasonField, STOPS_BY } from './stop-parts.js'

/** How far the killing of one session has come, as `GET /v1/issuances/{id}/revoke` answers it. */
export interface KillView {
  readonly issuance_id: string
  readonly state: 'none' | 'asked' | 'written' | 'presumed' | 'over'
  /** What it dies with. */
  readonly by: 'issuance' | 'agent' | 'human' | 'role' | null
  readonly revoked_at: string | null
  readonly revoked_by: string | null
  readonly written_at: string | null
  readonly presumed_at: string | null
  readonly ends_at: string
  readonly widened: boolean
  readonly problem: string | null
}

const WITH: Readonly<Record<string, string>> = {
  agent: 'with all sessions of its agent',
  human: 'with all sessions for its human',
  role: 'with all sessions of its role',
}

/** What is to kill it, and how far that has come; or the button that does. Nothing once it is over by itself. */
export function killPanel(kill: KillView, roles: readonly string[], now: Date): Html | undefined {
  if (kill.state === 'over' || new Date(kill.ends_at) <= now) return undefined
  return html`<div id="kill" class="stack" data-live="stop issuance">${kill.state !== 'none' && dying(kill, now)}</div>
${kill.by !== 'issuance' && may(roles, STOPS_BY) && killForm(kill, now)}`
}

function dying(kill: KillView, now: Date): Html {
  const { by, state, revoked_by, revoked_at, written_at, widened, problem } = kill
  const how = by === 'issuance' ? html`by <strong>${revoked_by}</strong> ${time(revoked_at)}` : WITH[by ?? '']
  return panel(
    'To be killed',
    html`<p>${listed([how])}${widened && ', and by a deny that sessions of its role from before share'}.</p>
<ul class="plain marks">${line(badge('handed out no more', 'ok'), 'Nobody gets it again from any replica.')}${
      state === 'asked'
        ? html`${line(badge('deny not written', 'danger'), html`Tried again until it is.${problem !== null && html` Last: <code>${problem}</code>`}`)}${line(badge('may be alive', 'danger'), html`<span data-live-at="${now.toISOString()}">Whoever holds it can use it until the deny is written, or until its end: ${left(kill.ends_at, now)}.</span>`)}`
        : html`${line(badge('deny written', 'ok'), html`In its role in IAM, read back, ${time(written_at)}.`)}${presumed(kill, state, now)}`
    }</ul>`,
    'danger',
  )
}

const killForm = ({ issuance_id, ends_at }: KillView, now: Date): Html =>
  html`<details class="stop"><summary>Kill this session</summary><form class="stack" data-kill="${issuance_id}">
${reasonField('kill-reason')}
<p class="small-text muted">It is handed out no more at once, and denied in IAM within moments. By itself it ends in ${left(ends_at, now)}. Its agent can ask for another: to prevent that, stop the agent.</p>
<button class="danger">Kill this session now</button><div role="status" aria-live="polite"></div></form>
<noscript><p class="problem">This needs JavaScript, or a terminal: <code>writ revoke ${issuance_id}</code></p></noscript></details>`
