import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { WritError } from '../errors.js'
import type { RevocationDeps } from '../revocation/deps.js'
import { findRevocation, revokeIssuance } from '../revocation/issuances.js'
import { type AuthDeps, operatorsOnly } from './authenticate.js'
import { recordId, revokeBody } from './schemas.js'

export interface RevokeRouteDeps {
  readonly auth: AuthDeps
  readonly revocation: RevocationDeps
}

const instant = z.string().describe('ISO 8601, UTC')

export const revocationView = z.object({
  issuance_id: z.string(),
  agent: z.string(),
  environment: z.string(),
  role: z.string(),
  state: z
    .enum(['none', 'asked', 'written', 'presumed', 'over'])
    .describe(
      'none: nothing is to kill it; asked: handed out no more, and alive; written: IAM has the Deny; presumed: for a minute; over: ended by itself',
    ),
  by: z
    .enum(['issuance', 'agent', 'human', 'role'])
    .nullable()
    .describe('Whether it dies by itself, with its agent, its human, or its role'),
  revoked_at: instant.nullable(),
  revoked_by: z.string().nullable(),
  asked_at: instant.nullable(),
  written_at: instant.nullable(),
  presumed_at: instant.nullable().describe('When the Deny is presumed to hold everywhere'),
  ends_at: instant.describe('When the session ends by itself'),
  widened: z.boolean().describe('Other sessions of the role that began before die too'),
  problem: z.string().nullable().describe('Why IAM does not have it yet'),
})

/** One session, killed or not. */
export const revokeRoutes: FastifyPluginAsyncZod<{ deps: RevokeRouteDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const tags = ['operator']
  const security = [{ operator: [] }]
  const params = z.object({ id: recordId })

  app.post(
    '/v1/issuances/:id/revoke',
    {
      config: { roles: ['operator', 'approver', 'security'] },
      schema: {
        summary: 'Kill one session: handed out no more, and denied everything in IAM',
        tags,
        security,
        params,
        body: revokeBody,
        response: { 200: revocationView },
      },
    },
    async (request) => {
      const { operator } = callerOf(request)
      const { reason } = request.body
      const revoking = { issuanceId: request.params.id, operator: operator.name, reason }
      const view = await revokeIssuance(deps.revocation, revoking)
      request.log.warn({ issuance: view.issuance_id, operator: operator.name }, 'issuance revoked')
      return view
    },
  )

  app.get(
    '/v1/issuances/:id/revoke',
    {
      config: { roles: ['operator', 'approver', 'security'] },
      schema: {
        summary: 'How far killing a session has come',
        tags,
        security,
        params,
        response: { 200: revocationView },
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store')
      const view = await findRevocation(deps.revocation.database, request.params.id)
      if (view === undefined) throw new WritError('not_found', 'There is no such issuance.')
      return view
    },
  )
}
