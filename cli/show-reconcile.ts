import { FINDINGS, type Finding } from '../server/audit/reconcile/findings.js'
import type { Suggestion } from '../server/audit/reconcile/narrow.js'
import type { IssuanceReport, Report } from '../server/audit/reconcile/report.js'
import { clean, fields, sayInstant, table } from './output.js'

const VERDICTS: Readonly<Record<Report['verdict'], string>> = {
  clean: 'CLEAN: every call on the roles of Writ has its issuance.',
  alarm: 'ALARM: what AWS saw and what the record says do not fit.',
  unreadable: 'NO VERDICT: not everything could be read.',
}

/** A report for a human: the verdict first, then why. */
export function showReport(report: Report): string {
  return [
    VERDICTS[report.verdict],
    summary(report),
    section('Not read', report.problems.map(sayProblem)),
    ...report.findings.map(showFinding),
    issuanceTable(report.issuances),
    ...report.suggestions.map(showSuggestion),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

function summary(report: Report): string {
  const { period, records, files, issuances } = report
  const count = (use: IssuanceReport['use']) => issuances.filter((one) => one.use === use).length
  const makers = Object.entries(report.made_by).map(([who, times]) => `${who} (${times})`)
  return fields([
    ['Read', `${records} records in ${files} files; ${report.unreadable} problems`],
    ['Not judged', notJudged(report)],
    ['Period', period === null ? null : `${sayInstant(period.first)} to ${sayInstant(period.last)}`],
    ['Roles', String(report.roles)],
    [
      'Issuances',
      `${count('used')} used, ${count('idle')} idle, ${count('undelivered')} undelivered, ${count('not_covered')} outside the period`,
    ],
    ['Sessions made by', makers.length === 0 ? null : makers.join('\n')],
    [
      'Missing logs',
      report.accounts_missing.length === 0
        ? null
        : `there were sessions in account ${report.accounts_missing.join(', ')} and there is no record from its log`,
    ],
    ['Skipped files', report.skipped.length === 0 ? null : report.skipped.join('\n')],
  ])
}

function notJudged({ duplicates, insights, digest_files, outside_period }: Report): string | null {
  const all = [
    [duplicates, 'delivered twice'],
    [insights, 'Insights records'],
    [digest_files, 'digest files'],
    [outside_period, 'outside the period asked for'],
  ] as const
  const said = all.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`)
  return said.length === 0 ? null : said.join(', ')
}

const sayProblem = ({ file, record, problem }: Report['problems'][number]): string =>
  `${file}${record === undefined ? '' : `, record ${record}`}: ${problem}`

function showFinding(finding: Finding): string {
  const calls = Object.entries(finding.calls).map(([name, count]) => `${name} ${count}`)
  const examples = finding.examples.map(({ event_id, ...place }) =>
    sayProblem({ ...place, problem: event_id }),
  )
  return [
    `${finding.alarm ? 'ALARM' : 'Note'}: ${FINDINGS[finding.kind].title} [${finding.kind}]`,
    fields([
      ['What', finding.detail],
      ['Issuance', finding.issuance],
      ['Agent', finding.agent],
      ['Role', finding.role],
      ['Session', finding.session],
      ['Access key', finding.access_key_id],
      ['Events', `${finding.events}, ${sayInstant(finding.first)} to ${sayInstant(finding.last)}`],
      ['Calls', calls.join(', ')],
      ['From', finding.source_ips.length === 0 ? null : finding.source_ips.join(', ')],
      ['Such as', examples.join('\n')],
    ]),
  ].join('\n')
}

function issuanceTable(issuances: readonly IssuanceReport[]): string {
  const shown = issuances.filter(({ use }) => use !== 'not_covered')
  return table(
    [
      'ISSUANCE',
      'USE',
      'AGENT',
      'ENVIRONMENT',
      'SCOPES',
      'CALLS',
      'DENIED',
      'AFTER STOP',
      'FIRST',
      'LAST',
      'FROM',
      'CALLED',
    ],
    shown.map((one) => [
      one.issuance,
      one.use === 'undelivered' ? one.state : one.use,
      one.agent,
      one.environment,
      one.scopes.join(','),
      String(one.calls),
      String(one.denied),
      one.stopped === null ? '-' : String(one.calls_after_stop),
      one.first === null ? '-' : sayInstant(one.first),
      one.last === null ? '-' : sayInstant(one.last),
      few(one.source_ips),
      Object.entries(one.actions)
        .map(([name, { calls }]) => `${name} ${calls}`)
        .join(', ') || '-',
    ]),
    'No issuances in the period.',
  )
}

/** A cell stays a cell; --json has them all. */
const few = (values: readonly string[]): string =>
  values.length === 0
    ? '-'
    : `${values.slice(0, 3).join(',')}${values.length > 3 ? `,+${values.length - 3}` : ''}`

function showSuggestion(one: Suggestion): string {
  const by = (record: Readonly<Record<string, readonly string[]>>) =>
    Object.entries(record).map(([name, actions]) => `${name}: ${actions.join(', ')}`)
  const wildcards = Object.entries(one.wildcards).flatMap(([scope, patterns]) =>
    Object.entries(patterns).map(
      ([pattern, actions]) => `${scope}: ${pattern} only for ${actions.join(', ')}`,
    ),
  )
  const rows = [
    ['Never asked for', one.scopes_never_requested],
    ['Never used', one.scopes_never_used],
    ['Actions never used', by(one.actions_never_used)],
    ['Wildcards', wildcards],
    [
      'Nothing to see',
      one.not_visible.map((action) => `${action} (no data events of this service in the logs)`),
    ],
    ['In no scope', one.outside_scopes],
  ] as const
  const said = rows.flatMap(([name, lines]) =>
    lines.length === 0 ? [] : [[name, lines.join('\n')] as const],
  )
  if (said.length === 0) return ''
  const title = `To narrow: ${one.agent} in ${one.environment}, by ${one.issuances} issuances`
  return `${clean(title)}\n${fields(said)}`
}

const section = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `${title}:\n${lines.map((line) => `  ${clean(line)}`).join('\n')}`
