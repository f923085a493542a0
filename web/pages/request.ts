import { type Html, html, type Part } from '../html.js'
import { type Assets, layout, type Notice, type Viewer } from '../layout.js'
import { decideForm } from './decide-form.js'
import {
  ago,
  badge,
  copyable,
  count,
  digest,
  duration,
  facts,
  foreign,
  left,
  listed,
  panel,
  readableJson,
  sentence,
  type Tone,
  table,
  time,
} from './parts.js'
import { type RequestView, stateBadge } from './requests.js'

/** Some actions on some resources. */
export interface Reach {
  readonly actions: readonly string[]
  readonly resources: readonly string[]
  readonly conditions?: Readonly<Record<string, unknown>> | undefined
}

export interface Mark {
  readonly tone: Tone
  readonly title: string
  readonly text: string
}

export interface PastEvent {
  readonly at: string
  readonly what: string
  readonly href?: string
  readonly where: string
  readonly outcome: string
  readonly tone: Tone
}

/** What a human needs to decide on one request. */
export interface Card {
  readonly request: RequestView
  readonly tier: string
  readonly owner: string
  readonly scopes: readonly {
    readonly name: string
    readonly describe: string
    readonly levels: readonly string[]
  }[]
  readonly marks: readonly Mark[]
  /** What is new, what of the request the agent may do already, and its scopes that need no human. */
  readonly adds: readonly Reach[]
  readonly already: readonly Reach[]
  readonly without: readonly string[]
  readonly past: readonly PastEvent[]
  readonly rule: string
  /** Short, to compare with what a terminal shows. */
  readonly code: string
  /** Everything that a signed document on this request has to say, and the personal text it commits to. */
  readonly shown: Readonly<Record<string, unknown>>
  /** Why the viewer may not approve, or may not even deny. */
  readonly objection?: { readonly code: string; readonly text: string; readonly mayDeny: boolean }
  /** Only where the environment names the viewer; the longest life of such a grant. */
  readonly breakGlassSeconds?: number
}

export interface RequestPage {
  readonly viewer: Viewer
  readonly notices: readonly (string | Notice)[]
  readonly assets: Assets
  readonly now: Date
  readonly card: Card
}

/** One request, in the order in which it has to be read. */
export function requestPage({ viewer, notices, assets, now, card }: RequestPage): string {
  const { request } = card
  const open = request.state === 'pending' && new Date(request.expires_at) > now
  return layout({
    title: `${request.agent} in ${request.environment}`,
    section: 'requests',
    viewer,
    notices,
    assets,
    now,
    width: 'reading',
    modules: open ? ['decide', 'live'] : [],
    body: html`<p class="row">${stateBadge(request.state)}<span>${open ? left(request.expires_at, now) : closedAt(request)}</span><span class="muted">asked ${ago(request.created_at, now)}</span>${copyable(request.id)}</p>
${!open && html`<p class="panel">${closed(request)}</p>`}
${open && html`<p id="moved" role="status" aria-live="polite" data-live-notice="request" data-of="${request.id}"></p>`}
<article class="panel sections">
<section aria-label="What is asked for">${plainly(card)}${marks(card)}</section>
${section('What this adds', added(card))}
${section('Resources', resources(card))}
${section('Reason', reason(request))}
${section('Ticket', request.ticket === null ? html`<p class="muted">None given.</p>` : html`<p>${foreign(request.ticket)}</p>`)}
${section(`What ${request.agent} did lately`, past(card))}
${section('Policy', policy(card))}
${section(
  'Raw document',
  html`<details><summary>Everything your signature covers</summary><pre id="shown" translate="no" tabindex="0">${readableJson(card.shown)}</pre></details>`,
)}
</article>
${decisions(request)}
${open && decideForm(card, viewer)}`,
  })
}

const section = (title: string, body: Part): Html => html`<section><h2>${title}</h2>${body}</section>`

function closedAt({ state, closed_at, expires_at }: RequestView): Part {
  return state === 'pending' ? 'over' : time(closed_at ?? expires_at)
}

function closed(request: RequestView): Html {
  const by = listed(request.decisions.map(({ operator }) => html`<strong>${operator}</strong>`))
  switch (request.state) {
    case 'granted':
      return html`Granted by ${by}. Nothing is left to decide. <a href="/console/grants?id=${request.grant_id}">See the grant</a>`
    case 'denied':
      return html`Denied by ${by}. One denial ends a request; the agent can ask again later.`
    case 'withdrawn':
      return html`Taken back before it was decided. Nothing was granted.`
    case 'pending':
    case 'expired':
      return html`Ran out before enough approvers decided. Nothing was granted; the agent can ask again.`
  }
}

const HOW: Readonly<Record<string, string>> = {
  verified: 'verified: their own token was presented',
  'issuer-asserted': 'asserted by the issuer of its token',
  'self-claimed': 'only the agent says so',
}

/** Who, for whom, what, on what, where, how long, how often. */
function plainly({ request, scopes, owner }: Card): Html {
  const human = request.on_behalf_of
  const reached = resourcesOf(request)
  return sentence(
    html`<strong>${request.agent}</strong> (${owner}), `,
    human === null
      ? 'acting for nobody we know of, '
      : html`acting for <strong>${foreign(human.human)}</strong> (${HOW[human.how] ?? human.how}), `,
    'will be able to ',
    listed(
      scopes.map(({ name, describe }) => html`<strong>${lower(describe)}</strong> (<code>${name}</code>)`),
    ),
    reached.length <= 2
      ? html` on ${listed(reached.map((resource) => html`<code>${foreign(resource)}</code>`))}`
      : html` on ${reached.length} resources listed below`,
    html` in <strong>${request.environment}</strong>, account <strong class="mono">${request.account}</strong>: `,
    html`<strong>${count(request.max_uses, 'session')}</strong> of at most <strong>${duration(request.max_session_seconds)}</strong>, within <strong>${duration(request.valid_seconds)}</strong> `,
    request.not_before === null ? 'of the approval.' : html`from ${time(request.not_before)} on.`,
    request.requested_by.startsWith('operator:') &&
      html` Asked for by the operator <strong>${request.requested_by.slice('operator:'.length)}</strong>, not by the agent.`,
  )
}

const lower = (text: string): string =>
  /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1).replace(/\.$/, '') : text

const marks = ({ marks }: Card): Html | false =>
  marks.length > 0 &&
  html`<ul class="plain marks" aria-label="Risks">${marks.map(
    ({ tone, title, text }) => html`<li>${badge(title, tone)}<span>${text}</span></li>`,
  )}</ul>`

function added({ adds, already, without, request }: Card): Html {
  return html`${
    adds.length === 0
      ? html`<p>Nothing that ${request.agent} could not do in ${request.environment} without this.</p>`
      : html`<ul class="plain">${adds.map((reach) => html`<li class="reach">${badge('new', 'warn')} ${reachOf(reach)}</li>`)}</ul>`
  }
${already.length > 0 && html`<p class="muted">Asked for again, and possible already: ${listed(already.map(({ actions }) => html`<code>${actions.join(', ')}</code>`))}.</p>`}
<p class="muted">${
    without.length === 0
      ? html`Without a grant it can do nothing in ${request.environment}.`
      : html`Without a grant it has there: ${listed(without.map((scope) => html`<code>${scope}</code>`))}.`
  }</p>`
}

const reachOf = ({ actions, resources, conditions }: Reach): Html =>
  html`${listed(actions.map((action) => html`<code>${foreign(action)}</code>`))} on ${listed(resources.map((resource) => html`<code>${foreign(resource)}</code>`))}${
    conditions !== undefined &&
    Object.keys(conditions).length > 0 &&
    html` where <code>${readableJson(conditions)}</code>`
  }`

interface Statement {
  readonly Resource?: string | readonly string[]
}

const listOf = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value

export const resourcesOf = (request: RequestView): readonly string[] => [
  ...new Set(request.permissions.flatMap((statement) => listOf((statement as Statement).Resource))),
]

const resources = ({ request }: Card): Html =>
  html`<ul class="plain">${resourcesOf(request).map((resource) => html`<li><code>${foreign(resource)}</code></li>`)}</ul>`

const reason = ({ reason, requested_by }: RequestView): Html =>
  reason === null
    ? html`<p class="muted">Erased.</p>`
    : html`<figure class="written"><blockquote>${foreign(reason)}</blockquote><figcaption>Written by ${
        requested_by.startsWith('operator:') ? `the operator ${requested_by.slice(9)}` : 'the agent'
      }. Nobody checked it.</figcaption></figure>`

const past = ({ past }: Card): Html =>
  past.length === 0
    ? html`<p class="muted">Nothing yet: it has never been issued anything and never asked before.</p>`
    : table({
        caption: 'The last issuances and decisions',
        columns: ['When', 'What', 'Where', 'Outcome'],
        rows: past.map(({ at, what, href, where, outcome, tone }) => ({
          cells: [
            time(at),
            href === undefined ? what : html`<a href="${href}">${what}</a>`,
            where,
            badge(outcome, tone),
          ],
        })),
      })

const policy = ({ request, rule, code }: Card): Html =>
  html`<p>${rule}</p>${facts([
    ['Policy', digest(request.policy_digest)],
    ['Permissions', digest(request.permissions_sha256)],
    ['Role', copyable(request.role_arn)],
    [
      'Code to compare',
      html`<strong class="mono code">${code}</strong> <span class="muted">the same as in a terminal</span>`,
    ],
  ])}`

function decisions({ decisions, approvals_needed, state }: RequestView): Html {
  const approvals = decisions.filter(({ decision }) => decision === 'approve').length
  const missing = Math.max(0, approvals_needed - approvals)
  return panel(
    'Decisions so far',
    html`<p>${
      state === 'pending'
        ? missing === 1
          ? 'One more approval makes the grant; one denial ends the request.'
          : `${missing} more approvals, by different people, make the grant; one denial ends the request.`
        : `${count(approvals, 'approval')}; ${approvals_needed} needed.`
    }</p>${
      decisions.length > 0 &&
      html`<ul class="plain">${decisions.map(
        ({ operator, decision, at, comment, proof_kind, break_glass }) =>
          html`<li><strong>${operator}</strong> ${decision === 'approve' ? badge('approved', 'ok') : badge('denied', 'danger')} ${break_glass === true && badge('broke the glass', 'danger')} <span class="muted">${time(at)}, ${PROOFS[proof_kind] ?? proof_kind}</span>${comment !== null && html`<br>“${foreign(comment)}”`}</li>`,
      )}</ul>`
    }`,
  )
}

const PROOFS: Readonly<Record<string, string>> = {
  passkey: 'signed with a passkey',
  'ssh-sk': 'signed with a security key over SSH',
  'fresh-token': 'by a fresh token, unsigned',
}
