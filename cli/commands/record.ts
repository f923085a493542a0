import { type Command, InvalidArgumentError } from 'commander'
import type { Issuance, LogEvent, Page } from '../api.js'
import type { BrokerClient, Query } from '../client.js'
import { parseCount } from '../duration.js'
import { usageError } from '../exit.js'
import { type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, note } from '../output.js'
import { eventTable, issuanceTable, showIssuance } from '../show-record.js'

/** Filters of both listings: the option, the parameter it becomes, and what it finds. */
const COMMON = [
  ['--agent <name>', 'agent', 'of this agent'],
  ['--env <name>', 'environment', 'in this environment'],
  ['--tier <tier>', 'tier', 'in environments of this tier'],
  ['--human <name>', 'human', 'on behalf of this human'],
  ['--scope <name>', 'scope', 'this scope was asked for'],
  ['--action <name>', 'action', 'a scope asked for allows this IAM action'],
  ['--role <arn>', 'role', 'on this IAM role'],
  ['--state <state>', 'state', 'issuances that are intended, issued, failed or abandoned'],
  ['--grant <id>', 'grant', 'on this grant'],
  ['--access-key <id>', 'access_key', 'with this AWS access key id, as CloudTrail shows it'],
  ['--network <address>', 'network', 'asked for from this address or CIDR block'],
  ['--code <code>', 'code', 'failed or refused with this code'],
  ['--since <instant>', 'since', 'from this instant on (ISO 8601)'],
  ['--until <instant>', 'until', 'before this instant (ISO 8601)'],
] as const

const OF_EVENTS = [
  ['--kind <kind>', 'kind', 'of this kind, such as issuance.denied'],
  ...COMMON,
  ['--operator <name>', 'operator', 'of this operator'],
  ['--issuance <id>', 'issuance', 'of this issuance'],
  ['--request <id>', 'request', 'of this grant request'],
] as const

type Filters = readonly (readonly [flags: string, parameter: string, finds: string])[]

interface ListOptions extends BrokerOptions {
  readonly limit: number
  readonly before?: string
  readonly total?: boolean
  readonly format?: string
  readonly out?: string
  readonly personal?: boolean
  /** The filters, by the long name of their option. */
  readonly [option: string]: unknown
}

interface FollowOptions {
  readonly follow?: boolean
  readonly after?: string
  readonly kind?: string
  readonly agent?: string
  readonly env?: string
}

/** What the security role reads. */
export function recordCommands(program: Command): void {
  const issuances = program
    .command('issuances')
    .summary('security: who was issued what, why, and on whose word')
    .description('Issuances, newest first.')
    .usage('[options]')

  const listing = issuances
    .command('list', { isDefault: true })
    .summary('list them (what `writ issuances` does by itself)')
  review(listing, COMMON, ['ndjson', 'csv']).action(async (options: ListOptions) => {
    await list<Issuance>(options, '/v1/issuances', COMMON, issuanceTable)
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

  const events = program
    .command('events')
    .summary('security: entries of the log')
    .description('Entries of the log, newest first. --json has each entry whole, with its hash.')
  events
    .option('--follow', 'print entries as they are recorded, one a line, until stopped')
    .option('--after <id>', 'with --follow: begin after this id or index; -1 is the first entry')
  review(events, OF_EVENTS, ['ndjson', 'csv', 'ocsf']).action(
    async (options: ListOptions & FollowOptions) => {
      if (options.follow === true) {
        const { followEvents } = await import('../follow.js')
        await followEvents(connect('operator', options), options)
        return
      }
      await list<LogEvent>(options, '/v1/events', OF_EVENTS, eventTable)
    },
  )
}

function review(command: Command, filters: Filters, formats: readonly string[]): Command {
  onBroker(command, 'operator')
  for (const [flags, , finds] of filters) command.option(flags, finds)
  return command
    .option('--limit <count>', 'how many', parseCount, 50)
    .option('--before <cursor>', 'the page after the one that said so')
    .option('--total', 'also how many there are')
    .option('--format <format>', `all of them, oldest first, as ${formats.join(', ')} into --out`, (text) => {
      if (formats.includes(text)) return text
      throw new InvalidArgumentError(`Give one of ${formats.join(', ')}.`)
    })
    .option('--out <file>', 'where --format writes; must not exist')
    .option('--personal', 'with --format or --follow: also what the record says of people')
}

async function list<T>(
  options: ListOptions,
  path: string,
  filters: Filters,
  show: (items: readonly T[]) => string,
): Promise<void> {
  const query = queryOf(options, filters)
  const { broker } = connect('operator', options)
  if (options.format !== undefined || options.out !== undefined || options.personal === true) {
    await exportTo(broker, options, `${path}/export`, query)
    return
  }
  const page = await wholePage<T>(broker, path, query, options)
  const { total } =
    options.total === true ? await broker.get<Page<T>>(path, { ...query, limit: 1, total: 'true' }) : {}
  answer(options, total === undefined ? page : { ...page, total }, () => show(page.items))
  if (total !== undefined && options.json !== true) {
    note(`Total: ${total.exact ? '' : 'about '}${total.count}`)
  }
  sayMore(options, page)
}

const MOST_A_PAGE = 500

/** The broker ends a page early rather than look for what is rare for long; a reader wants it whole. */
async function wholePage<T>(
  broker: BrokerClient,
  path: string,
  query: Query,
  { limit, before }: ListOptions,
): Promise<Page<T>> {
  const at = (from: string | undefined, wanted: number) =>
    broker.get<Page<T>>(path, { ...query, limit: Math.min(wanted, MOST_A_PAGE), before: from })
  let page = await at(before, limit)
  while (page.next !== null && page.items.length < limit) {
    const { items, next } = await at(page.next, limit - page.items.length)
    page = { ...page, items: [...page.items, ...items], next }
  }
  return page
}

async function exportTo(
  broker: BrokerClient,
  options: ListOptions,
  path: string,
  query: Query,
): Promise<void> {
  const { format, out, personal } = options
  if (format === undefined || out === undefined) throw usageError('--format and --out go together.')
  const parameters = new URLSearchParams({ format })
  if (personal === true) parameters.set('personal', 'true')
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value))
  }
  const bytes = await broker.download(`${path}?${parameters}`, out)
  answer(options, { file: out, bytes, format }, () => `${out}, ${bytes} bytes.`)
}

function queryOf(options: ListOptions, filters: Filters): Query {
  return Object.fromEntries(
    filters.map(([flags, parameter]) => {
      const long = /^--([a-z-]+)/.exec(flags)?.[1] ?? ''
      const value = options[long.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())]
      return [parameter, typeof value === 'string' ? value : undefined]
    }),
  )
}

/** Where the next page begins; --json has it in `next`. */
export function sayMore(options: BrokerOptions, { next }: Page<unknown>): void {
  if (next !== null && options.json !== true) note(`More: --before '${next}'`)
}
