import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { createAttempts } from '../operators/attempts.js'
import type { OperatorDeps } from '../operators/deps.js'
import { codeOptions, enrolWithCode } from '../operators/enrolment.js'
import { saidFrom } from '../operators/store.js'
import type { OperatorRole } from '../types.js'
import { type AuthDeps, operatorsOnly } from './authenticate.js'
import { keyCalls } from './key-calls.js'
import {
  enrolAnswer,
  enrolBody,
  enrolOptionsBody,
  keyId,
  keysAnswer,
  ofOperator,
  proposalParams,
  proposalsAnswer,
  proposeAnswer,
  proposeBody,
  registrationAnswer,
  removedAnswer,
  vouchAnswer,
  vouchBody,
  vouchChallengeAnswer,
  withdrawnAnswer,
} from './key-schemas.js'

export interface KeyRouteDeps {
  readonly auth: AuthDeps
  readonly operators: OperatorDeps
}

export const ALL_ROLES: readonly OperatorRole[] = ['operator', 'approver', 'security', 'admin']
export const VOUCHERS: readonly OperatorRole[] = ['approver', 'admin']

const tags = ['operator']

/** Operators' keys, over a token; enrolling with a one-time code takes none. */
export const keyRoutes: FastifyPluginAsyncZod<{ deps: KeyRouteDeps }> = async (app, { deps }) => {
  await app.register(enrolRoutes, { deps })
  await app.register(ownKeyRoutes, { deps })
  await app.register(vouchRoutes, { deps })
}

const bearer = (app: Parameters<typeof keyRoutes>[0], deps: KeyRouteDeps) => {
  const callerOf = operatorsOnly(app, deps.auth)
  return keyCalls(deps.operators, (request) => {
    const { operator, identity } = callerOf(request)
    return {
      operator,
      authenticatedAt: identity.authenticatedAt,
      issuer: identity.issuer,
      subject: identity.subject,
    }
  })
}

const security = [{ operator: [] }]

const ownKeyRoutes: FastifyPluginAsyncZod<{ deps: KeyRouteDeps }> = async (app, { deps }) => {
  const calls = bearer(app, deps)

  app.get(
    '/v1/operator-keys',
    {
      config: { roles: ALL_ROLES },
      schema: {
        summary:
          'Your keys, or with `operator` those of somebody else (roles admin and security); removed ones too',
        tags,
        security,
        querystring: ofOperator,
        response: { 200: keysAnswer },
      },
    },
    (request) => calls.list(request, request.query.operator),
  )

  app.post(
    '/v1/operator-keys/options',
    {
      config: { roles: ALL_ROLES },
      schema: {
        summary: 'Begin to propose a passkey of yours; needs a fresh auth_time',
        tags,
        security,
        response: { 200: registrationAnswer },
      },
    },
    (request) => calls.options(request),
  )

  app.post(
    '/v1/operator-keys',
    {
      config: { roles: ALL_ROLES },
      schema: {
        summary:
          'Propose a key of yours, which somebody else vouches for within 24 hours; needs a fresh auth_time',
        tags,
        security,
        body: proposeBody,
        response: { 202: proposeAnswer },
      },
    },
    async (request, reply) => reply.code(202).send(await calls.propose(request, request.body)),
  )

  app.delete(
    '/v1/operator-keys/*',
    {
      config: { roles: ALL_ROLES },
      schema: {
        summary: 'Remove a key of yours, or as admin of anybody, for ever; needs a fresh auth_time',
        tags,
        security,
        // Ids are longer than the router lets a named parameter be.
        params: z.object({ '*': keyId }),
        response: { 200: removedAnswer },
      },
    },
    (request) => calls.remove(request, request.params['*']),
  )
}

const vouchRoutes: FastifyPluginAsyncZod<{ deps: KeyRouteDeps }> = async (app, { deps }) => {
  const calls = bearer(app, deps)

  app.get(
    '/v1/operator-keys/proposals',
    {
      config: { roles: ALL_ROLES },
      schema: {
        summary: 'Keys that wait for somebody to vouch for them; only yours unless you could',
        tags,
        security,
        response: { 200: proposalsAnswer },
      },
    },
    (request) => calls.proposals(request),
  )

  app.post(
    '/v1/operator-keys/proposals/:id/challenge',
    {
      config: { roles: VOUCHERS },
      schema: {
        summary: 'What to sign to vouch for a key',
        tags,
        security,
        params: proposalParams,
        response: { 200: vouchChallengeAnswer },
      },
    },
    (request) => calls.challenge(request, request.params.id),
  )

  app.post(
    '/v1/operator-keys/proposals/:id/vouch',
    {
      config: { roles: VOUCHERS },
      schema: {
        summary: 'Vouch, by a signature with a key of yours, that a key is its operator’s',
        tags,
        security,
        params: proposalParams,
        body: vouchBody,
        response: { 200: vouchAnswer },
      },
    },
    (request) => calls.vouch(request, request.params.id, request.body),
  )

  app.delete(
    '/v1/operator-keys/proposals/:id',
    {
      config: { roles: ALL_ROLES },
      schema: {
        summary: 'Take a proposal back, or turn one down',
        tags,
        security,
        params: proposalParams,
        response: { 200: withdrawnAnswer },
      },
    },
    (request) => calls.withdraw(request, request.params.id),
  )
}

const enrolRoutes: FastifyPluginAsyncZod<{ deps: KeyRouteDeps }> = async (app, { deps }) => {
  const { operators } = deps
  const attempts = createAttempts(operators.now)

  app.post(
    '/v1/operator-keys/enrol/options',
    {
      schema: {
        summary: 'Begin to enrol a passkey with a one-time code, which is not used up yet; takes no token',
        tags,
        security: [],
        body: enrolOptionsBody,
        response: { 200: registrationAnswer },
      },
    },
    (request) =>
      codeOptions(operators, attempts, {
        ...request.body,
        ip: request.ip,
        request: request.id,
        said: saidFrom(request.ip),
      }),
  )

  app.post(
    '/v1/operator-keys/enrol',
    {
      schema: {
        summary: 'Enrol a passkey with a one-time code; takes no token',
        tags,
        security: [],
        body: enrolBody,
        response: { 201: enrolAnswer },
      },
    },
    async (request, reply) => {
      const { operator, code, ...answer } = request.body
      const holder = { operator, code, ip: request.ip, request: request.id, said: saidFrom(request.ip) }
      const done = await enrolWithCode(operators, attempts, holder, answer)
      request.log.info({ operator }, 'key enrolled with a code')
      return reply.code(201).send(done)
    },
  )
}
