import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { type ErrorCode, WritError } from '../errors.js'
import { type DecisionWish, decisionChallenge } from '../grants/challenge.js'
import { decideGrantRequest, decideSigned, grantUnasked } from '../grants/decide.js'
import { listGrantRequests, listGrants, revokeGrant } from '../grants/store.js'
import { operatorsOnly } from './authenticate.js'
import { challengeAnswer, challengeBody, decisionBody } from './decision-schemas.js'
import type { HttpDeps } from './deps.js'
import { grantWish } from './grant-routes.js'
import { nextPage, pageBefore } from './pages.js'
import {
  agentName,
  decisionAnswer,
  grantRequestView,
  grantView,
  pageQuery,
  recordId,
  revokeBody,
  unaskedGrantBody,
} from './schemas.js'

/** What an operator's token opens. Reading takes any operator role; deciding takes `approver`. */
export const operatorRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const security = [{ operator: [] }]
  const tags = ['operator']

  app.get(
    '/v1/grant-requests',
    {
      config: { roles: ['operator', 'approver', 'security'] },
      schema: {
        summary: 'Grant requests, newest first',
        tags,
        security,
        querystring: z.object({
          id: recordId.optional(),
          agent: agentName.optional(),
          state: grantRequestView.shape.state.optional(),
          ...pageQuery,
        }),
        response: {
          200: z.object({ items: z.array(grantRequestView).readonly(), next: z.string().nullable() }),
        },
      },
    },
    async (request) => {
      const { id, agent, state, limit, before } = request.query
      const items = await listGrantRequests(
        deps.database,
        { id, agent, state },
        {
          limit,
          ...pageBefore(before),
        },
      )
      return { items, next: nextPage(items, limit) }
    },
  )

  app.post(
    '/v1/grant-requests/:id/challenge',
    {
      config: { roles: ['approver'] },
      schema: {
        summary: 'Everything a decision is about, written down to be signed within five minutes',
        tags,
        security,
        params: z.object({ id: recordId }),
        body: challengeBody,
        response: { 200: challengeAnswer },
      },
    },
    async (request) => {
      const { operator, policySet } = callerOf(request)
      return decisionChallenge(
        deps.grants,
        policySet,
        operator,
        decisionWish(request.params.id, request.body),
      )
    },
  )

  app.post(
    '/v1/grant-requests/:id/decisions',
    {
      config: { roles: ['approver'] },
      schema: {
        summary:
          'Approve or deny: signed, or where no production write is at stake, with a token with a fresh auth_time',
        tags,
        security,
        params: z.object({ id: recordId }),
        body: decisionBody,
        response: { 200: decisionAnswer },
      },
    },
    async (request) => {
      const { operator, identity, policySet } = callerOf(request)
      const { body, params } = request
      const deciding = { operator, identity }
      const decided =
        'challenge' in body
          ? await decideSigned(deps.grants, policySet, deciding, { requestId: params.id, ...body })
          : await decideGrantRequest(deps.grants, policySet, deciding, {
              requestId: params.id,
              decision: body.decision,
              ...(body.comment === undefined ? {} : { comment: body.comment }),
              policyDigest: body.policy_digest,
              permissionsSha256: body.permissions_sha256,
            })
      request.log.info({ grantRequest: params.id, operator: operator.name, state: decided.state }, 'decided')
      return decided
    },
  )

  app.get(
    '/v1/grants',
    {
      config: { roles: ['operator', 'approver', 'security'] },
      schema: {
        summary: 'Grants, newest first',
        tags,
        security,
        querystring: z.object({
          id: recordId.optional(),
          agent: agentName.optional(),
          state: grantView.shape.state.optional(),
          ...pageQuery,
        }),
        response: { 200: z.object({ items: z.array(grantView).readonly(), next: z.string().nullable() }) },
      },
    },
    async (request) => {
      const { id, agent, state, limit, before } = request.query
      const page = { limit, ...pageBefore(before) }
      const items = await listGrants(deps.database, { id, agent, state }, page)
      return { items, next: nextPage(items, limit) }
    },
  )

  app.post(
    '/v1/grants',
    {
      config: { roles: ['approver'] },
      schema: {
        summary: 'Grant unasked, by the same rules: 201 with the grant, or 202 when others must approve too',
        tags,
        security,
        body: unaskedGrantBody,
        response: {
          201: decisionAnswer.extend({ request_id: z.string() }),
          202: decisionAnswer.extend({ request_id: z.string() }),
        },
      },
    },
    async (request, reply) => {
      const { operator, identity, policySet } = callerOf(request)
      const { agent, ...body } = request.body
      const decided = await grantUnasked(
        deps.grants,
        policySet,
        { operator, identity },
        agent,
        grantWish(body),
      )
      request.log.info({ grantRequest: decided.request_id, operator: operator.name }, 'granted unasked')
      return reply.code(decided.grant_id === null ? 202 : 201).send(decided)
    },
  )

  app.post(
    '/v1/grants/:id/revoke',
    {
      config: { roles: ['operator', 'approver'] },
      schema: {
        summary: 'Revoke a grant: from the answer on, nothing is issued or delivered on it',
        tags,
        security,
        params: z.object({ id: recordId }),
        body: revokeBody,
        response: { 200: grantView },
      },
    },
    async (request) => {
      const { operator } = callerOf(request)
      const answer = await revokeGrant(deps.database, request.params.id, operator.name, request.body.reason)
      if (answer.status === 'refused')
        throw new WritError(answer.code as ErrorCode, 'There is no such grant.')
      deps.revocation.kick()
      request.log.info({ grant: request.params.id, operator: operator.name }, 'grant revoked')
      const [view] = await listGrants(deps.database, { id: request.params.id }, { limit: 1 })
      if (view === undefined) throw new WritError('not_found', 'There is no such grant.')
      return view
    },
  )
}

/** From the body of a challenge's request, here and at the console. */
export function decisionWish(requestId: string, body: z.infer<typeof challengeBody>): DecisionWish {
  return {
    requestId,
    decision: body.decision,
    ...(body.comment === undefined ? {} : { comment: body.comment }),
    ...(body.break_glass === undefined ? {} : { breakGlass: body.break_glass }),
  }
}
