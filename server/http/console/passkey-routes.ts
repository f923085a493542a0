import type { FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { WritError } from '../../errors.js'
import { signInOptions, verifySignIn } from '../../operators/ceremonies.js'
import { putChallenge, randomChallenge, takeChallenge } from '../../operators/challenges.js'
import { relyingParty } from '../../operators/deps.js'
import { keyById } from '../../operators/keys.js'
import { recordId } from '../schemas.js'
import { readCookie, writeCookie } from './cookies.js'
import { localPath } from './origin.js'
import { consoleOpen, refused, signedIn } from './session.js'
import { passkeyAlone } from './sign-in-page.js'
import { openSession, recordSignIn, type SignInDeps } from './signing-in.js'

const bytes = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .regex(/^[A-Za-z0-9_-]+$/)

/** AuthenticationResponseJSON (WebAuthn level 3, section 5.1); what else a browser puts into it is left out. */
const credential = z.object({
  id: bytes(1400),
  rawId: bytes(1400),
  type: z.literal('public-key'),
  response: z.object({
    clientDataJSON: bytes(4096),
    authenticatorData: bytes(4096),
    signature: bytes(2048),
    userHandle: bytes(128).nullish(),
  }),
})

/**
 * Signing in with a passkey where no issuer does that, and showing again that one is still there where one does.
 * Codes: sign_in_failed, challenge_over, key_unknown, signature_invalid, operator_unknown, csrf.
 */
export const passkeyRoutes: FastifyPluginAsyncZod<{ deps: SignInDeps }> = async (app, { deps }) => {
  consoleOpen(app, deps.console)
  const { sessions, auth, origin } = deps.console
  const rp = () => relyingParty(deps.operators)

  /** The session a passkey is to confirm, or undefined when it may start one. */
  async function sessionBefore(request: FastifyRequest) {
    const secret = readCookie(request, origin(), 'session')
    const found = secret === undefined ? undefined : await signedIn(deps.console, secret)
    if (found === undefined && !passkeyAlone(deps)) {
      throw new WritError('sign_in_failed', 'Operators of this broker sign in at their issuer.')
    }
    return secret === undefined || found === undefined ? undefined : { secret, ...found }
  }

  app.post('/console/sign-in/passkey/options', { schema: { hide: true } }, async (request) => {
    const before = await sessionBefore(request)
    const random = randomChallenge()
    const { id, expiresAt, seconds } = await putChallenge(deps.operators, {
      purpose: 'sign-in',
      document: random.toString('base64url'),
      ...(before === undefined ? {} : { operator: before.operator.name }),
    })
    const options = await signInOptions(rp(), random, seconds)
    return { challenge: id, expires_at: expiresAt.toISOString(), options }
  })

  app.post(
    '/console/sign-in/passkey',
    {
      schema: {
        hide: true,
        body: z.object({ challenge: recordId, credential, to: z.string().max(2000).optional() }),
      },
    },
    async (request, reply) => {
      const { body } = request
      const before = await sessionBefore(request)
      const asked = await takeChallenge(deps.operators, body.challenge, 'sign-in')
      const key = await keyById(deps.operators, body.credential.id)
      const wanted = before?.operator.name ?? null
      if (
        key?.kind !== 'passkey' ||
        asked.operator !== wanted ||
        (wanted !== null && key.operator !== wanted)
      ) {
        throw new WritError('key_unknown', 'This passkey is not one that signs you in here.')
      }
      const challenge = Buffer.from(asked.document, 'base64url')
      const { signCount } = await verifySignIn(key, body.credential, challenge, rp()).catch(async (error) => {
        if (error instanceof WritError)
          await auth.record(refused(error.code, request, { operator: key.operator }))
        throw error
      })
      const operator = before?.operator ?? auth.policySet().operatorByName(key.operator)
      if (operator === undefined) {
        await auth.record(refused('operator_unknown', request, { operator: key.operator }))
        throw new WritError(
          'operator_unknown',
          'The passkey is good, and its operator has no document any more.',
        )
      }
      const [used] = await deps.operators.database.query<{ used: boolean }>(
        'SELECT writ.key_used($1, $2) AS used',
        [key.id, signCount],
      )
      // Removed, or used with this count, while we looked.
      if (used?.used !== true) throw new WritError('key_unknown', 'This passkey was removed.')
      const at = new Date()
      let session = before?.session.id
      if (before === undefined) {
        const opened = await openSession(deps, reply, {
          operator: operator.name,
          method: 'passkey',
          authenticatedAt: at,
        })
        session = opened.id
      } else {
        const secret = await sessions.authenticated(before.secret)
        if (secret === undefined) throw new WritError('session_missing', 'The session ended meanwhile.')
        writeCookie(reply, origin(), 'session', secret)
      }
      await recordSignIn(deps, request, {
        operator: operator.name,
        method: 'passkey',
        ...(session === undefined ? {} : { session }),
        payload: { key_id: key.id, authenticated_at: at.toISOString() },
      })
      return { to: localPath(body.to) }
    },
  )
}
