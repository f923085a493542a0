import type { FastifyReply, FastifyRequest } from 'fastify'
import { seenFrom } from '../../audit/personal.js'
import { WritError } from '../../errors.js'
import type { CodeFlow } from '../../identity/code-flow.js'
import type { OperatorDeps } from '../../operators/deps.js'
import type { NewSession, SignInMethod } from '../../operators/sessions.js'
import { writeCookie } from './cookies.js'
import type { ConsoleDeps } from './deps.js'

/** What signing in needs beyond the console. */
export interface SignInDeps {
  readonly console: ConsoleDeps
  readonly operators: OperatorDeps
  readonly codeFlow: CodeFlow
}

/** Starts a session and hands its cookie to the browser. Answers its id and when it ends at the latest. */
export async function openSession(
  deps: SignInDeps,
  reply: FastifyReply,
  session: NewSession,
): Promise<{ readonly id: string; readonly expiresAt: Date }> {
  const { id, secret, expiresAt } = await deps.console.sessions.start(session)
  writeCookie(reply, deps.console.origin(), 'session', secret)
  return { id, expiresAt }
}

/** The entry of a sign-in. Like that of a token's first use it keeps nobody out: they may be here to revoke. */
export async function recordSignIn(
  deps: SignInDeps,
  request: FastifyRequest,
  signedIn: {
    readonly operator: string
    readonly method: SignInMethod
    readonly session?: string
    readonly subject?: string
    readonly payload: Readonly<Record<string, string>>
  },
): Promise<void> {
  const { operator, method, session, subject, payload } = signedIn
  try {
    await deps.console.auth.record({
      op: 'event',
      kind: 'operator.signed_in',
      fields: { operator },
      payload: { request: request.id, method, ...(session === undefined ? {} : { session }), ...payload },
      personal: { ...(subject === undefined ? {} : { subject }), source_ip: request.ip },
      seen: seenFrom(request.ip),
    })
  } catch (error) {
    if (!(error instanceof WritError)) throw error
    request.log.warn({ code: error.code, operator }, 'sign-in not recorded')
  }
}
