import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { signInPage } from '../../../web/pages/sign-in.js'
import { WritError } from '../../errors.js'
import type { SessionRow } from '../../operators/sessions.js'
import type { OperatorRole } from '../../types.js'
import { recordId } from '../schemas.js'
import { readCookie, writeCookie } from './cookies.js'
import { oidcRoutes } from './oidc-routes.js'
import { localPath } from './origin.js'
import { passkeyRoutes } from './passkey-routes.js'
import { consoleOnly, consoleOpen, signedIn } from './session.js'
import { signInChoices } from './sign-in-page.js'
import type { SignInDeps } from './signing-in.js'

/** Signing in to the console and out of it, and the sessions there are. */
export const signInRoutes: FastifyPluginAsyncZod<{ deps: SignInDeps }> = async (app, { deps }) => {
  await app.register(signInPageRoutes, { deps })
  await app.register(oidcRoutes, { deps })
  await app.register(passkeyRoutes, { deps })
  await app.register(sessionRoutes, { deps })
}

const signInPageRoutes: FastifyPluginAsyncZod<{ deps: SignInDeps }> = async (app, { deps }) => {
  consoleOpen(app, deps.console)
  app.get(
    '/console/sign-in',
    {
      schema: {
        hide: true,
        querystring: z.object({ to: z.string().optional().catch(undefined), again: z.string().optional() }),
      },
    },
    async (request, reply) => {
      const to = localPath(request.query.to)
      const secret = readCookie(request, deps.console.origin(), 'session')
      const found = secret === undefined ? undefined : await signedIn(deps.console, secret)
      const again = found !== undefined && request.query.again === '1'
      if (found !== undefined && !again) return reply.redirect(to, 303)
      return reply.type('text/html; charset=utf-8').send(signInPage(signInChoices(deps, { to, again })))
    },
  )
}

const EVERYBODY: readonly OperatorRole[] = ['operator', 'approver', 'security', 'admin']

const sessionView = z.object({
  id: z.string(),
  operator: z.string(),
  method: z.enum(['oidc', 'passkey']),
  created_at: z.string(),
  authenticated_at: z.string(),
  /** To the minute. */
  seen_at: z.string(),
  expires_at: z.string(),
  /** The one that asks. */
  current: z.boolean(),
})

/** Behind a session. Codes: not_found, operator_role. */
const sessionRoutes: FastifyPluginAsyncZod<{ deps: SignInDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const { sessions, origin } = deps.console
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: 4096 },
    (_request, body, done) => done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  )

  app.post(
    '/console/sign-out',
    { config: { roles: EVERYBODY, form: true }, schema: { hide: true } },
    async (request, reply) => {
      await sessions.end(callerOf(request).session.id, 'signed_out')
      writeCookie(reply, origin(), 'session', '')
      return reply.redirect('/console/sign-in', 303)
    },
  )

  app.get(
    '/console/sessions',
    {
      config: { roles: EVERYBODY },
      schema: {
        hide: true,
        querystring: z.object({ of: z.literal('all').optional() }),
        response: { 200: z.object({ items: z.array(sessionView) }) },
      },
    },
    async (request) => {
      const { operator, session } = callerOf(request)
      const all = request.query.of === 'all'
      if (all && !operator.roles.has('admin')) {
        throw new WritError('operator_role', 'The sessions of others are for administrators.')
      }
      const rows = await sessions.list(all ? undefined : operator.name)
      return { items: rows.map((row) => viewOf(row, session.id)) }
    },
  )

  app.post(
    '/console/sessions/:id/end',
    {
      config: { roles: EVERYBODY },
      schema: {
        hide: true,
        params: z.object({ id: recordId }),
        response: { 200: z.object({ ended: z.boolean() }) },
      },
    },
    async (request) => {
      const { operator } = callerOf(request)
      const { id } = request.params
      let ended = await sessions.end(id, 'ended', { operator: operator.name })
      if (ended === undefined && operator.roles.has('admin')) {
        ended = await sessions.end(id, 'ended_by_admin', { by: operator.name })
      }
      // Whether somebody else's is there is nobody's business.
      if (ended === undefined) throw new WritError('not_found', 'You have no such session.')
      return { ended }
    },
  )
}

const viewOf = (row: SessionRow, current: string): z.infer<typeof sessionView> => ({
  id: row.id,
  operator: row.operator,
  method: row.method,
  created_at: row.createdAt.toISOString(),
  authenticated_at: row.authenticatedAt.toISOString(),
  seen_at: row.seenAt.toISOString(),
  expires_at: row.expiresAt.toISOString(),
  current: row.id === current,
})
