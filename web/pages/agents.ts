import { type Html, html, type Part } from '../html.js'
import { badge, count, empty, table } from './parts.js'

export const LEVELS = ['read', 'tagging', 'write', 'delete', 'permissions'] as const
export type Level = (typeof LEVELS)[number]

/** What it takes to get a level of access in an environment. */
export type Way =
  | { readonly kind: 'alone' }
  /** By so many different humans. */
  | { readonly kind: 'grant'; readonly approvals: number }
  /** Some scopes of this level alone, the others with a grant. */
  | { readonly kind: 'some'; readonly approvals: number }
  /** No scope of the agent has it here, or policy denies those that do. */
  | { readonly kind: 'never' }

export interface Place {
  readonly environment: string
  readonly tier: string
  readonly levels: Readonly<Record<Level, Way>>
}

/** As counted; `atLeast` where counting ended before the end. */
export interface Counted {
  readonly count: number
  readonly atLeast: boolean
}

export interface AgentLine {
  readonly name: string
  readonly describe: string
  readonly owner: { readonly kind: string; readonly name: string }
  /** As its document says. */
  readonly status: 'active' | 'stopped'
  /** By stops: everywhere, in these environments, or nowhere. */
  readonly stopped: 'everywhere' | readonly string[]
  readonly places: readonly Place[]
  readonly live: Counted
  /** Of the last day. */
  readonly denials: Counted
  readonly pending: number
}

export interface AgentsView {
  readonly agents: readonly AgentLine[]
  readonly total: number
  /** Where the next agents are, by name. */
  readonly next: string | undefined
}

export function agentsPage({ agents, total, next }: AgentsView): Html {
  if (total === 0)
    return empty(
      'No agent is in the policy.',
      'An agent document in the policy folder makes one: docs/policy.md.',
    )
  return html`<p class="muted">${count(total, 'agent')} in the policy that is in force. ${legend()}</p>
<ul class="cards-list">${agents.map(
    (agent) =>
      html`<li class="card${isStopped(agent) && ' stopped'}"><div class="row spread"><h2><a href="/console/agents/${agent.name}">${agent.name}</a></h2><span class="row">${stoppedBadge(agent)}${numbers(agent)}</span></div>
<p class="muted">${agent.describe === '' ? '' : `${agent.describe} · `}owned by ${owner(agent.owner)}</p>
${matrix(agent.name, agent.places)}</li>`,
  )}</ul>
${next !== undefined && html`<nav class="pager" aria-label="Pages"><a class="button" rel="next" href="/console/agents?from=${encodeURIComponent(next)}">More agents</a></nav>`}`
}

export const isStopped = ({ status, stopped }: AgentLine): boolean =>
  status === 'stopped' || stopped === 'everywhere'

const stoppedBadge = (agent: AgentLine): Part =>
  isStopped(agent)
    ? badge('stopped', 'danger')
    : agent.stopped !== 'everywhere' &&
      agent.stopped.length > 0 &&
      badge(`stopped in ${agent.stopped.join(', ')}`, 'danger')

export const owner = ({ kind, name }: AgentLine['owner']): Part => (kind === 'team' ? `team ${name}` : name)

export const legend = (): Html =>
  html`Policy lets an agent have a level of access ${badge('alone', 'ok')} without a human, only with a ${badge('grant', 'warn')} by one or more humans, or ${badge('never')}.`

const numbers = ({ name, live, denials, pending }: AgentLine): Part => [
  pending > 0 && html`<a href="/console/requests">${badge(`${pending} waiting`, 'info')}</a>`,
  html`<a href="/console/agents/${name}#live">${badge(`${told(live)} live`, live.count > 0 ? 'ok' : 'quiet')}</a>`,
  html`<a href="/console/agents/${name}#refused">${badge(`${told(denials)} refused`, denials.count > 0 ? 'warn' : 'quiet')}</a>`,
]

export const told = ({ count, atLeast }: Counted): string =>
  `${atLeast ? 'at least ' : ''}${count.toLocaleString('en')}`

const HEADS: Readonly<Record<Level, string>> = {
  read: 'Read',
  tagging: 'Tag',
  write: 'Write',
  delete: 'Delete',
  permissions: 'Permissions',
}

/** Environments by levels of access. Tagging and permissions only where the agent has any: on a phone there is room for three. */
export function matrix(agent: string, places: readonly Place[]): Html {
  if (places.length === 0) return html`<p class="muted">It may enter no environment.</p>`
  const shown = LEVELS.filter(
    (level) =>
      ['read', 'write', 'delete'].includes(level) ||
      places.some(({ levels }) => levels[level].kind !== 'never'),
  )
  return html`<div class="matrix">${table({
    caption: `What ${agent} can have`,
    narrow: 'scroll',
    columns: ['Environment', ...shown.map((level) => HEADS[level])],
    rows: places.map(({ environment, tier, levels }) => ({
      cells: [
        html`<div>${environment}${tier !== environment && html` <small class="muted">${tier}</small>`}</div>`,
        ...shown.map((level) => html`<div>${way(levels[level])}</div>`),
      ],
    })),
  })}</div>`
}

export function way(one: Way): Html {
  switch (one.kind) {
    case 'alone':
      return badge('alone', 'ok')
    case 'grant':
      return badge(one.approvals > 1 ? `grant by ${one.approvals}` : 'grant', 'warn')
    case 'some':
      return html`${badge('alone', 'ok')} ${badge(one.approvals > 1 ? `or grant by ${one.approvals}` : 'or grant', 'warn')}`
    case 'never':
      return html`<span class="muted">never</span>`
  }
}
