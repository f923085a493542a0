import { type Html, html, type Part } from '../html.js'
import { badge, copyable, foreign, readableJson, time } from './parts.js'

/** One entry of the log. */
export interface StoryEntry {
  readonly index: number
  readonly leaf_hash: string
  readonly body: Readonly<Record<string, unknown>>
  readonly personal_data: 'none' | 'shown' | 'erased' | 'archived' | 'altered'
  readonly personal: Readonly<Record<string, unknown>> | null
}

/**
 * Where web/browser/proof.ts says what came of checking the entries of this page. What the server writes is true
 * without it: nothing is checked yet.
 */
export function proofPanel(entries: readonly StoryEntry[]): Html | undefined {
  if (entries.length === 0) return undefined
  return html`<section class="panel proof" id="proof"><div class="row spread"><h2>Proof</h2><button type="button" class="small" data-proof-again hidden>Check again</button></div>
<p role="status" data-proof-summary>Not checked yet: that takes JavaScript. Each proof below can be checked without, with <code>writ audit verify</code>.</p>
<p class="problem" role="alert" data-proof-alarm hidden></p>
<div class="stack" data-proof-key hidden></div>
</section>`
}

/** What happened, that it can be proven, and the entry itself. */
export function storyLine(entry: StoryEntry): Html {
  const { index, body, personal_data, personal } = entry
  return html`<li id="entry-${index}"><p class="row spread"><span>${told(body)}</span>${time(String(body.at))}</p>
<p class="row small-text" data-proof="${index}"><span class="badge quiet" data-proof-state>not checked</span><span class="muted" data-proof-why>entry ${index}</span><a href="/console/log/proof/entry/${index}/file" download="entry-${index}.tlog-proof">proof file</a></p>
${personal_data === 'altered' && html`<p>${badge('altered', 'danger')} What the record says of people here was changed after it was written, and is not shown.</p>`}${
  personal_data === 'erased' &&
  html`<p class="muted">What it said of people is erased. The entry and its proof are as they were.</p>`
}
<details><summary>Entry ${index}</summary>
<pre data-entry="${index}" translate="no" tabindex="0">${readableJson(body)}</pre>
${personal !== null && html`<p class="muted">Beside the log, under a salted hash, so that it can be erased:</p><pre translate="no" tabindex="0">${readableJson(personal)}</pre>`}
<p class="muted">Leaf hash ${copyable(entry.leaf_hash)}</p></details></li>`
}

function told(body: StoryEntry['body']): Part {
  const text = (name: string) => (typeof body[name] === 'string' ? body[name] : '')
  const who = html`<strong>${text('operator') || 'Somebody'}</strong>`
  switch (body.kind) {
    case 'grant_request.opened':
      return html`${text('requested_by').startsWith('operator:') ? 'An operator opened a grant' : 'A grant was asked for'} <span class="muted">by</span> ${text('requested_by').replace(/^\w+:/, '')}`
    case 'grant_request.approved':
      return html`${who} approved it`
    case 'grant_request.denied':
      return html`${who} denied it`
    case 'grant.created':
      return html`The last approval needed was there: the grant began to count`
    case 'grant.revoked':
      return html`${who} revoked the grant`
    case 'grant.reviewed':
      return html`${who} reviewed the break-glass grant`
    case 'issuance.intended':
      return html`The broker wrote down that it would issue, before it asked AWS`
    case 'issuance.issued':
      return html`AWS made the session, with the access key ${copyable(text('access_key_id'))}`
    case 'issuance.revoked':
      return html`${who} had it killed: handed out no more, and to be denied in IAM`
    case 'alarm.raised':
      return html`An alarm was raised: <strong>${text('alarm')}</strong>`
    case 'issuance.failed':
      return html`AWS made no session: <code>${text('code')}</code>`
    case 'issuance.abandoned':
      return 'No outcome came in time: possibly minted, never handed out'
    case 'issuance.delivered':
      return 'Handed out again, to the same agent for the same request'
    default:
      return html`<code>${foreign(String(body.kind))}</code>`
  }
}
