import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { requestPage } from '../../../web/pages/request.js'
import { requestsPage } from '../../../web/pages/requests.js'
import { mayApprove } from '../../decision/may-approve.js'
import { WritError } from '../../errors.js'
import { decisionChallenge } from '../../grants/challenge.js'
import { decideSigned } from '../../grants/decide.js'
import type { GrantDeps } from '../../grants/request.js'
import { listGrantRequests } from '../../grants/store.js'
import type { GrantRequestView } from '../../grants/types.js'
import { challengeBody, signedDecision } from '../decision-schemas.js'
import { decisionWish } from '../operator-routes.js'
import { nextPage, pageBefore } from '../pages.js'
import { agentName, grantRequestView, recordId } from '../schemas.js'
import { cardOf } from './card-data.js'
import type { ConsoleDeps } from './deps.js'
import { type FrameDeps, frameOf } from './frame.js'
import { consoleOnly } from './session.js'

export interface RequestRoutesDeps extends FrameDeps {
  readonly console: ConsoleDeps
  readonly grants: GrantDeps
}

const DECIDED = 25
/** More wait only when something is wrong: each agent has three at most. */
const PENDING = 500

/** Every role reads; who may decide is policy's to say of each request. */
export const READERS = ['operator', 'approver', 'security', 'admin'] as const

/** An empty field of a form is no filter. */
export const orNone = <T extends z.ZodType>(type: T) =>
  z.union([z.literal('').transform(() => undefined), type]).optional()

/** Requests: the list, one card, and deciding on it by a signature. */
export const requestRoutes: FastifyPluginAsyncZod<{ deps: RequestRoutesDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const config = { roles: READERS }
  const hide = { hide: true } as object
  const { database } = deps.grants

  app.get(
    '/console/requests',
    {
      config,
      schema: {
        ...hide,
        querystring: z.object({
          state: orNone(grantRequestView.shape.state.exclude(['pending'])),
          agent: orNone(agentName),
          before: z.string().max(100).optional(),
        }),
      },
    },
    async (request, reply) => {
      const caller = callerOf(request)
      const { state, agent, before } = request.query
      const [pending, decided, frame] = await Promise.all([
        listGrantRequests(database, { state: 'pending', agent }, { limit: PENDING }),
        // Without the pending ones, which stand above; a page may turn out a little shorter by them.
        listGrantRequests(database, { state, agent }, { limit: DECIDED, ...pageBefore(before) }),
        frameOf(deps, caller),
      ])
      const next = nextPage(decided, DECIDED)
      const page = requestsPage({
        ...frame,
        approves: ({ environment, scopes }) => mayApprove(caller.operator, environment, scopes),
        pending: [...pending].sort((a, b) => Date.parse(a.expires_at) - Date.parse(b.expires_at)),
        decided: decided.filter((one) => one.state !== 'pending'),
        filter: { state, agent },
        agents: [...caller.policySet.agents.keys()].sort(),
        ...(next === null ? {} : { older: hrefOf('/console/requests', { state, agent, before: next }) }),
      })
      return reply.type('text/html; charset=utf-8').send(page)
    },
  )

  app.get(
    '/console/requests/:id',
    { config, schema: { ...hide, params: z.object({ id: recordId }) } },
    async (request, reply) => {
      const caller = callerOf(request)
      const view = await oneRequest(deps.grants, request.params.id)
      const [card, frame] = await Promise.all([
        cardOf(deps.grants, caller.policySet, caller.operator, view),
        frameOf(deps, caller),
      ])
      return reply.type('text/html; charset=utf-8').send(requestPage({ ...frame, card }))
    },
  )

  app.post(
    '/console/requests/:id/challenge',
    {
      config: { roles: ['approver'] },
      schema: {
        ...hide,
        params: z.object({ id: recordId }),
        body: challengeBody,
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
    '/console/requests/:id/decide',
    {
      config: { roles: ['approver'] },
      schema: {
        ...hide,
        params: z.object({ id: recordId }),
        body: signedDecision,
      },
    },
    async (request) => {
      const { operator, policySet } = callerOf(request)
      const { challenge, proof } = request.body
      const decided = await decideSigned(
        deps.grants,
        policySet,
        { operator },
        { requestId: request.params.id, challenge, proof },
      )
      request.log.info(
        { grantRequest: request.params.id, operator: operator.name, state: decided.state },
        'decided',
      )
      return decided
    },
  )
}

async function oneRequest(deps: Pick<GrantDeps, 'database'>, id: string): Promise<GrantRequestView> {
  const [view] = await listGrantRequests(deps.database, { id }, { limit: 1 })
  if (view === undefined) throw new WritError('not_found', 'There is no such grant request.')
  return view
}

/** A path with what is set of a query. */
export function hrefOf(path: string, query: Readonly<Record<string, string | undefined>>): string {
  const set = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return set.length === 0 ? path : `${path}?${new URLSearchParams(set)}`
}
