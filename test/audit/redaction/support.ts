import type { Test } from 'tap'
import { asOwner } from '../../../server/db/owner.js'
import { createPool, type Database, type Queryable } from '../../../server/db/pool.js'
import type { TestBroker } from '../../support/broker.js'
import { type Ledger, testLedger } from '../../support/ledger.js'
import { silent, type TestDatabase } from '../../support/postgres.js'

export const HUMAN = 'Philomena Quux'
export const OTHER = 'Zebedee Vance'

/** The database administrator, whom no trigger stops. */
export async function administrator(t: Test, sql: TestDatabase): Promise<Database> {
  const admin = createPool({
    connectionString: sql.superuserUrl,
    applicationName: 'test',
    log: silent,
    max: 1,
    statementTimeoutMs: 60_000,
  })
  t.teardown(() => admin.end())
  await admin.query('SET session_replication_role = replica')
  return admin
}

export const owner = <T>(sql: TestDatabase, work: (client: Queryable) => Promise<T>): Promise<T> =>
  asOwner(sql.ownerUrl, silent, work)

/** One human's day: a session, a denial, a grant asked for, commented on, used and revoked. Answers issuances. */
export async function aDay(t: Test, broker: TestBroker, human: string, words: string) {
  const agent = await broker.agentToken('orders-coder', { claims: { human } })
  const bob = await broker.operatorToken('bob')
  const call = async (method: string, path: string, token: string, body: unknown, status: number) => {
    const answer = await broker.call(method, path, token, body)
    t.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`)
    return answer.body
  }
  const read = {
    environment: 'development',
    scopes: ['orders:read'],
    reason: `${words} reads`,
    ticket: words,
  }
  const write = {
    environment: 'production',
    scopes: ['orders:write'],
    reason: `${words} writes`,
    ticket: words,
  }
  const one = await call('POST', '/v1/credentials', agent, read, 200)
  await call('POST', '/v1/credentials', agent, read, 200)
  await call('POST', '/v1/credentials', agent, write, 403)
  const asked = await call('POST', '/v1/grant-requests', agent, { ...write, uses: 2 }, 202)
  const decided = await broker.decide(asked.id, 'bob', { comment: `${words} may` })
  t.equal(decided.status, 200, JSON.stringify(decided.body))
  const { grant_id: grant } = decided.body
  const two = await call('POST', '/v1/credentials', agent, write, 200)
  await call('POST', `/v1/grants/${grant}/revoke`, bob, { reason: `${words} has enough` }, 200)
  return {
    issuances: [one.issuance, two.issuance] as string[],
    request: asked.id as string,
    grant: grant as string,
  }
}

/** The owner on one connection until the test ends: a pool would drop it when idle, and its role with it. */
export async function lastingOwner(t: Pick<Test, 'teardown'>, url: string): Promise<Queryable> {
  return new Promise((ready, reject) => {
    asOwner(
      url,
      silent,
      (client) =>
        new Promise<void>((end) => {
          t.teardown(() => end())
          ready(client)
        }),
    ).catch(reject)
  })
}

/** `testLedger`, with that owner. */
export async function ownedLedger(t: Test): Promise<Omit<Ledger, 'owner'> & { readonly owner: Queryable }> {
  const ledger = await testLedger(t)
  return { ...ledger, owner: await lastingOwner(t, ledger.superuserUrl) }
}
