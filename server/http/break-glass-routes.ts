import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { listBreakGlass, reviewBreakGlass } from '../grants/break-glass.js'
import { operatorsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { nextPage, pageBefore } from './pages.js'
import { pageQuery, recordId, revokeBody } from './schemas.js'

const instant = z.string().describe('ISO 8601, UTC')
const verdict = z.enum(['justified', 'not-justified'])

export const breakGlassView = z.object({
  grant_id: z.string(),
  request_id: z.string(),
  agent: z.string(),
  environment: z.string(),
  account: z.string(),
  scopes: z.array(z.string()).readonly(),
  operator: z.string().describe('Who broke the glass'),
  comment: z.string().nullable().describe('Why, in their words; null once erased'),
  at: instant,
  expires_at: instant.describe('End of the grant'),
  uses: z.number().int(),
  revoked_at: instant.nullable(),
  review_due: instant,
  overdue: z.boolean().describe('Nobody breaks the glass in this environment until it is reviewed'),
  reviewed_at: instant.nullable(),
  reviewed_by: z.string().nullable(),
  verdict: verdict.nullable(),
})

// The same limits as on every other reason that a human writes.
const reviewBody = z.strictObject({ verdict, comment: revokeBody.shape.reason })

/** What was granted in an emergency by one human alone. Every operator sees it; others than that one review it. */
export const breakGlassRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const security = [{ operator: [] }]
  const tags = ['operator']

  app.get(
    '/v1/break-glass',
    {
      config: { roles: ['operator', 'approver', 'security', 'admin'] },
      schema: {
        summary: 'Uses of break-glass, newest first',
        tags,
        security,
        querystring: z.strictObject({
          grant: recordId.optional(),
          reviewed: z
            .enum(['true', 'false'])
            .transform((value) => value === 'true')
            .optional(),
          ...pageQuery,
        }),
        response: {
          200: z.object({ items: z.array(breakGlassView).readonly(), next: z.string().nullable() }),
        },
      },
    },
    async (request) => {
      const { grant, reviewed, limit, before } = request.query
      const page = { limit, ...pageBefore(before) }
      const items = await listBreakGlass(deps.database, { grant, reviewed }, page)
      const keyed = items.map(({ at, grant_id }) => ({ created_at: at, id: grant_id }))
      return { items, next: nextPage(keyed, limit) }
    },
  )

  app.post(
    '/v1/break-glass/:grant/review',
    {
      config: { roles: ['approver', 'security', 'admin'] },
      schema: {
        summary: "Say whether somebody else's use of break-glass was justified; once",
        tags,
        security,
        params: z.object({ grant: recordId }),
        body: reviewBody,
        response: { 200: breakGlassView },
      },
    },
    async (request) => {
      const { operator } = callerOf(request)
      const { verdict, comment } = request.body
      const review = { grantId: request.params.grant, verdict, comment }
      const view = await reviewBreakGlass(deps.database, operator, review)
      request.log.info({ grant: view.grant_id, operator: operator.name, verdict }, 'break-glass reviewed')
      return view
    },
  )
}
