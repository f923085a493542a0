import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { type GrantablePlace, grantNewPage } from '../../../web/pages/grant-new.js'
import { grantsPage } from '../../../web/pages/grants.js'
import { approvals } from '../../decision/decide.js'
import { mayApprove } from '../../decision/may-approve.js'
import { type ErrorCode, WritError } from '../../errors.js'
import { pendingReviews, reviewBreakGlass } from '../../grants/break-glass.js'
import { openUnasked } from '../../grants/decide.js'
import { listGrants, revokeGrant } from '../../grants/store.js'
import type { RevocationDeps } from '../../revocation/deps.js'
import type { Operator, PolicySet } from '../../types.js'
import { grantWish } from '../grant-routes.js'
import { nextPage, pageBefore } from '../pages.js'
import { agentName, environmentName, recordId, revokeBody, unaskedGrantBody } from '../schemas.js'
import { frameOf } from './frame.js'
import { hrefOf, orNone, READERS, type RequestRoutesDeps } from './request-routes.js'
import { consoleOnly } from './session.js'

const ENDED = 25
const LIVE = 500

/** Grants: what is live, taking it away, and opening what nobody asked for. */
interface GrantRoutesDeps extends RequestRoutesDeps {
  readonly revocation: Pick<RevocationDeps, 'kick'>
}

export const consoleGrantRoutes: FastifyPluginAsyncZod<{ deps: GrantRoutesDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const hide = { hide: true } as object
  const { database } = deps.grants

  app.get(
    '/console/grants',
    {
      config: { roles: READERS },
      schema: {
        ...hide,
        querystring: z.object({
          agent: orNone(agentName),
          id: orNone(recordId),
          before: z.string().max(100).optional(),
        }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request)
      const { agent, id, before } = request.query
      const [live, later, ended, reviews, frame] = await Promise.all([
        listGrants(database, { id, agent, state: 'live' }, { limit: LIVE }),
        listGrants(database, { id, agent, state: 'not-yet-valid' }, { limit: LIVE }),
        listGrants(database, { id, agent }, { limit: ENDED, ...pageBefore(before) }),
        pendingReviews(database),
        frameOf(deps, caller),
      ])
      const next = nextPage(ended, ENDED)
      const page = grantsPage({
        ...frame,
        live: [...live, ...later],
        ended: ended.filter(({ state }) => state !== 'live' && state !== 'not-yet-valid'),
        reviews,
        agents: [...caller.policySet.agents.keys()].sort(),
        filter: { agent, id },
        ...(next === null ? {} : { older: hrefOf('/console/grants', { agent, id, before: next }) }),
      })
      return reply.type('text/html; charset=utf-8').send(page)
    },
  )

  app.get(
    '/console/grants/new',
    {
      config: { roles: ['approver'] },
      schema: {
        ...hide,
        querystring: z.object({ agent: agentName.optional(), environment: environmentName.optional() }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request)
      const { agent, environment } = request.query
      const places = placesFor(caller.policySet, caller.operator)
      const found = places.find((place) => place.agent === agent && place.environment === environment)
      if (agent !== undefined && found === undefined) {
        throw new WritError('not_found', 'There is nothing that you could grant this agent there.')
      }
      const { notices, ...frame } = await frameOf(deps, caller)
      const chosen = found === undefined ? {} : { chosen: found }
      return reply
        .type('text/html; charset=utf-8')
        .send(grantNewPage({ ...frame, notices, places, ...chosen }))
    },
  )

  app.post(
    '/console/grants',
    { config: { roles: ['approver'] }, schema: { ...hide, body: unaskedGrantBody } },
    async (request) => {
      const { operator, policySet } = callerOf(request)
      const { agent, ...body } = request.body
      const { id } = await openUnasked(deps.grants, policySet, { operator }, agent, grantWish(body))
      request.log.info({ grantRequest: id, operator: operator.name }, 'asked for by an operator')
      return { id }
    },
  )

  app.post(
    '/console/grants/:id/revoke',
    {
      config: { roles: ['operator', 'approver'] },
      schema: { ...hide, params: z.object({ id: recordId }), body: revokeBody },
    },
    async (request) => {
      const { operator } = callerOf(request)
      const answer = await revokeGrant(database, request.params.id, operator.name, request.body.reason)
      if (answer.status === 'refused') {
        throw new WritError(answer.code as ErrorCode, 'There is no such grant.')
      }
      deps.revocation.kick()
      request.log.info({ grant: request.params.id, operator: operator.name }, 'grant revoked')
      return { revoked: true, already: answer.already }
    },
  )

  app.post(
    '/console/grants/:id/review',
    {
      config: { roles: ['approver', 'security', 'admin'] },
      schema: {
        ...hide,
        params: z.object({ id: recordId }),
        body: z.strictObject({
          verdict: z.enum(['justified', 'not-justified']),
          comment: revokeBody.shape.reason,
        }),
      },
    },
    async (request) => {
      const { operator } = callerOf(request)
      const { id } = request.params
      const view = await reviewBreakGlass(database, operator, { grantId: id, ...request.body })
      request.log.info({ grant: id, operator: operator.name, verdict: view.verdict }, 'break-glass reviewed')
      return { verdict: view.verdict }
    },
  )
}

/** Every agent and environment with something that needs a human and that this one may approve. */
function placesFor(policySet: PolicySet, operator: Operator) {
  const places: (GrantablePlace & {
    scopes: { name: string; describe: string; levels: string[]; destroys: boolean; approvals: number }[]
    maxSessionSeconds: number
  })[] = []
  for (const agent of policySet.agents.values()) {
    if (agent.status === 'stopped') continue
    for (const place of agent.environments.values()) {
      const environment = policySet.environments.get(place.environment)
      if (environment === undefined) continue
      const scopes = place.scopes
        .flatMap((name) => policySet.scopes.get(name) ?? [])
        .filter(
          (scope) => approvals(environment, [scope]) > 0 && (!scope.destroys || environment.allowDelete),
        )
        .filter((scope) => mayApprove(operator, environment.name, [scope.name]))
      if (scopes.length === 0) continue
      places.push({
        agent: agent.name,
        describe: agent.describe,
        environment: environment.name,
        tier: environment.tier,
        scopes: scopes.map((scope) => ({
          name: scope.name,
          describe: scope.describe,
          levels: [...scope.levels].sort(),
          destroys: scope.destroys,
          approvals: approvals(environment, [scope]),
        })),
        maxSessionSeconds: place.maxSessionSeconds.write,
      })
    }
  }
  return places.sort((a, b) => (`${a.agent} ${a.environment}` < `${b.agent} ${b.environment}` ? -1 : 1))
}
