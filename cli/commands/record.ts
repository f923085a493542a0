import type { Command } from 'commander'
import type { Issuance, LogEvent, Page } from '../api.js'
import { parseCount } from '../duration.js'
import { type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, fields, note, sayInstant, table } from '../output.js'

interface ReadOptions extends BrokerOptions {
  readonly limit: number
  readonly before?: string
}

interface IssuanceOptions extends ReadOptions {
  readonly agent?: string
  readonly env?: string
  readonly human?: string
  readonly state?: string
  readonly grant?: string
  readonly accessKey?: string
}

interface EventOptions extends ReadOptions {
  readonly kind?: string
  readonly agent?: string
  readonly env?: string
  readonly human?: string
  readonly operator?: string
  readonly issuance?: string
  readonly request?: string
  readonly grant?: string
  readonly code?: string
}

/** What the security role reads. */
export function recordCommands(program: Command): void {
  const issuances = program
    .command('issuances')
    .summary('security: who was issued what, why, and on whose word')
    .description('Issuances, newest first.')
    .usage('[options]')

  paged(issuances.command('list', { isDefault: true }))
    .summary('list them (what `writ issuances` does by itself)')
    .option('--agent <name>', 'to this agent')
    .option('--env <name>', 'in this environment')
    .option('--human <name>', 'on behalf of this human')
    .option('--state <state>', 'intended, issued, failed or abandoned')
    .option('--grant <id>', 'on this grant')
    .option('--access-key <id>', 'with this AWS access key id, as CloudTrail shows it')
    .action(async (options: IssuanceOptions) => {
      const { broker } = connect('operator', options)
      const { agent, env: environment, human, state, grant, accessKey: access_key, limit, before } = options
      const query = { agent, environment, human, state, grant, access_key, limit, before }
      const page = await broker.get<Page<Issuance>>('/v1/issuances', query)
      answer(options, page, () =>
        table(
          [
            'ISSUANCE',
            'AT',
            'STATE',
            'AGENT',
            'ENVIRONMENT',
            'SCOPES',
            'FOR',
            'GRANT',
            'ACCESS KEY',
            'REASON',
          ],
          page.items.map((one) => [
            one.issuance,
            sayInstant(one.at),
            one.state,
            one.agent,
            one.environment,
            one.scopes.join(','),
            one.human ?? '-',
            one.grant ?? '-',
            one.access_key_id ?? '-',
            one.reason,
          ]),
          'No such issuances.',
        ),
      )
      sayMore(options, page)
    })

  onBroker(issuances.command('show'), 'operator')
    .summary('one issuance and all that the log says of it')
    .argument('<id>', 'id of the issuance')
    .action(async (id: string, options: BrokerOptions) => {
      const { broker } = connect('operator', options)
      const path = `/v1/issuances/${encodeURIComponent(id)}`
      const found = await broker.get<{ issuance: Issuance; events: readonly LogEvent[] }>(path)
      answer(options, found, () => `${showIssuance(found.issuance)}\n\n${eventTable(found.events)}`)
    })

  paged(program.command('events'))
    .summary('security: entries of the log')
    .description('Entries of the log, newest first. --json has each entry whole, with its hash.')
    .option('--kind <kind>', 'of this kind, such as issuance.denied')
    .option('--agent <name>', 'of this agent')
    .option('--env <name>', 'in this environment')
    .option('--human <name>', 'of this human')
    .option('--operator <name>', 'of this operator')
    .option('--issuance <id>', 'of this issuance')
    .option('--request <id>', 'of this grant request')
    .option('--grant <id>', 'of this grant')
    .option('--code <code>', 'refused with this code')
    .action(async (options: EventOptions) => {
      const { broker } = connect('operator', options)
      const { kind, agent, env: environment, human, operator, issuance, request, grant, code } = options
      const { limit, before } = options
      const query = {
        kind,
        agent,
        environment,
        human,
        operator,
        issuance,
        request,
        grant,
        code,
        limit,
        before,
      }
      const page = await broker.get<Page<LogEvent>>('/v1/events', query)
      answer(options, page, () => eventTable(page.items))
      sayMore(options, page)
    })
}

const paged = (command: Command): Command =>
  onBroker(command, 'operator')
    .option('--limit <count>', 'how many', parseCount, 50)
    .option('--before <cursor>', 'the page after the one that said so')

/** Where the next page begins; --json has it in `next`. */
export function sayMore(options: BrokerOptions, { next }: Page<unknown>): void {
  if (next !== null && options.json !== true) note(`More: --before '${next}'`)
}

function showIssuance(one: Issuance): string {
  return fields([
    ['Issuance', one.issuance],
    ['State', `${one.state}${one.error_code === null ? '' : ` (${one.error_code})`}`],
    ['At', sayInstant(one.at)],
    ['Agent', one.agent],
    ['Subject', one.subject],
    ['Acting for', one.human === null ? null : `${one.human} (${one.human_how ?? '?'})`],
    ['Environment', one.environment],
    ['Scopes', one.scopes.join(', ')],
    ['Sensitivity', one.sensitivity],
    ['Role', one.role],
    ['Access key', one.access_key_id],
    ['Until', one.expires_at === null ? null : sayInstant(one.expires_at)],
    ['Grant', one.grant === null ? null : `${one.grant}, use ${one.grant_use ?? '?'}`],
    ['Asked from', one.source_ip],
    ['Ticket', one.ticket],
    ['Policy', one.policy_digest],
    ["Reason (agent's own words)", JSON.stringify(one.reason)],
  ])
}

function eventTable(events: readonly LogEvent[]): string {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '-')
  return table(
    ['INDEX', 'AT', 'KIND', 'WHO', 'ENVIRONMENT', 'CODE', 'ABOUT'],
    events.map(({ index, repeats, body }) => [
      String(index),
      sayInstant(text(body.at)),
      `${text(body.kind)}${repeats === null || repeats === 0 ? '' : ` (+${repeats} repeats)`}`,
      text(body.operator ?? body.agent),
      text(body.environment),
      text(body.code),
      text(body.issuance_id ?? body.grant_id ?? body.request_id),
    ]),
    'No such entries.',
  )
}
