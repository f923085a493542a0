import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { HttpDeps } from './deps.js'

const readiness = z.object({
  ready: z.boolean(),
  checks: z.record(z.string(), z.object({ ok: z.boolean(), detail: z.string() })),
})

/** Open to anyone: nothing here names an agent, an address or a secret. */
export const healthRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const open = { tags: ['anyone'], security: [] }

  app.get(
    '/healthz',
    {
      schema: { ...open, summary: 'The process is up', response: { 200: z.object({ ok: z.literal(true) }) } },
    },
    async () => ({ ok: true as const }),
  )

  app.get(
    '/readyz',
    {
      schema: {
        ...open,
        summary:
          'Whether this replica should get requests, and what is wrong; a broken policy reload keeps it ready',
        response: { 200: readiness, 503: readiness },
      },
    },
    async (_request, reply) => {
      const state = await deps.ready()
      return reply
        .code(state.ready ? 200 : 503)
        .header('cache-control', 'no-store')
        .send({ ready: state.ready, checks: { ...state.checks } })
    },
  )

  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/json').send(JSON.stringify(app.swagger())),
  )
}
