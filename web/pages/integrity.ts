import { type Html, html, type Part } from '../html.js'
import { alarmPanel } from './alarms.js'
import {
  ago,
  badge,
  copyable,
  count,
  digest,
  empty,
  facts,
  foreign,
  panel,
  type Tone,
  table,
  time,
} from './parts.js'

export interface PublishedLog {
  readonly origin: string
  readonly verifier_key: string
  /** Why the record is not trusted any more. */
  readonly trouble: string | undefined
  /** Why it cannot be published just now. */
  readonly failure: string | undefined
  readonly writing: boolean
  /** The newest published checkpoint; undefined before the first, or when it cannot be read. */
  readonly checkpoint:
    | { readonly size: number; readonly root: string; readonly note: string; readonly at: string | null }
    | undefined
  /** Why there is none to show. */
  readonly unread: string | undefined
}

export interface WebhookSeen {
  readonly name: string
  readonly origin: string
  readonly state: 'new' | 'current' | 'behind' | 'failing' | 'disabled'
  readonly behind: number | null
  readonly failing_since: string | null
  readonly last_failure: string | null
  readonly last_success_at: string | null
  readonly disabled_at: string | null
}

export interface RecordedEvent {
  readonly index: number
  readonly body: Readonly<Record<string, unknown>>
}

export interface IntegrityView {
  readonly now: Date
  /** Entries in the database. */
  readonly size: number
  /** Undefined where this replica does not publish the log. */
  readonly log: PublishedLog | undefined
  /** When this replica began to compare. */
  readonly since: Date
  readonly ready: boolean
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[]
  readonly policy: {
    readonly digest: string
    readonly loadedAt: Date
    readonly problem: { readonly at: Date; readonly problems: readonly string[] } | undefined
  }
  /** Starts of replicas in the last day, newest first. */
  readonly starts: readonly RecordedEvent[]
  /** Reloads of the policy in the last 30 days, newest first. */
  readonly reloads: readonly RecordedEvent[]
  /** Of the last 7 days, newest first. */
  readonly alarms: readonly RecordedEvent[]
  /** Exports, redactions and archives of the last 30 days, newest first. */
  readonly taken: readonly RecordedEvent[]
  readonly webhooks: readonly WebhookSeen[]
}

export function integrityPage(view: IntegrityView): Html {
  return html`${verdict(view)}
${checkpoint(view)}
${checks(view)}
${policy(view)}
${replicas(view)}
${webhooks(view)}
${alarmPanel(view.alarms)}
${taken(view)}`
}

function verdict({ log, size, since }: IntegrityView): Html {
  if (log === undefined)
    return html`<section class="panel warn"><h2>${badge('not published here', 'warn')}</h2><p>This replica does not publish the log, and compares it with nothing. Another one may: ask it, or set WRIT_LOG_DIR or WRIT_LOG_BUCKET. Until then nothing outside of the database would show a rewrite.</p></section>`
  if (log.trouble !== undefined)
    return html`<section class="panel danger" role="alert"><h2>${badge('NOT TRUSTED', 'danger')} The record is not what was published</h2><p><strong>${log.trouble}</strong></p><p>Nothing is issued and nothing is approved until this is cleared up. What to do stands in <code>docs/operations.md</code>: restore the right database, or begin a new origin with <code>writ audit new-origin</code>.</p></section>`
  const behind = size - (log.checkpoint?.size ?? 0)
  const late = log.failure !== undefined || log.checkpoint === undefined
  return html`<section class="panel ${late ? 'warn' : 'ok'}"><h2>${late ? badge('not up to date', 'warn') : badge('fine', 'ok')} ${late ? 'The log cannot be published now' : 'The record is what was published'}</h2>
${log.failure !== undefined && html`<p><strong>${log.failure}</strong></p>`}
<p>Nothing contradicted it since this replica began to compare, ${time(since)}. It compares every round the newest entries, and some at random, with what is outside of the database.</p>
<p class="muted">${number(size)} entries; ${behind <= 0 ? 'all of them are under the checkpoint' : `${count(behind, 'entry is', 'entries are').replace(/^\d+/, number(behind))} not yet under the checkpoint`}.</p></section>`
}

function checkpoint({ log, now }: IntegrityView): Part {
  if (log === undefined) return undefined
  const { checkpoint: head } = log
  return panel(
    'Latest checkpoint',
    html`${
      head === undefined
        ? empty('No checkpoint to show.', log.unread)
        : html`${facts([
            ['Entries', number(head.size)],
            ['Root', copyable(head.root)],
            [
              'Signed',
              head.at === null
                ? html`<span class="muted">the database does not know when</span>`
                : html`${time(head.at)} <span class="muted">${ago(head.at, now)}</span>`,
            ],
            ['Origin', copyable(log.origin)],
            [
              'Public key',
              html`${copyable(log.verifier_key)} <span class="muted">keep it outside of this broker: it is what you verify with</span>`,
            ],
            ['Written by', log.writing ? 'this replica' : 'another replica, or nobody just now'],
          ])}<details><summary>As it was signed</summary><pre translate="no" tabindex="0">${head.note}</pre></details>`
    }`,
  )
}

function checks({ checks: all, ready }: IntegrityView): Html {
  return panel(
    'Readiness of this replica',
    html`<p>${ready ? badge('ready', 'ok') : badge('not ready', 'danger')}</p>${table({
      caption: 'Checks',
      columns: ['Check', 'State', 'Detail'],
      rows: all.map(({ name, ok, detail }) => ({
        cells: [name, ok ? badge('fine', 'ok') : badge('trouble', 'danger'), detail],
      })),
    })}`,
  )
}

function policy({ policy: { digest: name, loadedAt, problem }, reloads, now }: IntegrityView): Html {
  const bad = reloads.filter(({ body }) => body.kind === 'policy.rejected').length
  return panel(
    'Policy',
    html`${facts([
      ['In force', digest(name)],
      ['Loaded by this replica', html`${time(loadedAt)} <span class="muted">${ago(loadedAt, now)}</span>`],
    ])}
${
  problem !== undefined &&
  html`<div class="problem"><p><strong>A newer state of the folder is refused</strong> since ${time(problem.at)}; the set above goes on serving.</p><ul>${problem.problems
    .slice(0, 10)
    .map(
      (one) => html`<li><code>${one}</code></li>`,
    )}</ul>${problem.problems.length > 10 && html`<p>and ${problem.problems.length - 10} more</p>`}</div>`
}
<h3>Reloads of the last 30 days${bad > 0 && `: ${bad} rejected`}</h3>
${
  reloads.length === 0
    ? html`<p class="muted">None.</p>`
    : table({
        caption: 'Reloads of the policy',
        columns: ['When', 'What', 'In force then', { label: 'Problems', numeric: true }],
        rows: reloads.map(({ body }) => ({
          cells: [
            time(text(body.at)),
            body.kind === 'policy.rejected' ? badge('rejected', 'danger') : badge('loaded', 'ok'),
            digest(text(body.policy_digest)),
            Number(body.problems ?? 0),
          ],
        })),
      })
}`,
    problem === undefined ? '' : 'warn',
  )
}

function replicas({ starts, policy: { digest: current } }: IntegrityView): Html {
  return panel(
    'Replicas',
    html`<p class="muted">As far as the record knows: starts of the last day. Nobody writes down that a replica ended.</p>${
      starts.length === 0
        ? html`<p>No replica started in the last day: those that serve are up for longer.</p>`
        : table({
            caption: 'Starts',
            columns: ['Started', 'Version', 'Mode', 'Policy then'],
            rows: starts.map(({ body }) => ({
              cells: [
                time(text(body.at)),
                text(body.version),
                text(body.mode),
                html`<div>${digest(text(body.policy_digest))}${body.policy_digest !== current && html` <span class="muted">not the one in force here</span>`}</div>`,
              ],
            })),
          })
    }`,
  )
}

const WEBHOOK_TONES: Readonly<Record<WebhookSeen['state'], Tone>> = {
  new: 'quiet',
  current: 'ok',
  behind: 'info',
  failing: 'danger',
  disabled: 'danger',
}

function webhooks({ webhooks: all }: IntegrityView): Html {
  return panel(
    'Webhooks',
    all.length === 0
      ? html`<p class="muted">None in the policy: nobody is told of entries by this broker.</p>`
      : table({
          caption: 'Webhooks',
          columns: [
            'Name',
            'Sends to',
            'State',
            { label: 'Behind', numeric: true },
            'Last success',
            'Trouble',
          ],
          rows: all.map((one) => ({
            cells: [
              one.name,
              html`<code>${one.origin}</code>`,
              badge(one.state, WEBHOOK_TONES[one.state]),
              one.behind === null ? '' : number(one.behind),
              time(one.last_success_at),
              one.last_failure === null || one.failing_since === null
                ? one.disabled_at === null
                  ? ''
                  : html`<div>disabled ${time(one.disabled_at)}</div>`
                : html`<div>${foreign(one.last_failure)} <span class="muted">since</span> ${time(one.failing_since)}</div>`,
            ],
          })),
        }),
  )
}

function taken({ taken: all }: IntegrityView): Html {
  return panel(
    'Taken along or erased, last 30 days',
    all.length === 0
      ? html`<p class="muted">Nobody exported, erased or archived anything.</p>`
      : table({
          caption: 'Exports, redactions and archives',
          columns: ['When', 'What', 'By', 'Which', 'Entry'],
          rows: all.map(({ index, body }) => ({
            cells: [
              time(text(body.at)),
              html`<div>${what(body)}</div>`,
              foreign(text(body.operator ?? body.by)),
              html`<div>${which(body)}</div>`,
              number(index),
            ],
          })),
        }),
  )
}

function what(body: RecordedEvent['body']): Part {
  switch (body.kind) {
    case 'log.exported':
      return html`${badge('export', 'info')} ${text(body.format)}${body.personal_data === true && html` ${badge('with personal data', 'warn')}`}`
    case 'log.redacted':
      return badge('erased', 'warn')
    default:
      return badge('archived')
  }
}

function which(body: RecordedEvent['body']): Part {
  if (body.kind === 'log.redacted') {
    const runs = Array.isArray(body.erased) ? (body.erased as readonly (readonly [number, number])[]) : []
    const entries = runs.reduce((sum, [first, last]) => sum + last - first + 1, 0)
    return html`${count(entries, 'entry', 'entries')}: ${foreign(text(body.why))}`
  }
  return `${number(Number(body.from ?? 0))} to ${body.to === undefined ? 'the end, and on' : number(Number(body.to))}`
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const number = (value: number): string => value.toLocaleString('en')
