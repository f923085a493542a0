import { clean } from '../output.js'
import type { Report, ScenarioResult, Tried } from './run.js'

const WORDS = { stopped: 'STOPPED', failed: 'NOT STOPPED', skipped: 'SKIPPED' } as const

/** For a terminal: a line a scenario, and under it what did not hold. */
export function showReport(report: Report): string {
  const lines = report.scenarios.flatMap((one) => [
    `${WORDS[one.outcome].padEnd(12)}${one.title}${times(one)}`,
    ...one.attempts.filter(({ control }) => !control).map(attemptLine),
    ...one.attempts.filter(({ control, held }) => control && !held).map(attemptLine),
    ...one.notes.map((note) => `              ${clean(note)}`),
    ...one.skipped.map((text) => `    SKIPPED   ${clean(text)}`),
  ])
  return `${lines.join('\n')}\n\n${verdict(report)}\n${report.left}`
}

const times = ({ deny_ms, detect_ms }: ScenarioResult): string =>
  deny_ms === null
    ? ''
    : ` (denied within ${deny_ms} ms${detect_ms === null ? '' : `, detected after ${detect_ms} ms`})`

function attemptLine(one: Tried): string {
  const mark = one.held && one.unrecorded !== 'NOT IN THE RECORD.' ? '  ' : '! '
  return `  ${mark}${clean(one.what)}: ${one.code ?? one.status}, ${where(one)}`
}

/** Where it is recorded, in a few words. */
function where({ entry, alarm, unrecorded, status }: Tried): string {
  if (entry === null) return status < 400 ? 'as it has to be' : clean(unrecorded ?? '')
  const again = entry.after_ms === null ? ' (counted as a repeat)' : ''
  return `entry ${entry.index}${again}${alarm === null ? '' : `, alarm ${alarm.alarm} (entry ${alarm.index})`}`
}

export function verdict({ scenarios, all_stopped, complete }: Report): string {
  const count = (outcome: ScenarioResult['outcome']) =>
    scenarios.filter((one) => one.outcome === outcome).length
  if (all_stopped && complete)
    return scenarios.length === 1
      ? 'The scenario was stopped.'
      : `All ${scenarios.length} scenarios were stopped.`
  const parts = [`${count('stopped')} of ${scenarios.length} scenarios were stopped.`]
  if (count('failed') > 0)
    parts.push(`${count('failed')} WERE NOT: look at the lines with an exclamation mark.`)
  if (!complete) parts.push('Some of it was not played: see SKIPPED.')
  return parts.join(' ')
}

/** For auditors: what was tried, what stopped it, and where to check it. */
export function markdown(report: Report): string {
  return `# Drill of ${report.began_at.slice(0, 10)}

\`writ drill\` played the rogue agent \`${report.agent}\` against ${code(report.url)}, from ${report.began_at} to ${report.ended_at}, under the policy ${code(report.policy_digest)}. ${verdict(report)}

| scenario | outcome | denied within | detected after |
| --- | --- | --- | --- |
${report.scenarios.map(row).join('\n')}

Denied within: the slowest answer, measured where the drill ran. Detected after: from an attempt to its alarm, or where it raises none, to its entry in the log, by the clock of the database against that of the drill's machine. Calls with a token that is not accepted, and what is no request at all, are in the broker's log only: whoever is unknown writes nothing into the record. Each entry can be checked without trusting the broker: \`writ audit verify\`, or the page of the entry at the console.

${report.scenarios.map(section).join('\n')}
## How the agent was left
${cell(report.left)}
`
}

const row = ({ title, outcome, deny_ms, detect_ms, skipped }: ScenarioResult): string =>
  `| ${title} | ${WORDS[outcome]}${outcome === 'stopped' && skipped.length > 0 ? ', in part not played' : ''} | ${ms(deny_ms)} | ${ms(detect_ms)} |`

const ms = (value: number | null): string => (value === null ? '' : `${value} ms`)

function section({ title, attack, attempts, notes, skipped }: ScenarioResult): string {
  return `## ${title}
${attack}

| tried | answered | held | recorded | leaf hash | answered in | recorded after | alarm |
| --- | --- | --- | --- | --- | --- | --- | --- |
${attempts.map(attemptRow).join('\n')}
${[...notes.map(cell), ...skipped.map((text) => `**Not played:** ${cell(text)}`)].map((line) => `\n${line}\n`).join('')}`
}

function attemptRow(one: Tried): string {
  const { what, control, status, code: refusal, detail, held, entry, unrecorded, answered_ms, alarm } = one
  const answered =
    refusal === null ? `${status}` : `${status} \`${refusal}\`${detail === null ? '' : `: ${cell(detail)}`}`
  const recorded =
    entry === null ? (status < 400 ? '' : cell(unrecorded ?? '')) : `entry ${entry.index}, ${entry.kind}`
  const columns = [
    `${cell(what)}${control ? ' (has to work)' : ''}`,
    answered,
    held ? 'yes' : '**NO**',
    recorded,
    entry === null ? '' : code(entry.leaf_hash.slice(0, 16)),
    ms(answered_ms),
    entry === null ? '' : entry.after_ms === null ? 'a repeat' : ms(entry.after_ms),
    alarm === null ? '' : `${alarm.alarm}, entry ${alarm.index}, ${alarm.after_ms} ms`,
  ]
  return `| ${columns.join(' | ')} |`
}

/** Text in a cell: nothing of it ends the cell or becomes markup. */
const cell = (text: string): string => clean(text).replace(/[\\|<>`*_[\]]/g, '\\$&')
const code = (text: string): string => `\`${clean(text).replaceAll('`', "'")}\``
