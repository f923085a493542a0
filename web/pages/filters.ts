import { type Html, html } from '../html.js'

/** What the history is narrowed by, as it stands in the URL. */
export type FilterValues = Readonly<Partial<Record<FilterName, string>>>

export const FILTER_NAMES = [
  'agent',
  'environment',
  'state',
  'since',
  'until',
  'human',
  'tier',
  'scope',
  'action',
  'role',
  'grant',
  'access_key',
  'network',
  'code',
] as const
export type FilterName = (typeof FILTER_NAMES)[number]

/** How far back the chart goes, where no time is asked for. */
export const PERIODS = ['24h', '7d', '30d'] as const
export type Period = (typeof PERIODS)[number]

/** What stands in the fields to choose from. */
export interface Known {
  readonly agents: readonly string[]
  readonly environments: readonly string[]
  readonly scopes: readonly string[]
}

interface Field {
  readonly label: string
  /** Says what to write where the label does not. */
  readonly hint?: string
  readonly choices?: readonly string[]
  readonly list?: keyof Known
}

const FIELDS: Readonly<Record<FilterName, Field>> = {
  agent: { label: 'Agent', list: 'agents' },
  environment: { label: 'Environment', list: 'environments' },
  state: { label: 'Outcome', choices: ['issued', 'failed', 'abandoned', 'intended'] },
  since: { label: 'Since', hint: '2026-01-31T08:00:00Z' },
  until: { label: 'Until', hint: '2026-01-31T09:00:00Z' },
  human: { label: 'On behalf of' },
  tier: { label: 'Tier', choices: ['sandbox', 'development', 'staging', 'production'] },
  scope: { label: 'Scope', list: 'scopes' },
  action: { label: 'IAM action it allows', hint: 's3:PutObject' },
  role: { label: 'Role', hint: 'arn:aws:iam::…:role/…' },
  grant: { label: 'Grant' },
  access_key: { label: 'Access key', hint: 'ASIA…' },
  network: { label: 'Asked from', hint: '192.0.2.0/24' },
  code: { label: 'Error code' },
}

const FIRST: readonly FilterName[] = ['agent', 'environment', 'state', 'since', 'until']

/** A path with these filters, leaving out what is empty. */
export function historyPath(
  values: FilterValues & { readonly over?: Period | undefined; readonly before?: string | undefined },
): string {
  const query = new URLSearchParams()
  for (const name of [...FILTER_NAMES, 'over', 'before'] as const) {
    const value = values[name]
    if (value !== undefined && value !== '') query.set(name, value)
  }
  const text = query.toString()
  return `/console/history${text === '' ? '' : `?${text}`}`
}

/** A plain GET form: what is shown is in the address, to keep and to send. */
export function filterForm(values: FilterValues, known: Known, over: Period | undefined): Html {
  const rest = FILTER_NAMES.filter((name) => !FIRST.includes(name))
  const set = FILTER_NAMES.filter((name) => values[name] !== undefined)
  return html`<form class="filter-form panel" method="get" action="/console/history" role="search" aria-label="Issuances">
${over !== undefined && html`<input type="hidden" name="over" value="${over}">`}
<div class="filters">${FIRST.map((name) => field(name, values))}<button class="strong">Show</button></div>
<details${rest.some((name) => values[name] !== undefined) && html` open`}><summary>More filters</summary>
<div class="filters">${rest.map((name) => field(name, values))}<button>Show</button></div></details>
${
  set.length > 0 &&
  html`<div class="row chips"><span class="muted">Only</span>${set.map(
    (name) =>
      html`<a class="chip" href="${historyPath({ ...values, [name]: undefined, over })}"><span>${FIELDS[name].label}: <bdi>${chip(name, values[name] ?? '')}</bdi></span><span aria-hidden="true">×</span><span class="hidden">(remove)</span></a>`,
  )}<a href="${historyPath({ over })}">show everything</a></div>`
}
${(['agents', 'environments', 'scopes'] as const).map(
  (name) =>
    html`<datalist id="known-${name}">${known[name].map((one) => html`<option value="${one}"></option>`)}</datalist>`,
)}
</form>`
}

const isTime = (name: FilterName): boolean => name === 'since' || name === 'until'

function chip(name: FilterName, value: string) {
  const at = isTime(name) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(at)) return value
  const iso = new Date(at).toISOString()
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`
}

function field(name: FilterName, values: FilterValues): Html {
  const { label, hint, choices, list } = FIELDS[name]
  const value = values[name] ?? ''
  if (choices !== undefined) {
    const all = value === '' || choices.includes(value) ? choices : [...choices, value]
    return html`<label class="field">${label}<select name="${name}"><option value="">any</option>${all.map(
      (choice) => html`<option value="${choice}"${choice === value && html` selected`}>${choice}</option>`,
    )}</select></label>`
  }
  // Times are told in UTC here; web/browser/history.ts asks for them in the reader's own zone.
  return html`<label class="field">${label}<input name="${name}" value="${value}" autocomplete="off" spellcheck="false"${
    hint !== undefined && html` placeholder="${hint}"`
  }${list !== undefined && html` list="known-${list}"`}${isTime(name) && html` data-instant`}></label>`
}
