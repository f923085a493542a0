import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Broker, buildBroker, type Replacements } from '../../server/build.js'
import { readConfig } from '../../server/config.js'
import { type LocalTokenRequest, loadLocalIssuer } from '../../server/identity/local-issuer.js'
import { createLog } from '../../server/log.js'
import { packageRoot } from '../../server/paths.js'
import { type TestDatabase, testDatabase } from './postgres.js'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever JSON came and compares it
  readonly body: any
}

export interface TestBroker extends Broker {
  readonly url: string
  readonly dataDir: string
  readonly sql: TestDatabase
  readonly localAws: NonNullable<Broker['localAws']>
  /** Every line the broker logged. */
  readonly logged: readonly string[]
  readonly agentToken: (name: string, change?: Partial<LocalTokenRequest>) => Promise<string>
  readonly operatorToken: (name: string, change?: Partial<LocalTokenRequest>) => Promise<string>
  readonly call: (method: string, path: string, token?: string, body?: unknown) => Promise<Answer>
}

export interface TestBrokerOptions extends Pick<Replacements, 'issue' | 'policySet'> {
  /** Default: the example set. */
  readonly policies?: string
  /** Default: a fresh clone of the migrated template. */
  readonly sql?: TestDatabase
}

/** A whole broker in local mode, listening on a free port, over a database of the test's own. */
export async function startTestBroker(t: Test, options: TestBrokerOptions = {}): Promise<TestBroker> {
  const sql = options.sql ?? (await testDatabase(t))
  const dataDir = await mkdtemp(join(tmpdir(), 'writ-broker-'))
  const logged: string[] = []
  const log = createLog('debug', { write: (line: string) => void logged.push(line) })
  const config = readConfig({
    WRIT_MODE: 'local',
    WRIT_PORT: '0',
    WRIT_DATA_DIR: dataDir,
    WRIT_POLICIES: options.policies ?? join(packageRoot(), 'policies'),
  })
  const broker = await buildBroker(config, log, { ...options, databaseUrl: sql.brokerUrl })
  t.teardown(async () => {
    await broker.close()
    await rm(dataDir, { recursive: true, force: true })
  })
  const { localAws } = broker
  if (localAws === undefined) throw new Error('local mode without a local AWS')
  await broker.app.listen({ host: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${(broker.app.server.address() as AddressInfo).port}`
  const issuer = await loadLocalIssuer(dataDir)
  return {
    ...broker,
    url,
    dataDir,
    sql,
    localAws,
    logged,
    agentToken: (name, change) =>
      issuer.sign({ subject: `agent:${name}`, audience: 'https://writ.localhost', ...change }),
    operatorToken: (name, change) =>
      issuer.sign({
        subject: `operator:${name}`,
        audience: 'https://writ.localhost/operators',
        authTime: new Date(),
        ...change,
      }),
    call: async (method, path, token, body) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        body: text === '' ? undefined : JSON.parse(text),
      }
    },
  }
}
