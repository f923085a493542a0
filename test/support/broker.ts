import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Change, SoftwareKey } from '../../cli/software-key.js'
import type { AlarmParts } from '../../server/alarms/start.js'
import { type Broker, buildBroker, type Replacements } from '../../server/build.js'
import { readConfig } from '../../server/config.js'
import { asOwner } from '../../server/db/owner.js'
import { type LocalTokenRequest, loadLocalIssuer } from '../../server/identity/local-issuer.js'
import type { IssueDeps } from '../../server/issuance/issue.js'
import { createLog } from '../../server/log.js'
import { packageRoot } from '../../server/paths.js'
import { bodyProblems } from './bodies.js'
import { dump } from './dump.js'
import { silent, type TestDatabase, testDatabase } from './postgres.js'
import { enrolKey } from './signing.js'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever JSON came and compares it
  readonly body: any
}

export interface TestBroker extends Omit<Broker, 'origin'> {
  readonly url: string
  readonly dataDir: string
  readonly sql: TestDatabase
  readonly localAws: NonNullable<Broker['localAws']>
  /** Every line the broker logged. */
  readonly logged: readonly string[]
  readonly agentToken: (name: string, change?: Partial<LocalTokenRequest>) => Promise<string>
  readonly operatorToken: (name: string, change?: Partial<LocalTokenRequest>) => Promise<string>
  readonly call: (method: string, path: string, token?: string, body?: unknown) => Promise<Answer>
  /** Where passkeys are bound to. */
  readonly origin: string
  /** A software passkey of the operator's, the same at every call. */
  readonly enrol: (operator: string) => Promise<SoftwareKey>
  /** A signed decision: what the broker answers to it, or to asking for what is to be signed. */
  readonly decide: (requestId: string, operator: string, change?: DecideChange) => Promise<Answer>
  /** A grant that nobody asked for, by `POST /v1/grants` and a signature. */
  readonly grant: (operator: string, wish: object) => Promise<Answer>
}

export interface DecideChange {
  readonly decision?: 'approve' | 'deny'
  readonly comment?: string
  readonly break_glass?: boolean
  /** Of the operator, where not a usual one. */
  readonly token?: string
  /** What the key signs otherwise than honest ones do. */
  readonly key?: Change
}

export interface TestBrokerOptions extends Pick<Replacements, 'issue' | 'policySet'> {
  /** Default: the example set. */
  readonly policies?: string
  /** Default: a fresh clone of the migrated template. */
  readonly sql?: TestDatabase
  /** Default: none, so that nothing comes into the log that the test did not have come. */
  readonly alarms?: true | Partial<AlarmParts>
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
  const secrets: string[] = []
  const errors: string[] = []
  const { alarms, ...replaced } = options
  const broker = await buildBroker(config, log, {
    ...replaced,
    alarms: alarms === true ? {} : (alarms ?? false),
    databaseUrl: sql.brokerUrl,
    issue: (deps) => keepingSecrets(options.issue?.(deps) ?? deps, secrets),
  })
  t.teardown(async () => {
    await broker.close()
    // Whatever the test was about: what was handed out may have gone nowhere else.
    const rows = await dump(sql.superuserUrl).catch(() => '')
    const [malformed] = await bodyProblems(sql.superuserUrl).catch(() => [])
    await rm(dataDir, { recursive: true, force: true })
    findLeaks(secrets, { log: logged.join(''), database: rows, errors: errors.join('') })
    if (malformed !== undefined) throw new Error(`an entry is not of its kind: ${malformed}`)
  })
  const { localAws } = broker
  if (localAws === undefined) throw new Error('local mode without a local AWS')
  await broker.app.listen({ host: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${(broker.app.server.address() as AddressInfo).port}`
  const issuer = await loadLocalIssuer(dataDir)
  const sign = async (request: LocalTokenRequest) => {
    const token = await issuer.sign(request)
    // Secret in its signature: the rest is claims, and claims are recorded.
    secrets.push(token.split('.')[2] ?? token)
    return token
  }
  const operatorToken: TestBroker['operatorToken'] = (name, change) =>
    sign({
      subject: `operator:${name}`,
      audience: 'https://writ.localhost/operators',
      authTime: new Date(),
      ...change,
    })
  const call: TestBroker['call'] = async (method, path, token, body) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (response.status >= 400) errors.push(text)
    return { status: response.status, headers: response.headers, body: bodyOf(response, text) }
  }
  const origin = url.replace('127.0.0.1', 'localhost')
  const keys = new Map<string, Promise<SoftwareKey>>()
  const enrol: TestBroker['enrol'] = (operator) => {
    const key =
      keys.get(operator) ??
      asOwner(sql.ownerUrl, silent, (owner) =>
        enrolKey(owner, broker.database, operator, { rpId: 'localhost', origin }),
      )
    keys.set(operator, key)
    return key
  }
  const decide: TestBroker['decide'] = async (id, operator, change = {}) => {
    const key = await enrol(operator)
    const { key: altered, token = await operatorToken(operator), decision = 'approve', ...said } = change
    const path = `/v1/grant-requests/${id}`
    const asked = await call('POST', `${path}/challenge`, token, { decision, ...said })
    if (asked.status !== 200) return asked
    const { challenge, webauthn } = asked.body
    const proof = key.sign(Buffer.from(webauthn.challenge, 'base64url'), altered)
    return call('POST', `${path}/decisions`, token, { challenge, proof })
  }
  return {
    ...broker,
    url,
    origin,
    dataDir,
    sql,
    localAws,
    logged,
    agentToken: (name, change) =>
      sign({ subject: `agent:${name}`, audience: 'https://writ.localhost', ...change }),
    operatorToken,
    call,
    enrol,
    decide,
    grant: async (operator, wish) => {
      const opened = await call('POST', '/v1/grants', await operatorToken(operator), wish)
      return opened.status === 202 ? decide(opened.body.request_id, operator) : opened
    },
  }
}

function keepingSecrets(deps: IssueDeps, secrets: string[]): IssueDeps {
  return {
    ...deps,
    assumeRole: async (input) => {
      const session = await deps.assumeRole(input)
      secrets.push(session.credentials.secretAccessKey, session.credentials.sessionToken)
      return session
    },
  }
}

function findLeaks(secrets: readonly string[], places: Readonly<Record<string, string>>): void {
  for (const [place, text] of Object.entries(places)) {
    const leaked = secrets.some(
      (secret) => text.includes(secret) || text.includes(encodeURIComponent(secret)),
    )
    if (leaked || /eyJ[\w-]+\.eyJ/.test(text))
      throw new Error(`a secret rests in the ${place} of this test's broker`)
  }
}

/** JSON, or the lines of NDJSON. */
function bodyOf(response: Response, text: string): unknown {
  if (text === '') return undefined
  if (response.headers.get('content-type')?.includes('ndjson') !== true) return JSON.parse(text)
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}
