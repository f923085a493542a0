import { type Command, Option } from 'commander'
import type { Page } from '../api.js'
import { parseCount } from '../duration.js'
import { type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, clean, sayInstant, table } from '../output.js'
import { sayMore } from './record.js'

interface BreakGlass {
  readonly grant_id: string
  readonly agent: string
  readonly environment: string
  readonly scopes: readonly string[]
  readonly operator: string
  /** Null once erased. */
  readonly comment: string | null
  readonly at: string
  readonly review_due: string
  readonly overdue: boolean
  readonly reviewed_by: string | null
  readonly verdict: string | null
}

interface ListOptions extends BrokerOptions {
  readonly all?: boolean
  readonly limit: number
  readonly before?: string
}

interface ReviewOptions extends BrokerOptions {
  readonly verdict: string
  readonly comment: string
}

/** What was granted in an emergency by one human alone, and what somebody else says of it. */
export function breakGlassCommands(program: Command): void {
  const group = program
    .command('break-glass')
    .summary('operators: what was granted in an emergency, and its review')
    .description(
      'Grants that one human made alone in an emergency. Somebody else reviews each within 24 hours; while one is overdue, nobody breaks the glass in its environment.',
    )

  onBroker(group.command('list'), 'operator')
    .summary('what waits for a review, newest first')
    .option('--all', 'reviewed ones too')
    .option('--limit <count>', 'how many', parseCount, 50)
    .option('--before <cursor>', 'the page after the one that said so')
    .action(async (options: ListOptions) => {
      const { broker } = connect('operator', options)
      const { all, limit, before } = options
      const reviewed = all === true ? undefined : 'false'
      const page = await broker.get<Page<BreakGlass>>('/v1/break-glass', { reviewed, limit, before })
      answer(options, page, () => shown(page.items))
      sayMore(options, page)
    })

  onBroker(group.command('review'), 'operator')
    .summary("say whether somebody else's was justified; once")
    .argument('<grant>', 'id of the grant')
    .addOption(
      new Option('--verdict <verdict>', 'what you found')
        .choices(['justified', 'not-justified'])
        .makeOptionMandatory(),
    )
    .requiredOption('--comment <text>', 'what you looked at, for the record')
    .action(async (grant: string, options: ReviewOptions) => {
      const { broker } = connect('operator', options)
      const { verdict, comment } = options
      const path = `/v1/break-glass/${encodeURIComponent(grant)}/review`
      const view = await broker.send<BreakGlass>('POST', path, { verdict, comment })
      answer(
        options,
        view,
        () => `Reviewed: grant ${view.grant_id} by ${clean(view.operator)} was ${verdict}.`,
      )
    })
}

const shown = (items: readonly BreakGlass[]): string =>
  table(
    ['GRANT', 'BY', 'AGENT', 'ENVIRONMENT', 'SCOPES', 'AT', 'REVIEW', 'REASON'],
    items.map((one) => [
      one.grant_id,
      one.operator,
      one.agent,
      one.environment,
      one.scopes.join(','),
      sayInstant(one.at),
      one.verdict === null
        ? `${one.overdue ? 'OVERDUE since' : 'until'} ${sayInstant(one.review_due)}`
        : `${one.verdict}, by ${one.reviewed_by ?? '?'}`,
      one.comment ?? '(erased)',
    ]),
    'Nothing.',
  )
