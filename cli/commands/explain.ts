import type { Command } from 'commander'
import type { Explanation, Left, WhoAmI } from '../api.js'
import { parseDuration, sayDuration } from '../duration.js'
import { clientEnvironment } from '../environment.js'
import { EXIT, usageError } from '../exit.js'
import { asking, type BrokerOptions, collectPairs, connect, onBroker } from '../options.js'
import { answer, fields, sayInstant, table } from '../output.js'
import { sayStatement } from '../show-grant.js'

interface ExplainOptions extends BrokerOptions {
  readonly env: string
  readonly scope: readonly string[]
  readonly ttl?: number
  readonly offline?: boolean
  readonly agent?: string
  readonly policies?: string
  readonly claim?: Readonly<Record<string, string>>
}

/** Asking what one could have: nothing is issued and nothing recorded. */
export function explainCommands(program: Command): void {
  onBroker(program.command('whoami'), 'agent')
    .summary('who the broker takes you for, and what you may ask for')
    .action(async (options: BrokerOptions) => {
      const { broker } = connect('agent', options)
      const me = await broker.get<WhoAmI>('/v1/whoami')
      answer(options, me, () => [showMe(me), scopeTable(me), limitTable(me)].join('\n\n'))
    })

  onBroker(asking(program.command('explain')), 'agent')
    .summary('a dry run: would these scopes be allowed, and as what session')
    .description(
      'A dry run of the decision, by the broker or offline from a policy folder. Exit code 0: allowed; 3: denied; 4: a human must grant it.',
    )
    .option('--ttl <duration>', 'how long the session should last', parseDuration)
    .option('--offline', 'decide here, from a policy folder and without any grant; needs --agent')
    .option('--agent <name>', 'with --offline: the agent to decide for')
    .option('--policies <folder>', 'with --offline: default WRIT_POLICIES, else the example set')
    .option('--claim <name=value>', "with --offline: a claim of the agent's token; repeatable", collectPairs)
    .action(async (options: ExplainOptions) => {
      const explained = options.offline === true ? await offline(options) : await online(options)
      answer(options, explained, () => showExplanation(explained, options))
      process.exitCode = EXITS[explained.outcome]
    })
}

const EXITS = { allow: EXIT.ok, deny: EXIT.refused, 'needs-grant': EXIT.needsGrant } as const

async function online(options: ExplainOptions): Promise<Explanation> {
  if (options.agent !== undefined || options.policies !== undefined || options.claim !== undefined) {
    throw usageError('--agent, --policies and --claim go with --offline: the broker decides for your token.')
  }
  const { broker } = connect('agent', options)
  return broker.send<Explanation>('POST', '/v1/explain', {
    environment: options.env,
    scopes: options.scope,
    ...(options.ttl === undefined ? {} : { ttl: options.ttl }),
  })
}

async function offline(options: ExplainOptions): Promise<Explanation> {
  if (options.agent === undefined) throw usageError('--offline needs --agent: there is no token to tell.')
  const [{ explainOffline }, { loadPolicies, policyFolder }] = await Promise.all([
    import('../explain-offline.js'),
    import('../policies.js'),
  ])
  const policySet = await loadPolicies(policyFolder(options.policies, clientEnvironment()))
  return explainOffline(policySet, {
    agent: options.agent,
    environment: options.env,
    scopes: options.scope,
    claims: options.claim ?? {},
    ...(options.ttl === undefined ? {} : { ttlSeconds: options.ttl }),
  })
}

const OUTCOMES = { allow: 'allowed', deny: 'denied', 'needs-grant': 'a human must grant it' } as const

function showExplanation(one: Explanation, { env, scope }: ExplainOptions): string {
  const ask = `writ request --env ${env} --scope ${scope.join(',')} --reason '…'`
  return fields([
    ['Outcome', `${OUTCOMES[one.outcome]}${one.code === undefined ? '' : ` (${one.code})`}`],
    ['Why', one.detail],
    ['Next', one.outcome === 'needs-grant' ? ask : one.next],
    ['Approvals needed', one.approvals_needed ? String(one.approvals_needed) : undefined],
    ['Grant', one.grant],
    ['Role', one.role],
    ['Lasts', one.duration_seconds === undefined ? undefined : sayDuration(one.duration_seconds)],
    ['Session may', one.session_policy?.Statement.map(sayStatement).join('\n')],
    ['Policy', one.policy_digest],
  ])
}

function showMe({ identity, agent, owner, status, policy_digest }: WhoAmI): string {
  const human = identity.on_behalf_of
  return fields([
    ['Agent', `${agent} (${status})`],
    ['Owner', `${owner.kind} ${owner.name}`],
    ['Acting for', human === undefined ? undefined : `${human.human} (${human.how})`],
    ['Subject', identity.subject],
    ['Issuer', identity.issuer],
    ['Token until', sayInstant(identity.expires_at)],
    ['Policy', policy_digest],
  ])
}

function scopeTable({ environments }: WhoAmI): string {
  const rows = environments.flatMap(({ environment, tier, account, scopes }) =>
    scopes.map(({ scope, describe, needs_grant, possible }) => [
      environment,
      tier,
      account,
      scope,
      possible ? (needs_grant ? 'with a grant' : 'yes') : 'never here',
      describe,
    ]),
  )
  return table(['ENVIRONMENT', 'TIER', 'ACCOUNT', 'SCOPE', 'ALLOWED', 'WHAT'], rows, 'No environment.')
}

/** What is left before the broker answers `over_limit`. */
function limitTable({ environments }: WhoAmI): string {
  const say = ({ left, most }: Left) => `${left} of ${most}`
  const rows = environments.map(({ environment, stop, limits }) => [
    environment,
    say(limits.issuances_per_minute),
    say(limits.live_sessions),
    say(limits.scopes_per_hour),
    say(limits.denials_per_hour),
    stop ?? '-',
  ])
  const columns = [
    'LEFT IN',
    'SESSIONS A MINUTE',
    'LIVE SESSIONS',
    'SCOPES AN HOUR',
    'DENIALS AN HOUR',
    'STOPPED BY',
  ]
  return table(columns, rows, 'No environment.')
}
