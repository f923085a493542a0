import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { listEvents, listIssuances } from '../audit/queries.js'
import { WritError } from '../errors.js'
import { operatorsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { indexBefore } from './pages.js'
import { agentName, environmentName, pageQuery, recordId } from './schemas.js'

const issuanceState = z.enum(['intended', 'issued', 'failed', 'abandoned'])

const personalState = z
  .enum(['none', 'shown', 'erased', 'altered'])
  .describe(
    '`erased` by `writ audit redact`; `altered` does not match the hash in the body, and is not shown',
  )

const issuance = z.object({
  issuance: z.string(),
  entry: z.number().int(),
  at: z.string(),
  state: issuanceState,
  agent: z.string(),
  environment: z.string(),
  role: z.string(),
  sensitivity: z.string(),
  scopes: z.array(z.string()).readonly(),
  human: z.string().nullable(),
  human_how: z.string().nullable(),
  subject: z.string().nullable(),
  source_ip: z.string().nullable(),
  reason: z.string().nullable(),
  ticket: z.string().nullable(),
  personal_data: personalState,
  grant: z.string().nullable(),
  grant_use: z.number().int().nullable(),
  policy_digest: z.string(),
  access_key_id: z.string().nullable(),
  expires_at: z.string().nullable(),
  not_after: z.string(),
  error_code: z.string().nullable(),
})

const event = z.object({
  index: z.number().int(),
  leaf_hash: z.string(),
  repeats: z.number().int().nullable(),
  body: z.record(z.string(), z.unknown()),
  personal_data: personalState,
  personal: z.record(z.string(), z.unknown()).nullable(),
})

const anyText = z.string().min(1).max(200).optional()

/** What the security role reads: who was issued what, why, and on whose word. */
export const securityRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  operatorsOnly(app, deps.auth)
  const security = [{ operator: [] }]
  const tags = ['security']

  app.get(
    '/v1/issuances',
    {
      config: { roles: ['security'] },
      schema: {
        summary: 'Issuances, newest first',
        tags,
        security,
        querystring: z.object({
          agent: agentName.optional(),
          human: anyText,
          environment: environmentName.optional(),
          state: issuanceState.optional(),
          grant: recordId.optional(),
          access_key: anyText,
          ...pageQuery,
        }),
        response: { 200: z.object({ items: z.array(issuance).readonly(), next: z.string().nullable() }) },
      },
    },
    async (request) => {
      const { limit, before, ...filter } = request.query
      const items = await listIssuances(deps.database, filter, page(limit, before))
      return { items, next: items.length < limit ? null : String(items.at(-1)?.entry ?? '') }
    },
  )

  app.get(
    '/v1/issuances/:id',
    {
      config: { roles: ['security'] },
      schema: {
        summary: 'One issuance with everything the log says of it',
        tags,
        security,
        params: z.object({ id: recordId }),
        response: { 200: z.object({ issuance, events: z.array(event).readonly() }) },
      },
    },
    async (request) => {
      const { id } = request.params
      const [found] = await listIssuances(deps.database, { id }, { limit: 1 })
      if (found === undefined) throw new WritError('not_found', 'There is no such issuance.')
      const events = await listEvents(deps.database, { issuance: id }, { limit: 500 })
      return { issuance: found, events: events }
    },
  )

  app.get(
    '/v1/events',
    {
      config: { roles: ['security'] },
      schema: {
        summary: 'Entries of the log, newest first',
        tags,
        security,
        querystring: z.object({
          kind: anyText,
          agent: agentName.optional(),
          environment: environmentName.optional(),
          human: anyText,
          operator: anyText,
          issuance: recordId.optional(),
          request: recordId.optional(),
          grant: recordId.optional(),
          code: anyText,
          ...pageQuery,
        }),
        response: { 200: z.object({ items: z.array(event).readonly(), next: z.string().nullable() }) },
      },
    },
    async (request) => {
      const { limit, before, ...filter } = request.query
      const items = await listEvents(deps.database, filter, page(limit, before))
      return { items, next: items.length < limit ? null : String(items.at(-1)?.index ?? '') }
    },
  )
}

function page(limit: number, before: string | undefined) {
  const index = indexBefore(before)
  return index === undefined ? { limit } : { limit, before: index }
}
