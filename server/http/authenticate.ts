import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type DenialItem, denialKey, type RecordItem } from '../audit/items.js'
import { seenFrom } from '../audit/personal.js'
import { WritError } from '../errors.js'
import type { Agent, Identity, Operator, OperatorRole, PolicySet } from '../types.js'
import type { SignIns } from './sign-ins.js'

export interface AgentCaller {
  readonly agent: Agent
  readonly identity: Identity
  /** The set the identity was matched in; the decision uses the same one. */
  readonly policySet: PolicySet
}

export interface OperatorCaller {
  readonly operator: Operator
  readonly identity: Identity
  readonly policySet: PolicySet
}

export interface AuthDeps {
  /** Throws `WritError` 401 or 503 only. `bearer-or-bare` also takes the bare token, as AWS SDKs send it. */
  readonly verify: (
    authorization: string | undefined,
    side: 'agents' | 'operators',
    form?: 'bearer' | 'bearer-or-bare',
  ) => Promise<Identity>
  readonly policySet: () => PolicySet
  readonly record: RecordItem
  readonly signIns: SignIns
}

/**
 * Puts every route of this plugin behind an agent's token, before the body is read: nobody unknown gets so far
 * as to be told what is wrong with their request. Answers the function that hands a route its caller.
 */
export function agentsOnly(
  app: FastifyInstance,
  deps: AuthDeps,
  form: 'bearer' | 'bearer-or-bare' = 'bearer',
): (request: FastifyRequest) => AgentCaller {
  const callers = new WeakMap<FastifyRequest, AgentCaller>()
  app.addHook('onRequest', async (request) => {
    callers.set(request, await authenticateAgent(deps, request, form))
  })
  return (request) => known(callers.get(request))
}

/** The same for operators. A route names the roles that open it; one that names none opens to nobody. */
export function operatorsOnly(
  app: FastifyInstance,
  deps: AuthDeps,
): (request: FastifyRequest) => OperatorCaller {
  const callers = new WeakMap<FastifyRequest, OperatorCaller>()
  app.addHook('onRequest', async (request) => {
    const { roles = [] } = request.routeOptions.config
    callers.set(request, await authenticateOperator(deps, request, roles))
  })
  return (request) => known(callers.get(request))
}

function known<T>(caller: T | undefined): T {
  if (caller === undefined) throw new Error('a route was reached without its hook')
  return caller
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Any one of these operator roles opens the route. */
    readonly roles?: readonly OperatorRole[]
  }
}

/** The one agent behind a request. A verified identity that matches none or several is refused and recorded. */
async function authenticateAgent(
  deps: AuthDeps,
  request: FastifyRequest,
  form: 'bearer' | 'bearer-or-bare',
): Promise<AgentCaller> {
  const identity = await deps.verify(request.headers.authorization, 'agents', form)
  const policySet = deps.policySet()
  const [agent, ...more] = policySet.agentsMatching(identity)
  if (agent === undefined) {
    await deps.record(refusedIdentity('identity.refused', 'identity_unknown', identity, request))
    throw new WritError('identity_unknown', 'Your token is valid, and no agent document matches its claims.')
  }
  if (more.length > 0) {
    await deps.record(refusedIdentity('identity.refused', 'identity_ambiguous', identity, request))
    throw new WritError('identity_ambiguous', 'Your token matches more than one agent document.')
  }
  return { agent, identity, policySet }
}

/** The one operator behind a request, holding at least one of `roles`. Agents' tokens fail at their audience. */
async function authenticateOperator(
  deps: AuthDeps,
  request: FastifyRequest,
  roles: readonly OperatorRole[],
): Promise<OperatorCaller> {
  const identity = await deps.verify(request.headers.authorization, 'operators')
  const policySet = deps.policySet()
  const [operator, ...more] = policySet.operatorsMatching(identity)
  // An identity that is an agent's is never an operator's, even if some document says so.
  if (operator === undefined || more.length > 0 || policySet.agentsMatching(identity).length > 0) {
    await deps.record(refusedIdentity('operator.refused', 'operator_unknown', identity, request))
    throw new WritError(
      'operator_unknown',
      'Your token is valid, and does not belong to exactly one operator.',
    )
  }
  if (!roles.some((role) => operator.roles.has(role))) {
    await deps.record(refusedIdentity('operator.refused', 'operator_role', identity, request, operator.name))
    throw new WritError('operator_role', `This needs the role ${roles.join(' or ')}.`)
  }
  await deps.signIns(operator, identity, request)
  return { operator, identity, policySet }
}

function refusedIdentity(
  kind: 'identity.refused' | 'operator.refused',
  code: string,
  identity: Identity,
  request: FastifyRequest,
  operator?: string,
): DenialItem {
  return {
    op: 'denial',
    kind,
    key: denialKey(kind, code, identity.issuer, identity.subject),
    fields: { code, ...(operator === undefined ? {} : { operator }) },
    payload: {
      request: request.id,
      issuer: identity.issuer,
      path: request.routeOptions.url ?? '',
    },
    personal: { subject: identity.subject, source_ip: request.ip },
    seen: seenFrom(request.ip),
  }
}
