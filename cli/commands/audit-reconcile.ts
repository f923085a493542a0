import { type Command, InvalidArgumentError } from 'commander'
import type { Report } from '../../server/audit/reconcile/report.js'
import { clientEnvironment } from '../environment.js'
import { EXIT, usageError } from '../exit.js'
import { type BrokerOptions, onBroker } from '../options.js'
import { answer } from '../output.js'
import { findTarget } from '../target.js'

/** What `writ audit reconcile` ends with; docs/cli.md has the same. */
export const RECONCILE_EXIT: Readonly<Record<Report['verdict'], number>> = {
  clean: EXIT.ok,
  alarm: EXIT.disagrees,
  unreadable: EXIT.unexpected,
}

interface ReconcileOptions extends BrokerOptions {
  readonly issuances?: string
  readonly policies?: string
  readonly role?: readonly string[]
  readonly since?: number
  readonly until?: number
}

export function reconcileCommand(audit: Command): void {
  onBroker(audit.command('reconcile'), 'operator')
    .summary('compare CloudTrail logs with the issuances')
    .description(
      "Compare CloudTrail logs with the record: what each session was used for, and above all calls on Writ's roles that no issuance explains. Exit code 0 when everything fits, 8 when something does not, 1 when something could not be read and nothing else was found.",
    )
    .argument(
      '<files...>',
      'logs as CloudTrail delivers them, .json or NDJSON, gzipped or not, or folders of them',
    )
    .option('--issuances <file>', 'NDJSON of issuances instead of asking the broker; no token needed')
    .option('--policies <folder>', "policy folder: its roles are Writ's (WRIT_POLICIES)")
    .option(
      '--role <arn>',
      "a further role of Writ's, such as one no policy names any more; repeatable",
      another,
    )
    .option(
      '--since <instant>',
      'judge only calls from then on, as 2026-11-01 or 2026-11-01T08:00:00Z',
      instant,
    )
    .option('--until <instant>', 'judge only calls before then', instant)
    .action(async (files: readonly string[], options: ReconcileOptions) => {
      const [{ reconcileFiles }, { showReport }] = await Promise.all([
        import('../reconcile.js'),
        import('../show-reconcile.js'),
      ])
      const { issuances, since, until, role = [] } = options
      const report = await reconcileFiles({
        files,
        policies: policiesOf(options),
        roles: role,
        ...(since === undefined ? {} : { since }),
        ...(until === undefined ? {} : { until }),
        source: issuances === undefined ? { broker: options } : { file: issuances },
      })
      answer(options, report, () => showReport(report))
      process.exitCode = RECONCILE_EXIT[report.verdict]
    })
}

/** Never the example set by default: its roles are not those in the logs, and unknown roles raise no alarm. */
function policiesOf(options: ReconcileOptions): string {
  const env = clientEnvironment()
  const found = options.policies ?? env.policies ?? findTarget(options, env).local?.policies
  if (found !== undefined) return found
  throw usageError(
    "Which roles are Writ's is not known.",
    'Name the policy folder of the broker with --policies or WRIT_POLICIES.',
  )
}

/** A role's name may have a comma, so nothing is split. */
const another = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]

function instant(text: string): number {
  const at = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?Z)?$/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at))
    throw new InvalidArgumentError('Give a day or an instant in UTC: 2026-11-01T08:00:00Z.')
  return at
}
