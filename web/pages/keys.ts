import { type Html, html } from '../html.js'
import { type Assets, layout, type Notice, type Viewer } from '../layout.js'
import { ago, badge, copyable, empty, foreign, left, readableJson, table, time } from './parts.js'

/** A key of an operator's. Instants are ISO 8601 UTC. */
export interface KeyView {
  readonly id: string
  readonly kind: 'passkey' | 'ssh-sk'
  readonly label: string
  readonly backed_up: boolean | null
  readonly added_at: string
  readonly vouched_by: string | null
  readonly last_used_at: string | null
  readonly removed_at: string | null
  readonly removed_by: string | null
}

/** A key that waits for somebody other than its holder to vouch for it. */
export interface ProposalView {
  readonly id: string
  readonly operator: string
  readonly key_id: string
  readonly kind: 'passkey' | 'ssh-sk'
  readonly public_key: string
  readonly label: string
  readonly created_at: string
  readonly expires_at: string
  readonly may_vouch: boolean
  /** Of its public key, for two people to compare. */
  readonly code: string
}

/** Where the viewer is signed in. */
export interface SessionView {
  readonly id: string
  readonly method: 'oidc' | 'passkey'
  readonly createdAt: Date
  readonly seenAt: Date
  /** The one that looks at the page. */
  readonly current: boolean
}

export interface KeysPage {
  readonly viewer: Viewer
  readonly notices: readonly (string | Notice)[]
  readonly assets: Assets
  readonly now: Date
  readonly keys: readonly KeyView[]
  readonly proposals: readonly ProposalView[]
  readonly sessions: readonly SessionView[]
}

const KINDS: Readonly<Record<KeyView['kind'], string>> = {
  passkey: 'passkey',
  'ssh-sk': 'security key for SSH',
}

export function keysPage(page: KeysPage): string {
  const { viewer, keys, proposals, now } = page
  const held = keys.filter(({ removed_at }) => removed_at === null)
  const removed = keys.filter(({ removed_at }) => removed_at !== null)
  const own = proposals.filter(({ operator }) => operator === viewer.operator)
  const others = proposals.filter(({ operator }) => operator !== viewer.operator)
  return layout({
    title: 'Your keys',
    section: 'keys',
    viewer,
    notices: page.notices,
    assets: page.assets,
    now,
    width: 'reading',
    modules: ['keys'],
    body: html`<p>You sign decisions with these. Whoever holds one and can unlock it decides as you do.</p>
<div id="said" role="status" aria-live="polite"></div>
${held.length === 0 ? empty('You have no key.', html`You can read everything and decide nothing. Ask whoever runs this broker for a one-time code, then <a href="/console/enrol">enrol a passkey</a>.`) : html`<section class="stack" aria-labelledby="held"><h2 id="held">Keys you hold</h2><ul class="cards-list">${held.map((key) => keyCard(key, now))}</ul></section>`}
${own.map((proposal) => ownProposal(proposal, now))}
${held.length > 0 && addForm()}
${others.length > 0 && html`<section class="stack" aria-labelledby="others"><h2 id="others">Keys of others that wait</h2><ul class="cards-list">${others.map((proposal) => otherProposal(proposal, viewer, now))}</ul></section>`}
${
  removed.length > 0 &&
  html`<details><summary>Removed keys (${removed.length})</summary>${table({
    caption: 'Removed keys',
    columns: ['Key', 'Added', 'Removed', 'By'],
    rows: removed.map(({ label, added_at, removed_at, removed_by }) => ({
      cells: [foreign(label), time(added_at), time(removed_at), removed_by],
    })),
  })}</details>`
}
${sessionList(page.sessions, now)}
<noscript><p class="problem">Adding, removing and vouching need JavaScript.</p></noscript>`,
  })
}

const sessionList = (sessions: readonly SessionView[], now: Date): Html | false =>
  sessions.length > 0 &&
  html`<section class="stack" aria-labelledby="sessions"><h2 id="sessions">Where you are signed in</h2>${table(
    {
      caption: 'Your sessions',
      columns: ['Since', 'Last seen', 'By', 'Session'],
      rows: sessions.map(({ id, method, createdAt, seenAt, current }) => ({
        key: id,
        cells: [
          time(createdAt),
          ago(seenAt, now),
          method === 'oidc' ? 'your issuer' : 'a passkey',
          current
            ? badge('this one', 'info')
            : html`<button type="button" class="small" data-end="${id}">End</button>`,
        ],
      })),
    },
  )}</section>`

const keyCard = (key: KeyView, now: Date): Html =>
  html`<li class="card"><h3>${foreign(key.label)}</h3>
<p class="row small-text">${badge(KINDS[key.kind])}${key.backed_up === true && badge('synced to other devices', 'info')}<span>last used ${key.last_used_at === null ? 'never' : ago(key.last_used_at, now)}</span></p>
<p class="small-text muted">Added ${time(key.added_at)}, ${key.vouched_by === null ? 'with a one-time code' : html`vouched for by ${key.vouched_by}`}.</p>
<p class="small-text muted">${copyable(key.id, key.id.length > 24 ? `${key.id.slice(0, 20)}…` : key.id)}</p>
<details><summary>Remove</summary><div class="stack"><p>For ever: a removed key never comes back. What it signed stays valid on record.</p><button type="button" data-remove="${key.id}">Remove this key</button></div></details></li>`

const addForm = (): Html =>
  html`<section class="panel"><h2>Add a passkey</h2>
<p>Somebody else has to vouch for it, with a signature, within 24 hours. You must have signed in during the last five minutes.</p>
<form id="add" class="stack"><div class="field"><label for="label">Name of the new key</label><input id="label" name="label" required maxlength="64" placeholder="such as blue key"><small>In the record for ever: no name of a person.</small></div>
<button>Add a passkey</button></form>
<p class="muted small-text">A FIDO2 key for SSH is added from a terminal: <code>writ keys add</code></p></section>`

const ownProposal = (proposal: ProposalView, now: Date): Html =>
  html`<section class="panel warn"><h2>Waiting for somebody to vouch: ${foreign(proposal.label)}</h2>
<p>${left(proposal.expires_at, now)}. Ask an approver to open “Your keys” and to compare this code with you, face to face or on the phone:</p>
<p><strong class="mono code">${proposal.code}</strong></p>
<button type="button" data-withdraw="${proposal.id}">Take it back</button></section>`

function otherProposal(proposal: ProposalView, viewer: Viewer, now: Date): Html {
  const { id, operator, kind, label, expires_at } = proposal
  const shown = {
    voucher: viewer.operator,
    operator,
    proposal: id,
    key_id: proposal.key_id,
    key_kind: kind,
    public_key: proposal.public_key,
    label,
  }
  return html`<li class="card"><h3>${operator}: ${foreign(label)}</h3>
<p class="row small-text">${badge(KINDS[kind])}<span>${left(expires_at, now)}</span></p>
<p>Code to compare with ${operator}: <strong class="mono code">${proposal.code}</strong></p>
${
  proposal.may_vouch
    ? html`<p class="small-text">Vouch only if ${operator} told you this code themselves. From then on this key decides as ${operator}.</p>
<details><summary>Raw document</summary><pre id="vouch-${id}" translate="no" tabindex="0">${readableJson(shown)}</pre></details>
<div class="choices"><button type="button" data-vouch="${id}">Vouch</button><button type="button" data-withdraw="${id}">Turn down</button></div>`
    : html`<p class="muted small-text">Vouching takes the role approver or admin.</p>`
}</li>`
}
