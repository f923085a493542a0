import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { findIssuance } from '../audit/review/issuances.js'
import { type Listed, listEvents, listIssuances } from '../audit/review/lists.js'
import { WritError } from '../errors.js'
import { operatorsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { exportRoutes } from './export-routes.js'
import { indexBefore } from './pages.js'
import { eventFilter, eventView, issuanceFilter, issuanceView, pageOf, totalQuery } from './review-schemas.js'
import { pageQuery, recordId } from './schemas.js'

/** What the security role reads: who was issued what, why, and on whose word. */
export const securityRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const config = { roles: ['security'] as const }
  const common = { tags: ['security'], security: [{ operator: [] }] }
  const { database } = deps

  app.get(
    '/v1/issuances',
    {
      config,
      schema: {
        ...common,
        summary: 'Issuances, newest first',
        // Strict: a filter that is misspelt and left out would show everything as if it matched.
        querystring: z.strictObject({ ...issuanceFilter, ...pageQuery, ...totalQuery }),
        response: { 200: pageOf(issuanceView) },
      },
    },
    async (request) => {
      const { limit, before, total, ...filter } = request.query
      return paged(await listIssuances(database, filter, { limit, before: indexBefore(before), total }))
    },
  )

  app.get(
    '/v1/issuances/:id',
    {
      config,
      schema: {
        ...common,
        summary: 'One issuance with everything the log says of it',
        params: z.object({ id: recordId }),
        response: { 200: z.object({ issuance: issuanceView, events: z.array(eventView).readonly() }) },
      },
    },
    async (request) => {
      const { id } = request.params
      const issuance = await findIssuance(database, id)
      if (issuance === undefined) throw new WritError('not_found', 'There is no such issuance.')
      const { items } = await listEvents(database, { issuance: id }, { limit: 500 })
      return { issuance, events: items }
    },
  )

  app.get(
    '/v1/events',
    {
      config,
      schema: {
        ...common,
        summary: 'Entries of the log, newest first',
        querystring: z.strictObject({ ...eventFilter, ...pageQuery, ...totalQuery }),
        response: { 200: pageOf(eventView) },
      },
    },
    async (request) => {
      const { limit, before, total, ...filter } = request.query
      return paged(await listEvents(database, filter, { limit, before: indexBefore(before), total }))
    },
  )

  exportRoutes(app, deps, callerOf)
}

const paged = <T>({ next, ...rest }: Listed<T>) => ({ ...rest, next: next === null ? null : String(next) })
