import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyBaseLogger } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import type { Test } from 'tap'
import { WritError } from '../../server/errors.js'
import { agentPages } from '../../server/http/console/agent-routes.js'
import { assetRoutes } from '../../server/http/console/assets.js'
import { historyPages } from '../../server/http/console/history-routes.js'
import { type IntegrityDeps, integrityPages } from '../../server/http/console/integrity-routes.js'
import { liveRoutes } from '../../server/http/console/live-routes.js'
import { newId } from '../../server/issuance/id.js'
import { createLog } from '../../server/log.js'
import { createSessions } from '../../server/operators/sessions.js'
import { startTestBroker, type TestBroker } from '../support/broker.js'
import { startSession } from '../support/console.js'

export interface TestConsole {
  readonly url: string
  /** Signed in: the cookie of a session of this operator. */
  readonly cookie: (operator: string) => Promise<string>
  /** A page, or an answer, as that operator's browser gets it. */
  readonly get: (path: string, operator?: string, accept?: string) => Promise<Response>
}

/** The console's pages for reviews over a test's broker, on a port of their own. */
export async function startConsole(
  t: Test,
  broker: Pick<TestBroker, 'database' | 'policy' | 'sql' | 'publishing'>,
  change: Partial<IntegrityDeps> = {},
): Promise<TestConsole> {
  const log = createLog('error', { write: (line: string) => void t.comment(line) })
  const app = Fastify({ loggerInstance: log as FastifyBaseLogger })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  let url = ''
  const deps: IntegrityDeps = {
    console: {
      auth: { policySet: broker.policy.current, record: async () => ({ index: 0, at: '' }) as never },
      sessions: createSessions(broker.database, newId),
      origin: () => url,
    },
    database: broker.database,
    ...(broker.publishing === undefined ? {} : { publishing: broker.publishing }),
    webhooks: { list: async () => [] },
    ready: async () => ({ ready: true, checks: { database: { ok: true, detail: 'answered in 1 ms' } } }),
    policyState: broker.policy.state,
    ...change,
  }
  for (const routes of [assetRoutes, agentPages, historyPages, integrityPages, liveRoutes]) {
    await app.register(routes as typeof integrityPages, { deps })
  }
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  url = `http://localhost:${(app.server.address() as AddressInfo).port}`
  const cookies = new Map<string, string>()
  const cookie = async (operator: string): Promise<string> => {
    const known = cookies.get(operator) ?? (await startSession(broker.sql, operator, new Date(), url)).cookie
    cookies.set(operator, known)
    return known
  }
  return {
    url,
    cookie,
    get: async (path, operator = 'carol', accept = 'text/html') =>
      fetch(`${url}${path}`, { headers: { cookie: await cookie(operator), accept }, redirect: 'manual' }),
  }
}

export interface Lived {
  readonly broker: TestBroker
  /** Ids of issuances, by what they are. */
  readonly development: string
  readonly production: string
  readonly failed: string
}

/** What an agent writes: nothing of it may become markup. */
export const EVIL = '<img src=x onerror=alert(1)>"\'><script>alert(2)</script>'

/** A broker that did a bit of everything: a session twice, one on a grant, one that AWS refused, two refusals. */
export async function livedBroker(t: Test, words = EVIL): Promise<Lived> {
  const broker = await startTestBroker(t, {
    issue: (deps) => ({
      ...deps,
      assumeRole: async (input) => {
        if (input.tags['writ:environment'] === 'sandbox') throw new WritError('aws_refused', 'AWS said no.')
        return deps.assumeRole(input)
      },
    }),
  })
  const token = await broker.agentToken('orders-coder')
  const ask = (body: object) =>
    broker.call('POST', '/v1/credentials', token, { scopes: ['orders:read'], reason: words, ...body })
  const development = await ask({ environment: 'development', ticket: words, on_behalf_of: words })
  await ask({ environment: 'development', ticket: words, on_behalf_of: words })
  await ask({ environment: 'sandbox' })
  await ask({ environment: 'development', scopes: ['orders:purge'] })
  await ask({ environment: 'production', scopes: ['orders:write'] })
  const asked = await broker.call('POST', '/v1/grant-requests', token, {
    environment: 'production',
    scopes: ['orders:write'],
    reason: 'Repair order 4711',
  })
  const decided = await broker.decide(asked.body.id, 'bob', { comment: 'Called the team: it is so' })
  if (decided.status !== 200) throw new Error(JSON.stringify(decided.body))
  const production = await ask({ environment: 'production', scopes: ['orders:write'] })
  await broker.call('POST', '/v1/grant-requests', await broker.agentToken('report-bot'), {
    environment: 'production',
    scopes: ['reports:write'],
    reason: 'The nightly report',
  })
  const [failed] = await broker.database.query<{ id: string }>(
    `SELECT issuance_id AS id FROM writ.outcome WHERE state = 'failed'`,
  )
  return {
    broker,
    development: development.body.issuance,
    production: production.body.issuance,
    failed: failed?.id ?? '',
  }
}
