import { type Html, html, type Part } from '../html.js'
import { ago, badge, foreign, left, listed, time } from './parts.js'

export type StopKind = 'agent' | 'human' | 'environment' | 'account' | 'everything'

/** A stop, as `GET /v1/stops/{id}` answers it. Instants are ISO 8601 UTC. */
export interface StopView {
  readonly id: string
  readonly kind: StopKind
  /** Null for everything, and for a human once it is released. */
  readonly name: string | null
  readonly engaged_at: string
  /** Null where the broker did it by itself. */
  readonly engaged_by: string | null
  readonly automatic: boolean
  /** Of its entry in the log. */
  readonly index: number
  /** Sessions that AWS issued before this are to die; nobody can release it before. */
  readonly cutoff: string
  readonly reason: string | null
  /** Such as `incident:ID`. */
  readonly cause: string | null
  readonly approvals_needed: number
  readonly signed_by: readonly string[]
  readonly released_at: string | null
  readonly state: 'engaged' | 'released'
  readonly denies: {
    readonly asked: number
    readonly written: number
    readonly waiting: readonly { readonly role: string; readonly problem: string | null }[]
  }
  readonly sessions: {
    readonly written_at: string | null
    readonly presumed_at: string | null
    readonly state: 'none' | 'asked' | 'written' | 'presumed' | 'over'
  }
}

/** Who may do what about stops. */
export const STOPS_BY = ['operator', 'approver', 'security'] as const
export const RELEASED_BY = ['approver', 'security'] as const

export const may = (roles: readonly string[], by: readonly string[]): boolean =>
  roles.some((role) => by.includes(role))

/** `agent orders-coder`, `everything`. What a human was called is text of somebody else's. */
export const stopped = ({ kind, name }: Pick<StopView, 'kind' | 'name'>): Part =>
  kind === 'everything'
    ? 'everything'
    : [`${kind} `, name === null ? 'erased' : kind === 'human' ? foreign(name) : name]

/**
 * What is known of a stop, each by itself: blocked is not denied, and denied is not dead. AWS never says that a
 * session ended, so this does not either.
 */
export function states(stop: StopView, now: Date): Html {
  return html`<ul class="plain marks">${blocked(stop)}${denied(stop)}${sessions(stop, now)}</ul>`
}

export const line = (mark: Html, text: Part): Html => html`<li>${mark}<span>${text}</span></li>`

const blocked = ({ state, engaged_at, released_at }: StopView): Html =>
  state === 'engaged'
    ? line(
        badge('issuance blocked', 'ok'),
        html`Nothing is issued, handed out again or granted since ${time(engaged_at)}, on every replica.`,
      )
    : line(badge('issuance open'), html`Released ${time(released_at)}.`)

function denied({ denies: { asked, written, waiting } }: StopView): Html {
  if (asked === 0) return line(badge('no deny needed'), 'No role that it could hold a session of.')
  const text = `${written} of ${asked} written into roles in IAM, and read back.`
  return written >= asked
    ? line(badge('deny written', 'ok'), text)
    : line(
        badge('deny not written', 'danger'),
        html`${text} Tried again until it is.${
          waiting.length > 0 &&
          html` Waiting: ${listed(waiting.map(({ role, problem }) => html`<code>${role}</code>${problem !== null && html` (<code>${problem}</code>)`}`))}.`
        }`,
      )
}

function sessions({ sessions: { state, written_at, presumed_at } }: StopView, now: Date): Html | undefined {
  switch (state) {
    case 'none':
      return undefined
    case 'asked':
      return line(
        badge('sessions may be alive', 'danger'),
        html`<span data-live-at="${now.toISOString()}">What was handed out before works until its deny is written.</span>`,
      )
    case 'over':
      return line(badge('sessions over', 'ok'), 'Every session from before has come to its own end.')
    default:
      return presumed({ written_at, presumed_at }, state, now)
  }
}

interface Written {
  readonly written_at: string | null
  readonly presumed_at: string | null
}

/** IAM never says that a deny holds; after a minute it is presumed. */
export const presumed = ({ written_at, presumed_at }: Written, state: string, now: Date): Html =>
  state === 'written'
    ? line(
        badge('not in effect yet', 'warn'),
        html`Deny written ${time(written_at)}. IAM takes some seconds and does not say when: presumed in effect at <span data-live-at="${presumed_at}">${time(presumed_at)}</span>, ${left(presumed_at, now)}.`,
      )
    : line(
        badge('presumed in effect', 'ok'),
        html`Since ${time(presumed_at)} whatever was handed out before should be refused. AWS does not confirm it.`,
      )

/** Who stopped it, when and why. */
export const story = (stop: StopView, now: Date): Html =>
  html`<p>${
    stop.automatic
      ? html`<strong>The broker</strong> stopped this by itself`
      : html`<strong>${stop.engaged_by}</strong> stopped this`
  } ${ago(stop.engaged_at, now)}, ${time(stop.engaged_at)}.</p>
${stop.cause !== null && html`<p class="small-text muted">Follows from <code>${stop.cause}</code></p>`}
${stop.reason !== null && html`<figure class="written"><blockquote>${foreign(stop.reason)}</blockquote></figure>`}`

export const signedBy = ({ signed_by, approvals_needed }: StopView): Part =>
  signed_by.length === 0
    ? `Nobody has signed the release yet; it takes ${approvals_needed === 1 ? 'one person' : 'two different people'}.`
    : html`${signed_by.length} of ${approvals_needed} signed the release: ${listed(signed_by.map((one) => html`<strong>${one}</strong>`))}.`

/** First the button, then, right below it, the reason and the stop itself. No signature: seconds count, and stopping is safe. */
export const stopForm = (agent: string): Html =>
  html`<details class="stop"><summary>Stop ${agent}</summary><form class="stack" data-stop="agent" data-name="${agent}">
${reasonField('stop-reason')}
<p class="small-text muted">At once and on every replica: nothing is issued or handed out, its requests are withdrawn, and its live sessions are denied in IAM. Going back takes two people.</p>
<button class="danger">Stop ${agent} now</button><div role="status" aria-live="polite"></div></form>
<noscript><p class="problem">This needs JavaScript, or a terminal: <code>writ stop agent ${agent}</code></p></noscript></details>`

export const reasonField = (id: string): Html =>
  html`<div class="field"><label for="${id}">Why</label><input id="${id}" name="reason" required maxlength="500" autocomplete="off"><small>A few words do. On record under your name.</small></div>`
