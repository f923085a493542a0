import { type Html, html } from '../html.js'
import { badge, panel, table, time } from './parts.js'

/** An entry `alarm.raised`. */
export interface AlarmSeen {
  readonly body: Readonly<Record<string, unknown>>
}

/** What somebody should have looked at lately, newest first. docs/alarms.md says of each what to do. */
export const alarmPanel = (alarms: readonly AlarmSeen[]): Html =>
  panel(
    'Alarms, last 7 days',
    alarms.length === 0
      ? html`<p class="muted">None.</p>`
      : html`${table({
          caption: 'Alarms',
          columns: ['When', 'Alarm', 'Agent', 'Environment', 'Raised by'],
          rows: alarms.map(({ body }) => {
            const agent = text(body.agent)
            return {
              cells: [
                time(text(body.at)),
                badge(text(body.alarm), 'warn'),
                agent === '' ? '' : html`<a href="/console/agents/${agent}">${agent}</a>`,
                text(body.environment),
                html`<div>entry ${text(body.cause)}</div>`,
              ],
            }
          }),
        })}<p class="muted">More, and each as it is raised: <code>writ alarms --follow</code></p>`,
    alarms.length > 0 ? 'warn' : '',
  )

const text = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : ''
