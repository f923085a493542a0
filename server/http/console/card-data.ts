import type { Card, PastEvent } from '../../../web/pages/request.js'
import { STATES } from '../../../web/pages/requests.js'
import { decisionCode } from '../../audit/proofs/decision-code.js'
import { listIssuances } from '../../audit/review/lists.js'
import type { Database } from '../../db/pool.js'
import { approvals } from '../../decision/decide.js'
import { breakGlassSeconds, mayBreakGlass } from '../../grants/break-glass.js'
import type { GrantDeps } from '../../grants/request.js'
import { listGrantRequests, openedEntry } from '../../grants/store.js'
import type { GrantRequestView } from '../../grants/types.js'
import { permissionsOf } from '../../issuance/plan.js'
import type { Agent, Environment, Operator, PolicySet, PolicyStatement, Scope } from '../../types.js'
import { additions, type Known, marksOf, type Objection, objectionTo } from './card.js'

const PAST = 10

/** Everything a human needs to decide on a request, read together. */
export async function cardOf(
  deps: Pick<GrantDeps, 'database' | 'keys' | 'now'>,
  policySet: PolicySet,
  operator: Operator,
  request: GrantRequestView,
): Promise<Card> {
  const agent = policySet.agents.get(request.agent)
  const environment = policySet.environments.get(request.environment)
  const scopes = request.scopes.flatMap((name) => policySet.scopes.get(name) ?? [])
  const now = deps.now()
  const [opened, known, past, keys] = await Promise.all([
    openedEntry(deps.database, request.id),
    knownOf(deps.database, request),
    pastOf(deps.database, request),
    deps.keys.of(operator.name),
  ])
  const free =
    agent === undefined || environment === undefined ? [] : withoutGrant(policySet, agent, environment)
  const base = agent === undefined || environment === undefined ? [] : permitted(agent, environment, free)
  const objection = objectionTo(request, operator, policySet, agent, environment, keys.length)
  return {
    request,
    tier: environment?.tier ?? 'unknown',
    owner: agent === undefined ? 'in no policy document any more' : ownerText(agent),
    scopes: request.scopes.map((name) => {
      const scope = policySet.scopes.get(name)
      return { name, describe: scope?.describe ?? name, levels: [...(scope?.levels ?? [])].sort() }
    }),
    marks: marksOf(request, scopes, policySet, known, now),
    ...additions(base, request.permissions),
    without: free.map(({ name }) => name),
    past,
    rule: ruleOf(request, environment, scopes),
    code: decisionCode(request),
    shown: {
      document: fixedFields(request, environment, agent, opened),
      personal: {
        human: request.on_behalf_of?.human ?? null,
        human_how: request.on_behalf_of?.how ?? null,
        reason: request.reason,
        ticket: request.ticket,
      },
    },
    ...(objection === undefined ? {} : { objection }),
    ...(environment !== undefined && mayBreakHere(operator, environment, request, scopes, objection)
      ? { breakGlassSeconds: breakGlassSeconds(environment, request.valid_seconds) }
      : {}),
  }
}

/** Breaking the glass lifts the quorum and who approves where; all else holds, and nothing is destroyed by one alone. */
const mayBreakHere = (
  operator: Operator,
  environment: Environment,
  request: GrantRequestView,
  scopes: readonly Scope[],
  objection: Objection | undefined,
): boolean =>
  request.state === 'pending' &&
  operator.roles.has('approver') &&
  mayBreakGlass(environment, operator) &&
  !scopes.some((scope) => scope.destroys) &&
  (objection === undefined || objection.code === 'approver_not_allowed')

/** The fields of a DecisionDocument that are the same whoever signs it. web/browser/decide.ts compares each. */
function fixedFields(
  request: GrantRequestView,
  environment: Environment | undefined,
  agent: Agent | undefined,
  opened: Awaited<ReturnType<typeof openedEntry>>,
): Readonly<Record<string, unknown>> {
  const network = agent?.environments.get(request.environment)?.network
  return {
    request: request.id,
    request_leaf: opened?.leaf ?? null,
    personal: opened?.commitment ?? null,
    agent: request.agent,
    environment: request.environment,
    tier: environment?.tier ?? null,
    account: request.account,
    role_arn: request.role_arn,
    scopes: request.scopes,
    permissions: request.permissions,
    permissions_sha256: request.permissions_sha256,
    policy_digest: request.policy_digest,
    max_uses: request.max_uses,
    valid_seconds: request.valid_seconds,
    max_session_seconds: request.max_session_seconds,
    not_before: request.not_before,
    network: network === undefined ? null : network.kind === 'caller' ? 'caller' : network.cidrs,
    approvals_needed: request.approvals_needed,
  }
}

const ownerText = ({ owner }: Agent): string =>
  owner.kind === 'team' ? `of team ${owner.name}` : `of ${owner.name}`

/** What the agent may have there with nobody being asked. */
function withoutGrant(policySet: PolicySet, agent: Agent, environment: Environment): readonly Scope[] {
  const names = agent.environments.get(environment.name)?.scopes ?? []
  return names
    .flatMap((name) => policySet.scopes.get(name) ?? [])
    .filter(
      (scope) => approvals(environment, [scope]) === 0 && (!scope.destroys || environment.tier === 'sandbox'),
    )
}

/** Rendered one by one: a scope that needs a claim we do not have here must not hide the others. */
function permitted(
  agent: Agent,
  environment: Environment,
  scopes: readonly Scope[],
): readonly PolicyStatement[] {
  return scopes.flatMap((scope) => {
    const rendered = permissionsOf({ agent, environment, scopes: [scope] }, { claims: {} })
    return 'refusal' in rendered ? [] : rendered.statements
  })
}

function ruleOf(
  request: GrantRequestView,
  environment: Environment | undefined,
  scopes: readonly Scope[],
): string {
  if (environment === undefined) return 'The environment is not in the policy any more.'
  const what =
    environment.tier === 'staging'
      ? 'promotes'
      : scopes.some((scope) => scope.destroys)
        ? 'deletes'
        : 'writes'
  const needed =
    request.approvals_needed === 1 ? 'one approver' : `${request.approvals_needed} different approvers`
  return environment.name === environment.tier
    ? `Whatever ${what} in ${environment.tier} needs ${needed}.`
    : `${environment.name} is ${environment.tier}: whatever ${what} there needs ${needed}.`
}

async function knownOf(database: Database, request: GrantRequestView): Promise<Known> {
  const [[first], here] = await Promise.all([
    database.query<{ at: Date }>('SELECT at FROM writ.intent WHERE agent = $1 ORDER BY entry_idx LIMIT 1', [
      request.agent,
    ]),
    listIssuances(database, { agent: request.agent, environment: request.environment }, { limit: 1 }),
  ])
  return { firstAt: first?.at, beenThere: here.items.length > 0 }
}

/** Its last issuances and requests together. Nothing personal: an approver need not read the whole record. */
async function pastOf(database: Database, request: GrantRequestView): Promise<readonly PastEvent[]> {
  const [issuances, requests] = await Promise.all([
    listIssuances(database, { agent: request.agent }, { limit: PAST }),
    listGrantRequests(database, { agent: request.agent }, { limit: PAST + 1 }),
  ])
  const events: PastEvent[] = [
    ...issuances.items.map(({ at, environment, scopes, state, issuance }) => ({
      at,
      what: scopes.join(', '),
      href: `/console/history/${issuance}`,
      where: environment,
      outcome: state,
      tone: state === 'issued' ? ('quiet' as const) : ('warn' as const),
    })),
    ...requests
      .filter(({ id }) => id !== request.id)
      .map((one) => ({
        at: one.created_at,
        what: `asked for ${one.scopes.join(', ')}`,
        href: `/console/requests/${one.id}`,
        where: one.environment,
        outcome: STATES[one.state][0],
        tone: STATES[one.state][1],
      })),
  ]
  return events.sort((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, PAST)
}
