import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { CLOSERS } from '../incidents/boundary.js'
import { closeChallenge, closeIncident } from '../incidents/close.js'
import { evidenceEntries } from '../incidents/entries.js'
import { openIncident } from '../incidents/open.js'
import { recordStep } from '../incidents/steps.js'
import { findIncident, listIncidents } from '../incidents/store.js'
import { recordingRefusals } from '../operators/refusals.js'
import { saidFrom } from '../operators/store.js'
import type { OperatorRole } from '../types.js'
import { operatorsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import {
  closeAnswer,
  closeBody,
  closeChallengeAnswer,
  closeChallengeBody,
  entriesQuery,
  incidentQuery,
  incidentSummary,
  incidentView,
  openBody,
  stepAnswer,
  stepBody,
} from './incident-schemas.js'
import { nextPage, pageBefore } from './pages.js'
import { pageQuery, recordId } from './schemas.js'
import { lineStreams } from './streaming.js'

const READERS: readonly OperatorRole[] = ['operator', 'approver', 'security']

/** From opening an incident, which stops the agent, to the two signatures that close it. */
export const incidentRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const streamOfLines = lineStreams(app)
  const security = [{ operator: [] }]
  const tags = ['operator']
  const { database, revocation } = deps

  const calling = (request: FastifyRequest) => {
    const { operator, identity, policySet } = callerOf(request)
    return { operator, identity, policySet, said: saidFrom(request.ip) }
  }
  /** Who tried at an incident what they may not is what a reviewer looks for. */
  const recording = <T>(request: FastifyRequest, work: () => Promise<T>): Promise<T> => {
    const { operator, identity, said } = calling(request)
    const tried = {
      caller: { operator, authenticatedAt: identity.authenticatedAt, said },
      issuer: identity.issuer,
      subject: identity.subject,
      request: request.id,
      path: request.routeOptions.url ?? '',
    }
    return recordingRefusals(revocation, tried, work)
  }

  app.post(
    '/v1/incidents',
    {
      config: { roles: READERS },
      schema: {
        summary:
          'Open an incident on an agent, which stops it; 200 with the one that is open already, 201 with a new one',
        tags,
        security,
        body: openBody,
        response: { 200: incidentView, 201: incidentView },
      },
    },
    async (request, reply) => {
      const { operator, identity, policySet, said } = calling(request)
      const { issuer, subject, issuedAt, authenticatedAt } = identity
      const proof = {
        kind: 'token' as const,
        issuer,
        subject,
        issued_at: issuedAt.toISOString(),
        ...(authenticatedAt === undefined ? {} : { authenticated_at: authenticatedAt.toISOString() }),
      }
      const wanted = { ...request.body, operator, proof, said }
      const { incident, created } = await openIncident(revocation, policySet, wanted)
      return reply.code(created ? 201 : 200).send(incident)
    },
  )

  app.get(
    '/v1/incidents',
    {
      config: { roles: READERS },
      schema: {
        summary: 'Incidents, newest first',
        tags,
        security,
        querystring: z.strictObject({ ...incidentQuery, ...pageQuery }),
        response: {
          200: z.object({ items: z.array(incidentSummary).readonly(), next: z.string().nullable() }),
        },
      },
    },
    async (request) => {
      const { limit, before, ...filter } = request.query
      const items = await listIncidents(database, filter, { limit, ...pageBefore(before) })
      const keyed = items.map(({ id, opened_at }) => ({ id, created_at: opened_at }))
      return { items, next: nextPage(keyed, limit) }
    },
  )

  app.get(
    '/v1/incidents/:id',
    {
      config: { roles: READERS },
      schema: {
        summary: 'One incident: its stop, the denies, what was done at each stage, and who may do what',
        tags,
        security,
        params: z.object({ id: recordId }),
        response: { 200: incidentView },
      },
    },
    (request) => findIncident(database, callerOf(request).policySet, request.params.id),
  )

  app.get(
    '/v1/incidents/:id/entries',
    {
      config: { roles: ['security'] },
      exposeHeadRoute: false,
      schema: {
        summary:
          'Every entry about the agent and what it stands on, with its proof under one checkpoint, as NDJSON; the first line has the checkpoint. Recorded',
        tags: ['security'],
        security,
        params: z.object({ id: recordId }),
        querystring: entriesQuery,
      },
    },
    async (request, reply) => {
      const { operator } = callerOf(request)
      const asked = { incident: request.params.id, ...request.query }
      const { head, entries } = await evidenceEntries(database, deps.publishing, asked)
      // Before the first line leaves: who took the record along is part of it.
      await deps.auth.record({
        op: 'event',
        kind: 'log.exported',
        fields: { operator: operator.name },
        payload: {
          from: 0,
          to: head.size,
          request: request.id,
          personal_data: true,
          format: 'whole',
          filters: ['incident', 'since'],
        },
      })
      const lines = async function* () {
        yield `${JSON.stringify(head)}\n`
        for await (const entry of entries) yield `${JSON.stringify(entry)}\n`
      }
      return reply
        .type('application/x-ndjson')
        .header('cache-control', 'no-store')
        .send(streamOfLines(lines()))
    },
  )

  app.post(
    '/v1/incidents/:id/steps',
    {
      config: { roles: READERS },
      schema: {
        summary:
          'Record what you did at a stage: stop, assess (security), contain (operator), recover (approver, security)',
        tags,
        security,
        params: z.object({ id: recordId }),
        body: stepBody,
        response: { 201: stepAnswer },
      },
    },
    async (request, reply) => {
      const { operator, said } = calling(request)
      const wanted = { incident: request.params.id, ...request.body, operator, said }
      const done = await recording(request, () => recordStep(revocation, wanted))
      request.log.info(
        { incident: request.params.id, operator: operator.name, stage: wanted.stage },
        'incident step',
      )
      return reply.code(201).send(done)
    },
  )

  app.post(
    '/v1/incidents/:id/challenge',
    {
      config: { roles: CLOSERS },
      schema: {
        summary: 'What to sign to close an incident, after reading its evidence',
        tags,
        security,
        params: z.object({ id: recordId }),
        body: closeChallengeBody,
        response: { 200: closeChallengeAnswer },
      },
    },
    (request) => {
      const { operator } = calling(request)
      const { evidence } = request.body
      return recording(request, () => closeChallenge(revocation, operator, request.params.id, evidence))
    },
  )

  app.post(
    '/v1/incidents/:id/close',
    {
      config: { roles: CLOSERS },
      schema: {
        summary: 'Close an incident by a signature with a key of yours; it takes two different people',
        tags,
        security,
        params: z.object({ id: recordId }),
        body: closeBody,
        response: { 200: closeAnswer },
      },
    },
    async (request) => {
      const caller = calling(request)
      const { id } = request.params
      const done = await recording(request, () => closeIncident(revocation, caller, id, request.body))
      request.log.info(
        { incident: id, operator: caller.operator.name, closed: done.closed },
        'incident close signed',
      )
      return done
    },
  )
}
