import { type Html, html } from '../html.js'
import type { Viewer } from '../layout.js'
import { duration } from './parts.js'
import type { Card } from './request.js'

/**
 * Where the viewer decides, or reads why they may not. Hidden until web/browser/decide.ts has looked the page over;
 * no button is a form's own, so that Enter decides nothing.
 */
export function decideForm(card: Card, viewer: Viewer): Html {
  const { objection, request } = card
  return html`<section class="panel" id="decision" aria-labelledby="decide-title" data-request="${request.id}" data-operator="${viewer.operator}"><h2 id="decide-title">Your decision</h2>
${
  objection !== undefined &&
  html`<div class="problem"><p>${objection.text}</p><p class="small-text"><code>${objection.code}</code></p></div>`
}
${
  (objection === undefined || objection.mayDeny) &&
  html`<div id="decide" class="stack" hidden>
<div class="field"><label for="comment">Comment</label><textarea id="comment" maxlength="500" rows="2"></textarea><small>Goes on record with your decision. Optional.</small></div>
<div class="choices">${objection === undefined && html`<button type="button" data-decision="approve">Approve</button>`}<button type="button" data-decision="deny">Deny</button></div>
<p class="muted small-text">Your device then asks for your passkey. You sign this request as it is shown here, your decision and your comment.</p>
</div>
<noscript><p class="problem">Signing needs JavaScript. Turn it on, or decide from a terminal: <code>writ approve ${request.id}</code></p></noscript>`
}
<div id="said" role="status" aria-live="polite"></div>
</section>
${card.breakGlassSeconds !== undefined && breakGlass(card.breakGlassSeconds, viewer)}`
}

const breakGlass = (seconds: number, viewer: Viewer): Html =>
  html`<details class="panel danger" id="break-glass" data-seconds="${seconds}" hidden><summary>Break glass</summary>
<div class="stack"><p>Only in an emergency, when no other approver can be reached. You alone make the grant, for at most ${duration(seconds)}. Everybody is told at once, and somebody else must review it within 24 hours; until then no more glass can be broken.</p>
<div class="field"><label for="glass-reason">Why it cannot wait</label><textarea id="glass-reason" maxlength="500" rows="3" required></textarea><small>Required, at least ten characters. Goes on record under your name, ${viewer.operator}, and out with the alarm.</small></div>
<button type="button" data-decision="break-glass">Break glass and approve</button></div></details>`
