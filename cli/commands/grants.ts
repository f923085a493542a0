import type { Command } from 'commander'
import type { Decided, Grant, GrantRequest, Page } from '../api.js'
import { sayDecided } from '../approve.js'
import type { BrokerClient } from '../client.js'
import { confirm } from '../confirm.js'
import type { DecisionWish } from '../decision-document.js'
import { readRequest } from '../decision-link.js'
import { parseCount, parseDuration } from '../duration.js'
import { localKey, signAndSend } from '../local-key.js'
import { asking, type BrokerOptions, connect, onBroker } from '../options.js'
import { answer, note, sayInstant, table } from '../output.js'
import { showGrant, showRequest } from '../show-grant.js'
import type { Target } from '../target.js'
import { sayMore } from './record.js'

interface ListOptions extends BrokerOptions {
  readonly state?: string
  readonly agent?: string
  readonly limit: number
  readonly before?: string
}

interface DecideOptions extends BrokerOptions {
  readonly comment?: string
  readonly yes?: boolean
}

interface CreateOptions extends BrokerOptions {
  readonly agent: string
  readonly env: string
  readonly scope: readonly string[]
  readonly reason: string
  readonly uses: number
  readonly for: number
  readonly ttl?: number
  readonly ticket?: string
}

/** The operator's side of grants. */
export function grantCommands(program: Command): void {
  const grants = program
    .command('grants')
    .summary('operators: decide on grant requests, see and revoke grants')
    .description('What operators do: decide on grant requests, grant unasked, see grants and revoke them.')

  listing(grants.command('requests'))
    .summary('grant requests, newest first')
    .option('--state <state>', 'pending, granted, denied, withdrawn or expired')
    .action(async (options: ListOptions) => {
      const { broker } = connect('operator', options)
      const { state, agent, limit, before } = options
      const page = await broker.get<Page<GrantRequest>>('/v1/grant-requests', { state, agent, limit, before })
      answer(options, page, () =>
        table(
          ['REQUEST', 'STATE', 'AGENT', 'ENVIRONMENT', 'SCOPES', 'ASKED', 'REASON (BY THE AGENT)'],
          page.items.map((one) => [
            one.id,
            one.state,
            one.agent,
            one.environment,
            one.scopes.join(','),
            sayInstant(one.created_at),
            one.reason ?? '(erased)',
          ]),
          'No such requests.',
        ),
      )
      sayMore(options, page)
    })

  listing(grants.command('list'))
    .summary('grants, newest first')
    .option('--state <state>', 'live, not-yet-valid, used-up, expired or revoked')
    .action(async (options: ListOptions) => {
      const { broker } = connect('operator', options)
      const { state, agent, limit, before } = options
      const page = await broker.get<Page<Grant>>('/v1/grants', { state, agent, limit, before })
      answer(options, page, () =>
        table(
          ['GRANT', 'STATE', 'AGENT', 'ENVIRONMENT', 'SCOPES', 'USES', 'UNTIL', 'APPROVED BY'],
          page.items.map((one) => [
            one.id,
            one.state,
            one.agent,
            one.environment,
            one.scopes.join(','),
            `${one.uses}/${one.max_uses}`,
            sayInstant(one.expires_at),
            one.approved_by.join(', '),
          ]),
          'No such grants.',
        ),
      )
      sayMore(options, page)
    })

  onBroker(grants.command('show'), 'operator')
    .summary('one grant, or one grant request')
    .argument('<id>', 'id of a grant or a request')
    .action(async (id: string, options: BrokerOptions) => {
      const { broker } = connect('operator', options)
      const [grant] = (await broker.get<Page<Grant>>('/v1/grants', { id })).items
      if (grant !== undefined) return answer(options, grant, () => showGrant(grant))
      const request = await readRequest(broker, id)
      answer(options, request, () => showRequest(request))
    })

  for (const decision of ['approve', 'deny'] as const) {
    onBroker(grants.command(decision), 'operator')
      .summary(
        decision === 'approve'
          ? 'approve a request, after seeing all of it'
          : 'deny a request: one is enough',
      )
      .argument('<id>', 'id of the request')
      .option('--comment <text>', 'for the record; the agent sees it')
      .option('--yes', 'do not ask for confirmation')
      .action((id: string, options: DecideOptions) => decide(id, decision, options))
  }

  onBroker(asking(grants.command('create')), 'operator')
    .summary('grant without being asked, by the same rules')
    .requiredOption('--agent <name>', 'who gets the grant')
    .requiredOption('--reason <text>', 'why, for the record')
    .option('--uses <count>', 'how many sessions may be started on the grant', parseCount, 1)
    .option('--for <duration>', 'how long the grant lives', parseDuration, 3600)
    .option('--ttl <duration>', 'how long one session may last', parseDuration)
    .option('--ticket <reference>', 'reference to a ticket')
    .action(async (options: CreateOptions) => {
      const { broker, target } = connect('operator', options)
      const opened = await broker.send<Decided>('POST', '/v1/grants', {
        agent: options.agent,
        environment: options.env,
        scopes: options.scope,
        reason: options.reason,
        uses: options.uses,
        valid_for: options.for,
        ...(options.ttl === undefined ? {} : { ttl: options.ttl }),
        ...(options.ticket === undefined ? {} : { ticket: options.ticket }),
      })
      const id = opened.request_id ?? ''
      const signs = opened.grant_id === null && opened.approvals === 0
      const decided = signs
        ? await signLocally(broker, target, options, id, { decision: 'approve' })
        : undefined
      answer(options, decided ?? opened, () =>
        signs && decided === undefined ? sayUnsigned(id) : sayDecided(id, decided ?? opened),
      )
    })

  onBroker(grants.command('revoke'), 'operator')
    .summary('revoke a grant: nothing more is issued on it')
    .argument('<id>', 'id of the grant')
    .requiredOption('--reason <text>', 'why, for the record')
    .action(async (id: string, options: BrokerOptions & { reason: string }) => {
      const { broker } = connect('operator', options)
      const path = `/v1/grants/${encodeURIComponent(id)}/revoke`
      const revoked = await broker.send<Grant>('POST', path, { reason: options.reason })
      answer(options, revoked, () => showGrant(revoked))
    })
}

const listing = (command: Command): Command =>
  onBroker(command, 'operator')
    .option('--agent <name>', 'of this agent only')
    .option('--limit <count>', 'how many', parseCount, 50)
    .option('--before <cursor>', 'the page after the one that said so')

/**
 * Shows what is decided, asks, and sends it: signed with the software key of local mode where there is one, else with
 * the token and the pins of exactly what was shown, which production does not take.
 */
async function decide(id: string, decision: 'approve' | 'deny', options: DecideOptions): Promise<void> {
  const { broker, target } = connect('operator', options)
  const request = await readRequest(broker, id)
  note(showRequest(request))
  if (options.yes !== true)
    await confirm(decision === 'approve' ? 'Approve all of this?' : 'Deny this request?')
  const path = `/v1/grant-requests/${encodeURIComponent(request.id)}`
  const comment = options.comment === undefined ? {} : { comment: options.comment }
  const signed = await signLocally(broker, target, options, request.id, { decision, ...comment })
  if (signed !== undefined) return answer(options, signed, () => sayDecided(request.id, signed))
  const decided = await broker.send<Decided>('POST', `${path}/decisions`, {
    decision,
    ...comment,
    policy_digest: request.policy_digest,
    permissions_sha256: request.permissions_sha256,
  })
  answer(options, decided, () => sayDecided(request.id, decided))
}

/** Undefined where there is no local mode, or the operator comes with a token of their own. */
async function signLocally(
  broker: BrokerClient,
  { local }: Target,
  { as }: BrokerOptions,
  id: string,
  wish: DecisionWish,
): Promise<Decided | undefined> {
  if (as === undefined || local === undefined) return undefined
  const key = await localKey(local.dataDir, local.consoleUrl, as, broker)
  return signAndSend(broker, key, await readRequest(broker, id), wish)
}

const sayUnsigned = (id: string): string =>
  `Request ${id} waits for a signature: writ approve ${id}, or the console.`
