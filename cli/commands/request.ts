import type { Command } from 'commander'
import type { GrantRequest, PrefilledRequest } from '../api.js'
import { parseCount, parseDuration } from '../duration.js'
import { asking, type BrokerOptions, connect, onBroker } from '../options.js'
import { answer } from '../output.js'
import { showRequest } from '../show-grant.js'
import { orNotGranted, sayPending, waitForDecision } from '../waiting.js'

interface RequestOptions extends BrokerOptions {
  readonly env: string
  readonly scope: readonly string[]
  readonly reason: string
  readonly uses: number
  readonly for: number
  readonly ttl?: number
  readonly ticket?: string
  readonly notBefore?: string
  readonly wait?: boolean
}

/** The agent's side of grants. */
export function requestCommands(program: Command): void {
  const request = program
    .command('request')
    .summary('ask a human for a grant, follow it, take it back')
    .description(
      'Ask a human for a grant. The same wish asked again while it is pending is the same request.',
    )
    .usage('--env <name> --scope <name> --reason <text> [options]')

  onBroker(asking(request.command('create', { isDefault: true })), 'agent')
    .summary('ask for a grant (what `writ request` does by itself)')
    .requiredOption('--reason <text>', 'why: the approver reads this')
    .option('--uses <count>', 'how many sessions may be started on the grant', parseCount, 1)
    .option('--for <duration>', 'how long the grant lives once approved: 1h, 2d', parseDuration, 3600)
    .option('--ttl <duration>', 'how long one session may last', parseDuration)
    .option('--ticket <reference>', 'reference to a ticket')
    .option('--not-before <instant>', 'when the grant begins, ISO 8601 in UTC')
    .option('--wait', 'wait for the decision')
    .action(async (options: RequestOptions) => {
      const { broker } = connect('agent', options)
      const body: PrefilledRequest & { not_before?: string } = {
        environment: options.env,
        scopes: options.scope,
        reason: options.reason,
        uses: options.uses,
        valid_for: options.for,
        ...(options.ttl === undefined ? {} : { ttl: options.ttl }),
        ...(options.ticket === undefined ? {} : { ticket: options.ticket }),
        ...(options.notBefore === undefined ? {} : { not_before: options.notBefore }),
      }
      const opened = await broker.send<GrantRequest>('POST', '/v1/grant-requests', body)
      await follow(opened, options)
    })

  onBroker(request.command('status'), 'agent')
    .summary('where a request of yours stands')
    .argument('<id>', 'id of the request')
    .option('--wait', 'wait for the decision')
    .action(async (id: string, options: BrokerOptions & { wait?: boolean }) => {
      const { broker } = connect('agent', options)
      await follow(await broker.get<GrantRequest>(`/v1/grant-requests/${encodeURIComponent(id)}`), options)
    })

  onBroker(request.command('withdraw'), 'agent')
    .summary('take a pending request of yours back')
    .argument('<id>', 'id of the request')
    .action(async (id: string, options: BrokerOptions) => {
      const { broker } = connect('agent', options)
      const path = `/v1/grant-requests/${encodeURIComponent(id)}`
      const withdrawn = await broker.send<GrantRequest>('DELETE', path)
      answer(options, withdrawn, () => `Grant request ${withdrawn.id} is withdrawn.`)
    })
}

/** Shows the request; with --wait when it is decided, and the exit code says how. */
async function follow(request: GrantRequest, options: BrokerOptions & { wait?: boolean }): Promise<void> {
  if (options.wait !== true) {
    answer(options, request, () => showRequest(request))
    return
  }
  const { broker } = connect('agent', options)
  if (request.state === 'pending') sayPending(request)
  const decided = request.state === 'pending' ? await waitForDecision(broker, request.id) : request
  orNotGranted(decided)
  answer(options, decided, () => showRequest(decided))
}
