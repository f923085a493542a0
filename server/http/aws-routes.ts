import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { issueCredentials } from '../issuance/issue.js'
import { orThrow } from './agent-routes.js'
import { agentsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { containerAnswer, environmentName, scopeList } from './schemas.js'

/** The AWS container provider, for unmodified SDKs: everything in the path, the token verbatim in the header. */
export const awsRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = agentsOnly(app, deps.auth, 'bearer-or-bare')

  app.get(
    '/v1/aws/credentials/:environment/:scopes',
    {
      schema: {
        summary:
          'The same for unmodified AWS SDKs (AWS_CONTAINER_CREDENTIALS_FULL_URI); scopes joined by commas',
        tags: ['agent'],
        security: [{ agent: [] }],
        params: z.object({
          environment: environmentName,
          scopes: z
            .string()
            .max(1000)
            .transform((list) => list.split(','))
            .pipe(scopeList),
        }),
        response: { 200: containerAnswer },
      },
    },
    async (request, reply) => {
      const { agent, identity, policySet } = callerOf(request)
      const wish = { ...request.params, reason: 'AWS SDK' }
      const answer = await issueCredentials(deps.issue, policySet, {
        agent: agent.name,
        identity,
        request: wish,
        caller: { ip: request.ip },
        requestId: request.id,
      })
      const issued = orThrow(answer, wish)
      request.log.info(
        { issuance: issued.issuanceId, agent: agent.name, outcome: issued.outcome },
        'credentials',
      )
      const { accessKeyId, secretAccessKey, sessionToken } = issued.session.credentials
      reply.header('cache-control', 'no-store')
      return {
        AccessKeyId: accessKeyId,
        SecretAccessKey: secretAccessKey,
        Token: sessionToken,
        Expiration: issued.expiresAt.toISOString(),
        AccountId: issued.allow.environment.account,
      }
    },
  )
}
