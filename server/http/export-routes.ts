import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { csvLines } from '../audit/formats/csv.js'
import { EVENT_COLUMNS, ISSUANCE_COLUMNS } from '../audit/formats/csv-columns.js'
import { ndjsonLines } from '../audit/formats/ndjson.js'
import { ocsfOf } from '../audit/formats/ocsf/map.js'
import type { OcsfEvent } from '../audit/formats/ocsf/schema.js'
import {
  type ExportedEvent,
  eventWithoutPersonal,
  issuanceWithoutPersonal,
} from '../audit/formats/personal.js'
import { contextsOf } from '../audit/review/context.js'
import { fetchEvents } from '../audit/review/events.js'
import { searchEvents, searchIssuances } from '../audit/review/filters.js'
import { fetchIssuances } from '../audit/review/issuances.js'
import type { Search } from '../audit/review/search.js'
import { type FetchRows, streamOf } from '../audit/review/stream.js'
import type { OperatorCaller } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { eventFilter, exportQuery, issuanceFilter } from './review-schemas.js'
import { lineStreams } from './streaming.js'

const MEDIA = {
  ndjson: 'application/x-ndjson',
  csv: 'text/csv; charset=utf-8; header=present',
  ocsf: 'application/x-ndjson',
} as const
type Format = keyof typeof MEDIA

type App = Parameters<FastifyPluginAsyncZod>[0]

/** The record taken along as a stream, oldest first, up to the end it had when the request came. */
export function exportRoutes(
  app: App,
  deps: HttpDeps,
  callerOf: (request: FastifyRequest) => OperatorCaller,
): void {
  const config = { roles: ['security'] as const }
  const common = { tags: ['security'], security: [{ operator: [] }] }
  const { database } = deps
  const send = sender(app, deps, callerOf)
  // A HEAD would read all of it to throw it away.
  const exposeHeadRoute = false

  app.get(
    '/v1/events/export',
    {
      config,
      exposeHeadRoute,
      schema: {
        ...common,
        summary: 'Entries of the log as a stream, oldest first: NDJSON, CSV, or OCSF events. Recorded',
        querystring: z.strictObject({
          format: z.enum(['ndjson', 'csv', 'ocsf']),
          ...exportQuery,
          ...eventFilter,
        }),
      },
    },
    async (request, reply) => {
      const { format, personal, ...filter } = request.query
      const search = await searchEvents(database, filter)
      const fetchRows: FetchRows<ExportedEvent> = async (...asked) => {
        const events = await fetchEvents(...asked)
        return personal ? events : events.map(eventWithoutPersonal)
      }
      const fetchOcsf: FetchRows<OcsfEvent> = async (...asked) => {
        const events = await fetchRows(...asked)
        const contextOf = await contextsOf(database, events)
        return events.map((event) => ocsfOf(event, contextOf(event)))
      }
      const lines =
        format === 'csv'
          ? csvLines(EVENT_COLUMNS, streamOf(database, search, fetchRows))
          : ndjsonLines(streamOf<unknown>(database, search, format === 'ocsf' ? fetchOcsf : fetchRows))
      return send(request, reply, { format, personal, search, filter }, lines)
    },
  )

  app.get(
    '/v1/issuances/export',
    {
      config,
      exposeHeadRoute,
      schema: {
        ...common,
        summary: 'Issuances as a stream, oldest first: NDJSON or CSV. Recorded',
        querystring: z.strictObject({
          format: z.enum(['ndjson', 'csv']),
          ...exportQuery,
          ...issuanceFilter,
        }),
      },
    },
    async (request, reply) => {
      const { format, personal, ...filter } = request.query
      const search = await searchIssuances(database, filter)
      const all = streamOf(database, search, async (...asked) => {
        const issuances = await fetchIssuances(...asked)
        return personal ? issuances : issuances.map(issuanceWithoutPersonal)
      })
      const lines = format === 'csv' ? csvLines(ISSUANCE_COLUMNS, all) : ndjsonLines(all)
      return send(request, reply, { format, personal, search, filter }, lines)
    },
  )
}

interface Export {
  readonly format: Format
  readonly personal: boolean
  readonly search: Search
  readonly filter: Readonly<Record<string, unknown>>
}

function sender(app: App, deps: HttpDeps, callerOf: (request: FastifyRequest) => OperatorCaller) {
  const streamOfLines = lineStreams(app)
  return async (
    request: FastifyRequest,
    reply: FastifyReply,
    { format, personal, search, filter }: Export,
    lines: AsyncIterable<string>,
  ): Promise<FastifyReply> => {
    const filters = Object.entries(filter).flatMap(([name, value]) => (value === undefined ? [] : [name]))
    // Before the first line leaves: who took the record along is part of it.
    await deps.auth.record({
      op: 'event',
      kind: 'log.exported',
      fields: { operator: callerOf(request).operator.name },
      payload: {
        from: search.range.lo,
        to: search.range.hi,
        request: request.id,
        personal_data: personal,
        format,
        ...(filters.length === 0 ? {} : { filters: filters.sort() }),
      },
    })
    return reply.type(MEDIA[format]).header('cache-control', 'no-store').send(streamOfLines(lines))
  }
}
