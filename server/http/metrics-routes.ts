import type { FastifyInstance } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { Metrics } from '../metrics.js'

export interface MetricsRouteDeps {
  readonly metrics: Metrics
}

const STREAM = '/v1/events/stream'

/** Open to anyone: no label names an agent, a human or a role. */
export const metricsRoutes: FastifyPluginAsyncZod<{ deps: MetricsRouteDeps }> = async (app, { deps }) => {
  app.get(
    '/metrics',
    {
      exposeHeadRoute: false,
      schema: {
        summary: 'Counts and gauges of this replica, for Prometheus',
        tags: ['anyone'],
        security: [],
      },
    },
    async (_request, reply) => {
      const { type, text } = await deps.metrics.scrape()
      return reply.header('cache-control', 'no-store').type(type).send(text)
    },
  )
}

/** Counts what is answered, by the route's pattern: nothing a caller writes into a path becomes a label. */
export function countRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onSend', async (request, reply) => {
    // Of a caller who is gone no close is told any more.
    const gone = request.socket.destroyed || reply.raw.closed
    if (request.routeOptions.url !== STREAM || reply.statusCode !== 200 || gone) return
    metrics.stream(1)
    reply.raw.once('close', () => metrics.stream(-1))
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? '(none)'
    // A stream is answered when it ends, hours later.
    if (route === STREAM && reply.statusCode === 200) return
    const { statusCode: status, elapsedTime } = reply
    metrics.request({ method: request.method, route, status, seconds: elapsedTime / 1000 })
  })
}
