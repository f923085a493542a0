import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { type ErrorCode, WritError } from '../errors.js'
import { type GrantWish, openGrantRequest } from '../grants/request.js'
import { listGrantRequests, withdrawGrantRequest } from '../grants/store.js'
import type { GrantRequestView } from '../grants/types.js'
import { withSelfClaim } from './agent-routes.js'
import { agentsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { grantRequestBody, grantRequestView, recordId } from './schemas.js'

/** How often a waiting agent's request is looked at: the database is the authority, on every replica. */
const LOOK_EVERY_MS = 500

/** The agent's side of grants: ask, wait, take back. Each sees its own requests only. */
export const grantRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = agentsOnly(app, deps.auth)
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })

  app.post(
    '/v1/grant-requests',
    {
      schema: {
        summary: 'Ask a human for a grant; the same wish while pending is the same request',
        tags: ['agent'],
        security: [{ agent: [] }],
        body: grantRequestBody,
        response: { 202: grantRequestView },
      },
    },
    async (request, reply) => {
      const { agent, identity, policySet } = callerOf(request)
      const requester = {
        kind: 'agent',
        identity: withSelfClaim(identity, request.body.on_behalf_of),
      } as const
      const opened = await openGrantRequest(
        deps.grants,
        policySet,
        agent.name,
        requester,
        grantWish(request.body),
      )
      request.log.info({ grantRequest: opened.id, agent: agent.name }, 'grant requested')
      reply.code(202).header('location', `/v1/grant-requests/${opened.id}`)
      return own(deps, opened.id, agent.name)
    },
  )

  app.get(
    '/v1/grant-requests/:id',
    {
      schema: {
        summary: 'One of your requests; with `wait` it answers when decided, or after that many seconds',
        tags: ['agent'],
        security: [{ agent: [] }],
        params: z.object({ id: recordId }),
        querystring: z.object({ wait: z.coerce.number().int().min(0).max(25).default(0) }),
        response: { 200: grantRequestView },
      },
    },
    async (request, reply) => {
      const { agent } = callerOf(request)
      const until = Date.now() + request.query.wait * 1000
      reply.header('cache-control', 'no-store')
      for (;;) {
        const view = await own(deps, request.params.id, agent.name)
        if (view.state !== 'pending' || Date.now() >= until || closing || request.socket.destroyed)
          return view
        await delay(LOOK_EVERY_MS)
      }
    },
  )

  app.delete(
    '/v1/grant-requests/:id',
    {
      schema: {
        summary: 'Take one of your pending requests back',
        tags: ['agent'],
        security: [{ agent: [] }],
        params: z.object({ id: recordId }),
        response: { 200: grantRequestView },
      },
    },
    async (request) => {
      const { agent } = callerOf(request)
      await own(deps, request.params.id, agent.name)
      const answer = await withdrawGrantRequest(deps.database, request.params.id, `agent:${agent.name}`, null)
      if (answer.status === 'refused') {
        throw new WritError(answer.code as ErrorCode, 'The request is not pending any more.')
      }
      return own(deps, request.params.id, agent.name)
    },
  )
}

/** Another agent's request does not exist: an id must tell nothing. */
async function own(deps: HttpDeps, id: string, agent: string): Promise<GrantRequestView> {
  const [view] = await listGrantRequests(deps.database, { id, agent }, { limit: 1 })
  if (view === undefined) throw new WritError('not_found', 'You have no such grant request.')
  return view
}

/** The wish in a body, of an agent's request or an operator's unasked grant. */
export function grantWish(body: Omit<z.output<typeof grantRequestBody>, 'on_behalf_of'>): GrantWish {
  return {
    request: {
      environment: body.environment,
      scopes: body.scopes,
      reason: body.reason,
      ...(body.ttl === undefined ? {} : { ttlSeconds: body.ttl }),
      ...(body.ticket === undefined ? {} : { ticket: body.ticket }),
    },
    uses: body.uses,
    validSeconds: body.valid_for,
    ...(body.not_before === undefined ? {} : { notBefore: new Date(body.not_before) }),
  }
}
