import { randomBytes } from 'node:crypto'
import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod'
import { WritError } from '../errors.js'
import { agentRoutes } from './agent-routes.js'
import { awsRoutes } from './aws-routes.js'
import { breakGlassRoutes } from './break-glass-routes.js'
import { sendErrorPage } from './console/errors.js'
import { consoleHeaders } from './console/headers.js'
import { showsAnswer } from './console/origin.js'
import { consoleRoutes } from './console/routes.js'
import type { HttpDeps } from './deps.js'
import { grantRoutes } from './grant-routes.js'
import { healthRoutes } from './health-routes.js'
import { incidentRoutes } from './incident-routes.js'
import { keyRoutes } from './key-routes.js'
import { logRoutes } from './log-routes.js'
import { countRequests, metricsRoutes } from './metrics-routes.js'
import { operatorRoutes } from './operator-routes.js'
import { sendProblem } from './problems.js'
import { reachRoutes } from './reach-routes.js'
import { revokeRoutes } from './revoke-routes.js'
import { securityRoutes } from './security-routes.js'
import { endSilentConnections } from './silent-connections.js'
import { stopRoutes } from './stop-routes.js'
import { streamRoutes } from './stream-routes.js'
import { webhookRoutes } from './webhook-routes.js'

export interface HttpSettings {
  readonly log: FastifyBaseLogger
  readonly trustedProxies: readonly string[]
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer }
  readonly version: string
}

/** A JWT of 8 KiB, its header name, and an AWS SDK's own headers. */
const MAX_HEADER_BYTES = 16 * 1024

/** The HTTP side, ready to listen. Everything it does goes through `deps`. */
export async function buildApp(deps: HttpDeps, settings: HttpSettings): Promise<FastifyInstance> {
  const http = { maxHeaderSize: MAX_HEADER_BYTES }
  const app = Fastify({
    loggerInstance: settings.log,
    // Our own line below says no more than the route, the status and the time.
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: settings.trustedProxies.length === 0 ? false : [...settings.trustedProxies],
    bodyLimit: 64 * 1024,
    // Fastify's default is none: a slow sender could hold a connection for ever.
    requestTimeout: 10_000,
    keepAliveTimeout: 72_000,
    // An id of the caller's choosing could forge a join in our log.
    genReqId: () => randomBytes(9).toString('base64url'),
    // Our own hook below says it as a problem with a code.
    return503OnClosing: false,
    ...(settings.tls === undefined
      ? { http }
      : { https: { ...settings.tls, ...http, minVersion: 'TLSv1.2' as const, handshakeTimeout: 10_000 } }),
  } as object).withTypeProvider<ZodTypeProvider>()

  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  app.setNotFoundHandler((request, reply) => {
    const error = new WritError('not_found', 'There is nothing at this path.')
    if (!request.url.startsWith('/console/') || !showsAnswer(request))
      return sendProblem(error, request, reply)
    consoleHeaders(reply)
    return sendErrorPage(error, request, reply)
  })
  endSilentConnections(app)
  countRequests(app, deps.metrics)
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id)
    if (closing) throw new WritError('shutting_down', 'This replica is shutting down.')
  })
  app.addHook('onSend', async (_request, reply) => {
    // A kept connection would hold the shutdown up until it times out.
    if (closing) reply.header('connection', 'close')
  })
  app.addHook('onResponse', async (request, reply) => {
    // The route's pattern, not the URL: nothing a caller writes into it reaches the log.
    const route = `${request.method} ${request.routeOptions.url ?? '(none)'}`
    request.log.info({ route, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, 'request')
  })

  await app.register(helmet, {
    contentSecurityPolicy: {
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
      useDefaults: false,
    },
    referrerPolicy: { policy: 'no-referrer' },
  })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Writ',
        version: settings.version,
        description: 'Credentials for AI agents. Errors are RFC 9457 problem details with a stable `code`.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        securitySchemes: {
          agent: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: "A token of an agents' issuer",
          },
          operator: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: "A token of an operators' issuer",
          },
        },
      },
    },
    transform: jsonSchemaTransform,
  })
  for (const routes of [
    healthRoutes,
    metricsRoutes,
    agentRoutes,
    awsRoutes,
    grantRoutes,
    operatorRoutes,
    breakGlassRoutes,
    stopRoutes,
    revokeRoutes,
    incidentRoutes,
    keyRoutes,
    securityRoutes,
    reachRoutes,
    streamRoutes,
    logRoutes,
    webhookRoutes,
    consoleRoutes,
  ]) {
    await app.register(routes, { deps })
  }
  await app.ready()
  return app
}
