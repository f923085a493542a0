import type { AddressInfo } from 'node:net'
import helmet from '@fastify/helmet'
import Fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Test } from 'tap'
import { createRecorder } from '../../server/audit/recorder.js'
import { appendTo } from '../../server/audit/store.js'
import { createPool, type Database } from '../../server/db/pool.js'
import { operatorsOnly } from '../../server/http/authenticate.js'
import { assetRoutes } from '../../server/http/console/assets.js'
import { consoleOnly } from '../../server/http/console/session.js'
import { signInRoutes } from '../../server/http/console/sign-in-routes.js'
import type { SignInDeps } from '../../server/http/console/signing-in.js'
import { sendProblem } from '../../server/http/problems.js'
import { createSignIns } from '../../server/http/sign-ins.js'
import { type CodeFlow, createCodeFlow } from '../../server/identity/code-flow.js'
import { createVerifier } from '../../server/identity/verifier.js'
import { newId } from '../../server/issuance/id.js'
import { createSessions } from '../../server/operators/sessions.js'
import type { PolicySet } from '../../server/types.js'
import { bodyProblems } from './bodies.js'
import { silent, type TestDatabase, testDatabase } from './postgres.js'

export interface ConsoleApp {
  readonly app: FastifyInstance
  readonly sql: TestDatabase
  readonly database: Database
  readonly deps: SignInDeps
  readonly codeFlow: CodeFlow
  readonly origin: string
  readonly host: string
  /** What policy is from the next request on. */
  policySet: PolicySet
  /** Bodies and personal parts of all entries of a kind, in order. */
  readonly entries: (kind: string) => Promise<readonly Entry[]>
}

export interface Entry {
  readonly body: Readonly<Record<string, unknown>>
  readonly personal: Readonly<Record<string, unknown>> | null
}

/** Signing in, assets, and a few routes to try doors with, listening on loopback over a database of the test's own. */
export async function consoleApp(t: Test, policySet: PolicySet): Promise<ConsoleApp> {
  const sql = await testDatabase(t)
  const database = createPool({ connectionString: sql.brokerUrl, applicationName: 'writ test', log: silent })
  const { record, drain } = createRecorder(appendTo(database))
  const current = { policySet }
  const app = Fastify().withTypeProvider<ZodTypeProvider>()
  const issuers = () => current.policySet.issuers
  const codeFlow = createCodeFlow({ issuers, log: silent, fetchTimeoutMs: 2_000 })
  const verifier = createVerifier({ issuers, log: silent })
  const origin = () => `http://localhost:${(app.server.address() as AddressInfo).port}`
  const auth = {
    verify: verifier.verify,
    policySet: () => current.policySet,
    record,
    signIns: createSignIns(record),
  }
  const deps: SignInDeps = {
    console: { auth, sessions: createSessions(database, newId), origin },
    operators: { database, record, newId, now: () => new Date(), origin },
    codeFlow,
  }
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  await app.register(helmet, {
    contentSecurityPolicy: { directives: { defaultSrc: ["'none'"] }, useDefaults: false },
    referrerPolicy: { policy: 'no-referrer' },
  })
  await app.register(signInRoutes, { deps })
  await app.register(assetRoutes)
  const pages: FastifyPluginAsync = async (inner) => {
    const callerOf = consoleOnly(inner, deps.console)
    const roles = ['operator', 'approver', 'security', 'admin'] as const
    inner.get('/console', { config: { roles } }, (request, reply) =>
      reply.type('text/html').send(`<p>${callerOf(request).operator.name}</p>`),
    )
    inner.get('/console/requests', { config: { roles } }, (request) => ({
      operator: callerOf(request).operator.name,
      session: callerOf(request).session,
    }))
    inner.get('/console/security', { config: { roles: ['security'] } }, () => ({ opened: true }))
    inner.get('/console/nobody', () => ({ opened: true }))
    inner.post('/console/do', { config: { roles } }, () => ({ done: true }))
  }
  const api: FastifyPluginAsync = async (inner) => {
    const callerOf = operatorsOnly(inner, auth)
    inner.get('/v1/probe', { config: { roles: ['approver'] } }, (request) => callerOf(request).operator.name)
  }
  await app.register(pages)
  await app.register(api)
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => {
    await app.close()
    codeFlow.close()
    verifier.close()
    await drain()
    await database.end()
    const [malformed] = await bodyProblems(sql.superuserUrl)
    if (malformed !== undefined) throw new Error(`an entry is not of its kind: ${malformed}`)
  })
  return {
    app: app as unknown as FastifyInstance,
    sql,
    database,
    deps,
    codeFlow,
    origin: origin(),
    host: new URL(origin()).host,
    get policySet() {
      return current.policySet
    },
    set policySet(next) {
      current.policySet = next
    },
    entries: async (kind) => {
      const rows = await database.query<{ body: string; personal: string | null }>(
        `SELECT convert_from(body, 'UTF8') AS body, convert_from(personal, 'UTF8') AS personal
         FROM writ.entry WHERE kind = $1 ORDER BY idx`,
        [kind],
      )
      return rows.map(({ body, personal }) => ({
        body: JSON.parse(body),
        personal: personal === null ? null : JSON.parse(personal),
      }))
    },
  }
}
