import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { OperatorDeps } from '../../operators/deps.js'
import { keyCalls } from '../key-calls.js'
import { ALL_ROLES, VOUCHERS } from '../key-routes.js'
import {
  proposalParams,
  proposeAnswer,
  proposeBody,
  registrationAnswer,
  removeBody,
  removedAnswer,
  vouchAnswer,
  vouchBody,
  vouchChallengeAnswer,
  withdrawnAnswer,
} from '../key-schemas.js'
import type { ConsoleDeps } from './deps.js'
import { consoleOnly } from './session.js'

/**
 * What the page of keys calls, with the cookie of its session: the same as over a token (key-routes.ts). Lists are the
 * page's own. A key is named in the body: its id can be longer than a path takes.
 */
export const consoleKeyRoutes: FastifyPluginAsyncZod<{
  deps: { readonly console: ConsoleDeps; readonly operators: OperatorDeps }
}> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const calls = keyCalls(deps.operators, (request) => {
    const { operator, session } = callerOf(request)
    return {
      operator,
      authenticatedAt: session.authenticatedAt,
      session: session.id,
      issuer: deps.console.origin(),
      subject: operator.name,
    }
  })
  const hide = true

  app.post(
    '/console/keys/options',
    { config: { roles: ALL_ROLES }, schema: { hide, response: { 200: registrationAnswer } } },
    (request) => calls.options(request),
  )
  app.post(
    '/console/keys',
    { config: { roles: ALL_ROLES }, schema: { hide, body: proposeBody, response: { 202: proposeAnswer } } },
    async (request, reply) => reply.code(202).send(await calls.propose(request, request.body)),
  )
  app.post(
    '/console/keys/remove',
    { config: { roles: ALL_ROLES }, schema: { hide, body: removeBody, response: { 200: removedAnswer } } },
    (request) => calls.remove(request, request.body.key_id),
  )
  app.post(
    '/console/keys/proposals/:id/challenge',
    {
      config: { roles: VOUCHERS },
      schema: { hide, params: proposalParams, response: { 200: vouchChallengeAnswer } },
    },
    (request) => calls.challenge(request, request.params.id),
  )
  app.post(
    '/console/keys/proposals/:id/vouch',
    {
      config: { roles: VOUCHERS },
      schema: { hide, params: proposalParams, body: vouchBody, response: { 200: vouchAnswer } },
    },
    (request) => calls.vouch(request, request.params.id, request.body),
  )
  app.post(
    '/console/keys/proposals/:id/withdraw',
    {
      config: { roles: ALL_ROLES },
      schema: { hide, params: proposalParams, response: { 200: withdrawnAnswer } },
    },
    (request) => calls.withdraw(request, request.params.id),
  )
}
