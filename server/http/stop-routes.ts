import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { WritError } from '../errors.js'
import { stopOf } from '../revocation/release.js'
import { findStop, listStops } from '../revocation/stop-store.js'
import type { Identity, OperatorRole } from '../types.js'
import { type AuthDeps, operatorsOnly } from './authenticate.js'
import { signedDecision } from './decision-schemas.js'
import { ALL_ROLES } from './key-routes.js'
import { nextPage, pageBefore } from './pages.js'
import { pageQuery, recordId } from './schemas.js'
import { type StopCallDeps, stopCalls } from './stop-calls.js'
import {
  releaseAnswer,
  releaseChallengeAnswer,
  stopBody,
  stopsAnswer,
  stopTarget,
  stopView,
} from './stop-schemas.js'

export interface StopRouteDeps extends StopCallDeps {
  readonly auth: AuthDeps
}

/** Whoever sees something wrong may stop it; letting it go on takes more. */
export const STOPPERS: readonly OperatorRole[] = ['operator', 'approver', 'security']
export const RELEASERS: readonly OperatorRole[] = ['approver', 'security']

/** The kill switch: engaged by one, released by two. */
export const stopRoutes: FastifyPluginAsyncZod<{ deps: StopRouteDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const calls = stopCalls(deps, (request) => {
    const { operator, identity, policySet } = callerOf(request)
    const { issuer, subject, authenticatedAt } = identity
    return { operator, policySet, issuer, subject, authenticatedAt, proof: tokenProof(identity) }
  })
  const security = [{ operator: [] }]
  const tags = ['operator']
  const params = z.object({ id: recordId })
  const { database } = deps.revocation

  app.put(
    '/v1/stops/:kind/*',
    {
      config: { roles: STOPPERS },
      schema: {
        summary:
          'Stop an agent, a human, an environment, an account (twelve digits) or everything (`everything/*`), at once and on every replica; what is stopped already is answered as it is',
        tags,
        security,
        params: stopTarget,
        body: stopBody,
        response: { 200: stopView, 201: stopView },
      },
    },
    async (request, reply) => {
      const { kind, '*': name } = request.params
      const { stop, created } = await calls.engage(request, { kind, name, ...request.body })
      return reply.code(created ? 201 : 200).send(stop)
    },
  )

  app.get(
    '/v1/stops',
    {
      config: { roles: ALL_ROLES },
      schema: {
        summary: 'Stops, newest first, and how far the killing of sessions has come',
        tags,
        security,
        querystring: z.strictObject({ state: z.enum(['engaged', 'released']).optional(), ...pageQuery }),
        response: { 200: stopsAnswer },
      },
    },
    async (request) => {
      const { state, limit, before } = request.query
      const items = await listStops(database, { state }, { limit, ...pageBefore(before) })
      return {
        items,
        next: nextPage(
          items.map(({ engaged_at, id }) => ({ created_at: engaged_at, id })),
          limit,
        ),
      }
    },
  )

  app.get(
    '/v1/stops/:id',
    {
      config: { roles: ALL_ROLES },
      schema: { summary: 'One stop', tags, security, params, response: { 200: stopView } },
    },
    async (request) => {
      const stop = await findStop(database, request.params.id)
      if (stop === undefined) throw new WritError('not_found', 'There is no such stop.')
      return stop
    },
  )

  app.post(
    '/v1/stops/:id/challenge',
    {
      config: { roles: RELEASERS },
      schema: {
        summary: 'What to sign so that a stop may end',
        tags,
        security,
        params,
        response: { 200: releaseChallengeAnswer },
      },
    },
    (request) => calls.challenge(request, request.params.id),
  )

  app.post(
    '/v1/stops/:id/release',
    {
      config: { roles: RELEASERS },
      schema: {
        summary:
          'Release a stop by signatures of two different people; of one where the broker stopped by itself',
        tags,
        security,
        params,
        body: signedDecision,
        response: { 200: releaseAnswer },
      },
    },
    (request) => calls.release(request, request.params.id, request.body),
  )

  app.delete(
    '/v1/stops/:kind/*',
    {
      config: { roles: RELEASERS },
      schema: {
        summary: 'The same, by what is stopped',
        tags,
        security,
        params: stopTarget,
        body: signedDecision,
        response: { 200: releaseAnswer },
      },
    },
    async (request) => {
      const { kind, '*': name } = request.params
      const id = await stopOf(deps.revocation, kind, name, request.body.challenge)
      return calls.release(request, id, request.body)
    },
  )
}

const tokenProof = ({ issuer, subject, issuedAt, authenticatedAt }: Identity) => ({
  kind: 'token' as const,
  issuer,
  subject,
  issued_at: issuedAt.toISOString(),
  ...(authenticatedAt === undefined ? {} : { authenticated_at: authenticatedAt.toISOString() }),
})
