import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { HttpDeps } from '../deps.js'
import { agentPages } from './agent-routes.js'
import { assetRoutes } from './assets.js'
import { consoleGrantRoutes } from './grant-routes.js'
import { historyPages } from './history-routes.js'
import { integrityPages } from './integrity-routes.js'
import { consoleKeyRoutes } from './key-routes.js'
import { liveRoutes } from './live-routes.js'
import { pageRoutes } from './page-routes.js'
import { requestRoutes } from './request-routes.js'
import { signInRoutes } from './sign-in-routes.js'
import { consoleStopRoutes } from './stop-routes.js'

/** The console: what browsers reach with a session, and the way to one. In no OpenAPI: it is for its own pages. */
export const consoleRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  app.get('/', { schema: { hide: true } as object }, async (_request, reply) =>
    reply.redirect('/console', 302),
  )
  await app.register(assetRoutes)
  await app.register(signInRoutes, { deps })
  await app.register(pageRoutes, { deps })
  await app.register(requestRoutes, { deps })
  await app.register(consoleGrantRoutes, { deps })
  await app.register(agentPages, { deps })
  await app.register(consoleStopRoutes, { deps })
  await app.register(historyPages, { deps })
  await app.register(integrityPages, { deps })
  await app.register(consoleKeyRoutes, { deps })
  await app.register(liveRoutes, { deps })
}
