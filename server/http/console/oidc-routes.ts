import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { signInPage } from '../../../web/pages/sign-in.js'
import { ERRORS, WritError } from '../../errors.js'
import type { Transaction } from '../../identity/code-flow.js'
import { createSignInStates } from '../../operators/sign-in-states.js'
import { signsIn } from '../../operators/standing.js'
import { readCookie, writeCookie } from './cookies.js'
import { localPath } from './origin.js'
import { comeAgain, consoleOpen, refused, signedIn } from './session.js'
import { signInChoices } from './sign-in-page.js'
import { openSession, recordSignIn, type SignInDeps } from './signing-in.js'

const CALLBACK = '/console/sign-in/callback'

/** What the cookie of a sign-in holds. */
interface UnderWay {
  readonly transaction: Transaction
  readonly to: string
  /** The session this browser had when it left; its cookie does not come back from the issuer's site. */
  readonly replaces?: string
}

/** Leaving for an issuer, and coming back (OpenID Connect Core section 3.1). */
export const oidcRoutes: FastifyPluginAsyncZod<{ deps: SignInDeps }> = async (app, { deps }) => {
  const states = createSignInStates(deps.operators.database)
  const { origin } = deps.console
  // A refusal here is read by somebody who wants to sign in: it stands on the page where they can.
  consoleOpen(app, deps.console, (error, _request, reply) => {
    const { status, next } = ERRORS[error.code]
    const page = signInPage({
      ...signInChoices(deps, { to: '/console', again: false }),
      error: { code: error.code, text: `${error.message} ${next}` },
    })
    return reply.code(status).type('text/html; charset=utf-8').send(page)
  })

  app.get(
    '/console/sign-in/start',
    {
      schema: {
        hide: true,
        querystring: z.object({
          issuer: z.string().max(500),
          to: z.string().max(2000).optional(),
          again: z.literal('1').optional(),
        }),
      },
    },
    async (request, reply) => {
      const { issuer, again } = request.query
      const to = localPath(request.query.to)
      // Another site must not begin it: whoever comes back would not know why they are signed in.
      const site = request.headers['sec-fetch-site']
      if (site !== undefined && site !== 'same-origin' && site !== 'none') {
        return reply.redirect(`/console/sign-in?to=${encodeURIComponent(to)}`, 303)
      }
      const secret = readCookie(request, origin(), 'session')
      const before = secret === undefined ? undefined : await signedIn(deps.console, secret)
      const { url, transaction } = await deps.codeFlow.begin(issuer, {
        redirectUri: `${origin()}${CALLBACK}`,
        fresh: again === '1',
      })
      const underWay: UnderWay = {
        transaction,
        to,
        ...(before === undefined ? {} : { replaces: before.session.id }),
      }
      writeCookie(reply, origin(), 'sign-in', await states.begin(transaction.state, underWay))
      return reply.redirect(url, 303)
    },
  )

  app.get(CALLBACK, { schema: { hide: true } }, async (request, reply) => {
    const cookie = readCookie(request, origin(), 'sign-in')
    writeCookie(reply, origin(), 'sign-in', '')
    const url = new URL(`${origin()}${request.url}`)
    const [state, ...more] = url.searchParams.getAll('state')
    const taken = await states.take(more.length === 0 ? state : undefined, cookie)
    const { transaction, to, replaces } = taken as UnderWay
    const identity = await deps.codeFlow.finish(transaction, url)
    const who = signsIn(deps.console.auth.policySet(), identity)
    if (who === undefined) {
      await deps.console.auth.record(refused('operator_unknown', request, identity))
      throw new WritError('operator_unknown', 'You signed in, and are not exactly one operator here.')
    }
    // An issuer that does not say when counts as never: whatever needs a fresh sign-in asks for one.
    const authenticatedAt = identity.authenticatedAt ?? new Date(0)
    const { id, expiresAt } = await openSession(deps, reply, {
      operator: who.operator.name,
      method: 'oidc',
      identity: who.kept,
      authenticatedAt,
      ...(replaces === undefined ? {} : { replaces }),
    })
    await recordSignIn(deps, request, {
      operator: who.operator.name,
      method: 'oidc',
      session: id,
      subject: identity.subject,
      payload: {
        issuer: identity.issuer,
        issued_at: identity.issuedAt.toISOString(),
        expires_at: expiresAt.toISOString(),
        ...(identity.authenticatedAt === undefined
          ? {}
          : { authenticated_at: identity.authenticatedAt.toISOString() }),
      },
    })
    return comeAgain(reply, to, 'Signed in')
  })
}
