import { type Html, html, type Part } from '../html.js'
import { type HistoryItem, onBehalfOf, outcome, scopeList } from './history.js'
import {
  badge,
  copyable,
  count,
  digest,
  empty,
  facts,
  foreign,
  listed,
  panel,
  readableJson,
  sentence,
  time,
} from './parts.js'
import { proofPanel, type StoryEntry, storyLine } from './story.js'

/** An issuance with all that the list leaves out. */
export interface IssuanceFacts extends HistoryItem {
  /** Index of the intent's entry. */
  readonly entry: number
  readonly role: string
  readonly subject: string | null
  readonly source_ip: string | null
  readonly reason: string | null
  readonly ticket: string | null
  readonly grant_use: number | null
  readonly policy_digest: string
  readonly access_key_id: string | null
}

/** One human's decision, as the log has it. */
export interface DecisionSeen {
  readonly operator: string
  readonly decision: 'approve' | 'deny'
  readonly at: string
  readonly comment: string | null
  readonly personal_data: HistoryItem['personal_data']
  readonly proof_kind: string
  readonly key_id: string | null
  readonly break_glass: boolean
  /** `unsigned`: by a fresh sign-in, where no signature is asked for. */
  readonly signature: 'verified' | 'failed' | 'unsigned'
  /** What is wrong with a signature that failed. */
  readonly problem: string | null
}

export interface GrantSeen {
  readonly id: string
  readonly request_id: string
  readonly state: string
  readonly uses: number
  readonly max_uses: number
  readonly not_before: string
  readonly expires_at: string
  readonly revoked_at: string | null
  readonly revoked_by: string | null
}

export interface Statement {
  readonly Effect: 'Allow' | 'Deny'
  readonly Action: string | readonly string[]
  readonly Resource?: string | readonly string[]
  readonly Condition?: unknown
}

export interface IssuanceView {
  /** Absent where there is nothing to kill. */
  readonly kill?: Html | undefined
  readonly issuance: IssuanceFacts
  readonly now: Date
  /** In the order of the log: request, decisions, grant, intent, outcome, deliveries. */
  readonly entries: readonly StoryEntry[]
  /** Deliveries that are not among them. */
  readonly more: { readonly count: number; readonly exact: boolean }
  readonly grant: GrantSeen | undefined
  readonly decisions: readonly DecisionSeen[]
  /** What the grant was asked for with. */
  readonly wish: Pick<IssuanceFacts, 'reason' | 'ticket' | 'personal_data'> | undefined
  /** Of the rendered session policy; undefined where it is erased or archived. */
  readonly statements: readonly Statement[] | undefined
  readonly intent: Readonly<Record<string, unknown>> | undefined
}

export function issuancePage(view: IssuanceView): Html {
  const { issuance, entries, more } = view
  return html`${opening(view)}
${view.kill}
${proofPanel(entries)}
${asked(issuance)}
${could(view)}
${signed(view)}
${facts_(view)}
<section class="panel"><h2>Its story, entry by entry</h2>
${
  entries.length === 0
    ? empty(
        'The entries are archived.',
        'They left the database. `writ audit verify` checks them in the archive.',
      )
    : html`<ol class="story">${entries.map(storyLine)}</ol>`
}${more.count > 0 && html`<p class="muted">${more.exact ? '' : 'At least '}${count(more.count, 'more delivery', 'more deliveries')}: <code>writ audit events --issuance ${issuance.issuance}</code> has all of them.</p>`}</section>`
}

function opening({ issuance, now }: IssuanceView): Html {
  const { agent, environment, scopes } = issuance
  const human = issuance.human === null ? undefined : html`, acting for ${onBehalfOf(issuance)},`
  const did = {
    issued: ' got a session in ',
    failed: ' asked AWS in vain for a session in ',
    abandoned: ' may have had a session made in ',
    intended: ' is about to get a session in ',
  }[issuance.state]
  return html`${sentence(html`<strong>${agent}</strong>`, human, did, html`<strong>${environment}</strong>`, ' for ', scopeList(scopes), '.')}
<p class="row">${outcome(issuance, now)}${issuance.tier !== null && badge(issuance.tier, issuance.tier === 'production' ? 'warn' : 'quiet')}<span class="muted">asked for at</span> ${time(issuance.at)}</p>`
}

function asked(issuance: IssuanceFacts): Html {
  const { reason, ticket } = issuance
  return panel(
    'Why, in the words of the agent',
    reason === null
      ? html`<p class="muted">${personalGone(issuance.personal_data)}</p>`
      : html`<div class="written">${foreign(reason)}</div>${ticket !== null && html`<p>Ticket: ${foreign(ticket)}</p>`}`,
  )
}

const personalGone = (state: HistoryItem['personal_data']): string =>
  ({
    none: 'The record never had personal data here.',
    shown: 'It was not said.',
    erased:
      'Erased, with all personal data of this entry. That it was asked for, and what came of it, stays provable.',
    archived: 'In the archive: the entry left the database.',
    altered: 'Somebody changed it in the database after it was recorded. What stands there now is not shown.',
  })[state]

function could({ statements }: IssuanceView): Html {
  if (statements === undefined)
    return panel(
      'What it could do',
      html`<p class="muted">The rendered session policy named the address of the caller, and went with the personal data; or its entry is archived.</p>`,
    )
  const list = (value: string | readonly string[] | undefined) => (value === undefined ? [] : [value].flat())
  const allowed = statements.filter(({ Effect }) => Effect === 'Allow')
  return panel(
    'What it could do',
    html`<ul class="plain">${allowed.map(
      ({ Action, Resource, Condition }) =>
        html`<li>${listed(list(Action).map((one) => html`<code>${one}</code>`))} <span class="muted">on</span> ${listed(
          list(Resource).map((one) => html`<code>${one}</code>`),
        )}${Condition !== undefined && html` <span class="muted">where</span> <code>${JSON.stringify(Condition)}</code>`}</li>`,
    )}</ul>
<p class="muted">And nothing else. It was fenced in by ${count(statements.length - allowed.length, 'denial', 'denials')}: its end, its regions, and its network where it has one.</p>
<details><summary>The session policy as AWS got it</summary><pre translate="no" tabindex="0">${readableJson({ Version: '2012-10-17', Statement: statements })}</pre></details>`,
  )
}

function signed({ issuance, grant, decisions, wish }: IssuanceView): Html {
  if (issuance.grant === null)
    return panel(
      'On whose word',
      html`<p>No human had to be asked: policy allows it alone, under ${digest(issuance.policy_digest)}.</p>`,
    )
  const bad = decisions.some(({ signature }) => signature === 'failed')
  return panel(
    'On whose word',
    html`${
      wish !== undefined &&
      html`<p>The grant was asked for with:</p>${
        wish.reason === null
          ? html`<p class="muted">${personalGone(wish.personal_data)}</p>`
          : html`<div class="written">${foreign(wish.reason)}</div>${wish.ticket !== null && html`<p>Ticket: ${foreign(wish.ticket)}</p>`}`
      }`
    }${
      decisions.length === 0
        ? html`<p class="muted">The decisions are archived, or were never recorded with this request.</p>`
        : html`<ul class="plain">${decisions.map(decision)}</ul>`
    }${
      grant !== undefined &&
      facts([
        [
          'Grant',
          html`${copyable(grant.id)} ${badge(grant.state, grant.state === 'revoked' ? 'danger' : grant.state === 'live' ? 'ok' : 'quiet')}`,
        ],
        [
          'This was use',
          issuance.grant_use === null ? undefined : `${issuance.grant_use} of ${grant.max_uses}`,
        ],
        ['Valid', html`${time(grant.not_before)} to ${time(grant.expires_at)}`],
        [
          'Revoked',
          grant.revoked_at === null ? undefined : html`${time(grant.revoked_at)} by ${grant.revoked_by}`,
        ],
        [
          'Request',
          html`<a href="/console/requests/${grant.request_id}"><code>${grant.request_id}</code></a>`,
        ],
      ])
    }`,
    bad ? 'danger' : '',
  )
}

function decision(one: DecisionSeen): Html {
  const said = one.decision === 'approve' ? 'approved' : 'denied'
  const how: Part = {
    verified: html`${badge('signature verified', 'ok')} <span class="muted">by this broker: the key signed exactly this agent, environment, these scopes and permissions</span>`,
    failed: html`${badge('SIGNATURE FAILED', 'danger')} <strong>${one.problem ?? ''}</strong>`,
    unsigned: html`${badge('not signed')} <span class="muted">by a fresh sign-in; outside of production no signature is asked for</span>`,
  }[one.signature]
  const comment =
    one.comment !== null
      ? html`<div class="written">${foreign(one.comment)}</div>`
      : one.personal_data === 'shown' || one.personal_data === 'none'
        ? undefined
        : html`<p class="muted">Comment: ${personalGone(one.personal_data)}</p>`
  return html`<li class="stack"><p class="row"><strong>${one.operator}</strong> ${said} ${time(one.at)}${one.break_glass && html` ${badge('break-glass', 'danger')}`}</p><p>${how}</p>${
    one.key_id !== null &&
    html`<p>with the ${one.proof_kind === 'passkey' ? 'passkey' : 'SSH key'} ${copyable(one.key_id, shortKey(one.key_id))}</p>`
  }${comment}</li>`
}

const shortKey = (id: string): string => (id.length > 24 ? `${id.slice(0, 20)}…` : id)

function facts_({ issuance, intent }: IssuanceView): Html {
  const text = (name: string) => (typeof intent?.[name] === 'string' ? intent[name] : undefined)
  const tags = intent?.tags
  const beside = (value: string | null) =>
    value === null ? html`<span class="muted">${personalGone(issuance.personal_data)}</span>` : foreign(value)
  return panel(
    'Facts',
    facts([
      [
        'Issuance',
        html`${copyable(issuance.issuance)} <span class="muted">the session's name in CloudTrail</span>`,
      ],
      ['Access key', issuance.access_key_id === null ? undefined : copyable(issuance.access_key_id)],
      ['Agent', html`<a href="/console/agents/${issuance.agent}">${issuance.agent}</a>`],
      ['On behalf of', onBehalfOf(issuance)],
      ['Token subject', beside(issuance.subject)],
      ['Asked from', beside(issuance.source_ip)],
      ['Token issuer', text('issuer')],
      ['Environment', issuance.environment],
      ['Account', text('account')],
      ['Role', copyable(issuance.role)],
      [
        'Over by',
        html`${time(issuance.not_after)} <span class="muted">in the session policy, to the second</span>`,
      ],
      ['AWS ends it', issuance.expires_at === null ? undefined : time(issuance.expires_at)],
      [
        'Source identity',
        text('source_identity') === undefined ? undefined : copyable(text('source_identity') ?? ''),
      ],
      [
        'Session tags',
        typeof tags === 'object' && tags !== null
          ? html`<ul class="plain">${Object.entries(tags).map(([key, value]) => html`<li><code>${key}=${String(value)}</code></li>`)}</ul>`
          : undefined,
      ],
      ['Policy', digest(issuance.policy_digest)],
      [
        'Permissions',
        text('permissions_sha256') === undefined ? undefined : digest(text('permissions_sha256') ?? ''),
      ],
      ['HTTP request', text('request') === undefined ? undefined : copyable(text('request') ?? '')],
    ]),
  )
}
