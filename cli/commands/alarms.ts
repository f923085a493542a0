import type { Command } from 'commander'
import type { LogEvent, Page } from '../api.js'
import { parseCount } from '../duration.js'
import { usageError } from '../exit.js'
import { type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, sayInstant, table } from '../output.js'
import { sayMore } from './record.js'

interface AlarmOptions extends BrokerOptions {
  readonly limit: number
  readonly alarm?: string
  readonly agent?: string
  readonly env?: string
  readonly since?: string
  readonly before?: string
  readonly follow?: boolean
}

const KIND = 'alarm.raised'

/** What somebody should look at, newest first. */
export function alarmCommands(program: Command): void {
  onBroker(program.command('alarms'), 'operator')
    .summary('security: what somebody should look at')
    .description('Alarms, newest first. docs/alarms.md says of each what to do.')
    .option('--alarm <name>', 'only this one, such as red-line-attempt')
    .option('--agent <name>', 'about this agent')
    .option('--env <name>', 'about this environment')
    .option('--since <instant>', 'from this instant on (ISO 8601)')
    .option('--limit <count>', 'how many', parseCount, 20)
    .option('--before <cursor>', 'the page after the one that said so')
    .option('--follow', 'print alarms as they are raised, one a line, until stopped')
    .action(async (options: AlarmOptions) => {
      const connection = connect('operator', options)
      const { limit, alarm, agent, env, since, before, follow, ...rest } = options
      if (follow === true) {
        if (alarm !== undefined || since !== undefined || before !== undefined)
          throw usageError('--follow takes --agent and --env.', 'Leave the others out.')
        const { followEvents } = await import('../follow.js')
        await followEvents(connection, {
          ...rest,
          kind: KIND,
          ...(agent === undefined ? {} : { agent }),
          ...(env === undefined ? {} : { env }),
        })
        return
      }
      const page = await connection.broker.get<Page<LogEvent>>('/v1/events', {
        kind: KIND,
        code: alarm,
        agent,
        environment: env,
        since,
        before,
        limit,
      })
      answer(options, page, () => alarmTable(page.items))
      sayMore(options, page)
    })
}

const alarmTable = (alarms: readonly LogEvent[]): string =>
  table(
    ['INDEX', 'CAUSED AT', 'ALARM', 'AGENT', 'ENVIRONMENT', 'CAUSE', 'AFTER', 'DETAIL'],
    alarms.map(({ index, body }) => [
      String(index),
      sayInstant(text(body.caused_at)),
      text(body.alarm),
      text(body.agent),
      text(body.environment),
      typeof body.cause === 'number' ? String(body.cause) : '-',
      typeof body.delay_ms === 'number' ? `${body.delay_ms} ms` : '-',
      detailOf(body),
    ]),
    'No alarms.',
  )

const text = (value: unknown): string => (typeof value === 'string' ? value : '-')

/** What sets this one apart, in a few words. */
function detailOf(body: LogEvent['body']): string {
  const { alarm, refused_with, denials, within_seconds, networks_known, silent_days, stops, stop, origin } =
    body
  switch (alarm) {
    case 'red-line-attempt':
      return text(refused_with)
    case 'denied-burst':
      return `${denials} or more within ${within_seconds} s`
    case 'new-network':
      return `came from ${networks_known} before`
    case 'silent-agent':
      return `silent for ${silent_days} days`
    case 'stop':
      return `${text(stops)}, stop ${text(stop)}`
    case 'deny-failed':
      return text(body.role_arn)
    case 'checkpoint-late':
      return text(origin)
    default:
      return text(body.issuance_id ?? body.grant_id ?? body.request_id)
  }
}
