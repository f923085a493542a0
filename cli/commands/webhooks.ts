import type { Command } from 'commander'
import { CliError, EXIT } from '../exit.js'
import { type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, sayInstant, table } from '../output.js'

interface Webhook {
  readonly name: string
  readonly origin: string
  readonly state: string
  readonly behind: number | null
  readonly attempts: number
  readonly next_attempt_at: string | null
  readonly last_failure: string | null
  readonly last_success_at: string | null
  readonly disabled_why: string | null
}

/** Where the webhooks of the policy are, and what gets one going again. */
export function webhookCommands(program: Command): void {
  const webhooks = program
    .command('webhooks')
    .summary('security and operators: who is told of entries, and whether it works')
    .description('Webhooks of the policy: how far each is, and what keeps it.')
    .usage('[options]')

  onBroker(webhooks.command('list', { isDefault: true }), 'operator')
    .summary('list them (what `writ webhooks` does by itself)')
    .action(async (options: BrokerOptions) => {
      const { broker } = connect('operator', options)
      const page = await broker.get<{ items: readonly Webhook[] }>('/v1/webhooks')
      answer(options, page, () => shown(page.items))
    })

  onBroker(webhooks.command('enable'), 'operator')
    .summary('operators: go on where a webhook stopped, now')
    .argument('<name>', 'name of the webhook')
    .action(async (name: string, options: BrokerOptions) => {
      const { broker } = connect('operator', options)
      const path = `/v1/webhooks/${encodeURIComponent(name)}/enable`
      const webhook = await broker.send<Webhook>('POST', path)
      answer(options, webhook, () => shown([webhook]))
    })

  onBroker(webhooks.command('test'), 'operator')
    .summary('operators: send one event that is no entry')
    .argument('<name>', 'name of the webhook')
    .action(async (name: string, options: BrokerOptions) => {
      const { broker } = connect('operator', options)
      const path = `/v1/webhooks/${encodeURIComponent(name)}/test`
      const result = await broker.send<{ delivered: boolean; failure: string | null }>('POST', path)
      if (!result.delivered) {
        throw new CliError(EXIT.unexpected, {
          title: 'Not delivered',
          code: 'webhook_test_failed',
          detail: `The test event was not delivered: ${result.failure ?? 'unknown'}.`,
          next: 'docs/webhooks.md says what each word means.',
        })
      }
      answer(options, result, () => 'Delivered.')
    })
}

const shown = (webhooks: readonly Webhook[]): string =>
  table(
    ['WEBHOOK', 'TO', 'STATE', 'BEHIND', 'FAILED', 'WHY', 'NEXT ATTEMPT', 'LAST DELIVERED'],
    webhooks.map((one) => [
      one.name,
      one.origin,
      one.state,
      one.behind === null ? '-' : String(one.behind),
      String(one.attempts),
      one.disabled_why ?? one.last_failure ?? '-',
      one.next_attempt_at === null ? '-' : sayInstant(one.next_attempt_at),
      one.last_success_at === null ? '-' : sayInstant(one.last_success_at),
    ]),
    'No webhooks.',
  )
