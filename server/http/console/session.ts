import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { html } from '../../../web/html.js'
import { layout } from '../../../web/layout.js'
import { type DenialItem, denialKey } from '../../audit/items.js'
import { seenFrom } from '../../audit/personal.js'
import { type ErrorCode, WritError } from '../../errors.js'
import { csrfHolds, csrfToken, type FoundSession } from '../../operators/sessions.js'
import { standingOf } from '../../operators/standing.js'
import type { Operator, PolicySet } from '../../types.js'
import { pageAssets } from './assets.js'
import type { ConsoleCaller, ConsoleCallerOf } from './caller.js'
import { readCookie, writeCookie } from './cookies.js'
import type { ConsoleDeps } from './deps.js'
import { consoleErrors, type SendPage, sendErrorPage } from './errors.js'
import { consoleHeaders } from './headers.js'
import { atOwnHost, foreignOrigin, isReading, localPath, wantsPage } from './origin.js'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** A plain form, which sends its CSRF token as the field `csrf`: there is no header to put it into. */
    readonly form?: boolean
  }
}

interface SignedIn {
  readonly session: FoundSession
  readonly operator: Operator
  readonly policySet: PolicySet
}

/**
 * Puts every route of this plugin behind a session of the console, with a role as in `operatorsOnly`, and refuses
 * what changes something unless a page of ours sent it. Looks at the cookie only, never at Authorization: a token
 * that a script holds opens no page. Refusals become pages.
 *
 * Answers the function that hands a route its caller. Codes: session_missing, csrf, operator_role, wrong_host.
 */
export function consoleOnly(app: FastifyInstance, deps: ConsoleDeps): ConsoleCallerOf {
  const callers = new WeakMap<FastifyRequest, ConsoleCaller>()
  consoleErrors(app, (error, request, reply) => {
    const caller = callers.get(request)
    if (caller === undefined) return sendErrorPage(error, request, reply)
    const { operator, session } = caller
    const viewer = { operator: operator.name, roles: [...operator.roles], csrf: session.csrf }
    return sendErrorPage(error, request, reply, viewer)
  })
  app.addHook('onRequest', async (request, reply) => {
    consoleHeaders(reply)
    const origin = deps.origin()
    if (atOwnHost(request, reply, origin)) return reply
    const secret = readCookie(request, origin, 'session')
    const found =
      secret === undefined ? undefined : await signedIn(deps, secret, { quiet: isStream(request) })
    if (secret === undefined || found === undefined) return withoutSession(request, reply, origin, secret)
    const { operator, session, policySet } = found
    if (!isReading(request)) await refuseForeign(deps, request, found, secret)
    const { roles = [] } = request.routeOptions.config
    if (!roles.some((role) => operator.roles.has(role))) {
      await deps.auth.record(refusal('operator_role', request, found))
      throw new WritError('operator_role', `This needs the role ${roles.join(' or ')}.`)
    }
    if (session.rotate) {
      const next = await deps.sessions.rotate(secret)
      if (next !== undefined) writeCookie(reply, origin, 'session', next)
    }
    callers.set(request, {
      operator,
      policySet,
      session: {
        id: session.id,
        csrf: csrfToken(secret),
        authenticatedAt: session.authenticatedAt,
        method: session.method,
      },
    })
    return undefined
  })
  // A form's token is in its body, which is not read before.
  app.addHook('preValidation', async (request) => {
    if (isReading(request) || request.routeOptions.config.form !== true) return
    const secret = readCookie(request, deps.origin(), 'session') ?? ''
    const { csrf } = (request.body ?? {}) as { readonly csrf?: unknown }
    if (csrfHolds(secret, csrf)) return
    const found = await signedIn(deps, secret)
    if (found !== undefined) await deps.auth.record(refusal('csrf', request, found))
    throw new WritError('csrf', 'The form was not sent by a page of this session.')
  })
  return (request) => {
    const caller = callers.get(request)
    if (caller === undefined) throw new Error('a route was reached without its hook')
    return caller
  }
}

/**
 * The same for routes that are open to anyone, as signing in must be: their headers, their host name, and nothing
 * changed at the word of another site. Codes: csrf, wrong_host.
 */
export function consoleOpen(
  app: FastifyInstance,
  deps: Pick<ConsoleDeps, 'origin'>,
  sendPage?: SendPage,
): void {
  consoleErrors(app, sendPage)
  app.addHook('onRequest', async (request, reply) => {
    consoleHeaders(reply)
    const origin = deps.origin()
    if (atOwnHost(request, reply, origin)) return reply
    const foreign = isReading(request) ? undefined : foreignOrigin(request, origin)
    if (foreign !== undefined) throw new WritError('csrf', foreign)
    return undefined
  })
}

/** A tab that was left open comes again and again by itself: nobody need be there. */
const isStream = ({ headers }: FastifyRequest): boolean =>
  (headers.accept ?? '').includes('text/event-stream')

/** Whose session this is, by the policy set of now. One that is nobody's any more ends here. */
export async function signedIn(
  deps: Pick<ConsoleDeps, 'auth' | 'sessions'>,
  secret: string,
  how = { quiet: false },
): Promise<SignedIn | undefined> {
  const session = await deps.sessions.find(secret, how)
  if (session === undefined) return undefined
  const policySet = deps.auth.policySet()
  const operator = standingOf(policySet, session)
  if (operator !== undefined) return { session, operator, policySet }
  await deps.sessions.end(session.id, 'policy_changed')
  return undefined
}

function withoutSession(
  request: FastifyRequest,
  reply: FastifyReply,
  origin: string,
  secret: string | undefined,
): FastifyReply {
  if (secret !== undefined) writeCookie(reply, origin, 'session', '')
  if (request.routeOptions.config.form === true) return reply.redirect('/console/sign-in', 303)
  if (!wantsPage(request)) throw new WritError('session_missing', 'There is no session, or it is over.')
  const site = request.headers['sec-fetch-site']
  if (secret === undefined && (site === 'cross-site' || site === 'same-site')) {
    return comeAgain(reply, localPath(request.url), 'Opening')
  }
  return reply.redirect(`/console/sign-in?to=${encodeURIComponent(localPath(request.url))}`, 303)
}

/**
 * A page that loads another one of ours. A browser brings no SameSite=Strict cookie along when it comes from a link
 * elsewhere, through whatever redirects; from this page it does.
 */
export function comeAgain(reply: FastifyReply, path: string, title: string): FastifyReply {
  const page = layout({
    title,
    assets: pageAssets(),
    body: html`<p><a href="${path}">Go on to the console</a></p>`,
  })
  return reply.header('refresh', `0; url=${path}`).type('text/html; charset=utf-8').send(page)
}

async function refuseForeign(
  deps: ConsoleDeps,
  request: FastifyRequest,
  found: SignedIn,
  secret: string,
): Promise<void> {
  const foreign = foreignOrigin(request, deps.origin())
  const inBody = request.routeOptions.config.form === true
  const matches = inBody || csrfHolds(secret, request.headers['x-writ-csrf'])
  if (foreign === undefined && matches) return
  await deps.auth.record(refusal('csrf', request, found))
  throw new WritError('csrf', foreign ?? 'The token of the page is missing, or is of another session.')
}

function refusal(
  code: 'csrf' | 'operator_role',
  request: FastifyRequest,
  { session, operator }: SignedIn,
): DenialItem {
  const { issuer, subject } = session.identity ?? {}
  return refused(code, request, { operator: operator.name, issuer, subject })
}

/** The entry of an operator, or who would be one, who tried what they may not. */
export function refused(
  code: ErrorCode,
  request: FastifyRequest,
  who: {
    readonly operator?: string
    readonly issuer?: string | undefined
    readonly subject?: string | undefined
  },
): DenialItem {
  const { operator, issuer, subject } = who
  return {
    op: 'denial',
    kind: 'operator.refused',
    key: denialKey('operator.refused', code, issuer, subject, operator),
    fields: { code, ...(operator === undefined ? {} : { operator }) },
    payload: {
      request: request.id,
      path: request.routeOptions.url ?? '',
      ...(issuer === undefined ? {} : { issuer }),
    },
    personal: { ...(subject === undefined ? {} : { subject }), source_ip: request.ip },
    seen: seenFrom(request.ip),
  }
}
