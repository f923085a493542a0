import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { type Child, startChild } from '../../bench/child.js'
import { setOf } from '../../bench/policies.js'
import type { SoftwareKey } from '../../cli/software-key.js'
import { localRoles } from '../../local-aws/from-policy.js'
import { generateSignerKey, parseSignerKey } from '../../server/audit/merkle/keys.js'
import { migrate } from '../../server/db/migrate.js'
import { asOwner } from '../../server/db/owner.js'
import { createPool, type Database } from '../../server/db/pool.js'
import { withDatabase } from '../../server/db/provision.js'
import { loadPolicySet } from '../../server/policy/load.js'
import { MIGRATIONS } from '../../server/wiring/database.js'
import { startIssuer, type TestIssuer } from '../support/issuer.js'
import { silent } from '../support/postgres.js'
import { enrolKey } from '../support/signing.js'
import type { AwsConfig } from './aws.js'
import { AGENTS, OPERATOR, writePolicies } from './policies.js'
import { type Replica, startReplica } from './replica.js'
import { startVictim, type Victim } from './server.js'

export interface StageOptions {
  readonly replicas: number
  readonly seed: number
  /** The compiled copy whose broker runs. */
  readonly compiled: string
  readonly postgres: Readonly<Record<string, string>>
  /** SQL run as superuser on the migrated database: how the harness itself is put to the test. */
  readonly sabotage?: string
  readonly aws: Pick<AwsConfig, 'dropped' | 'throttled' | 'slow' | 'slowMs'>
}

/** Brokers in production mode over one PostgreSQL and one folder, an issuer and an STS that all can be trusted. */
export interface Stage {
  readonly victim: Victim
  readonly replicas: readonly Replica[]
  readonly issuer: TestIssuer
  /** Of the operator. */
  readonly key: SoftwareKey
  readonly aws: Child<{ url: string }>
  /** Where the log is published. */
  readonly folder: string
  readonly verifierKey: string
  /** As the superuser, who sees everything. */
  readonly admin: Database
  /** As the brokers log in. */
  readonly broker: Database
  /** What brokers logged as errors, and how often. */
  readonly errors: ReadonlyMap<string, number>
  readonly close: () => Promise<void>
}

const BROKER_ARN = 'arn:aws:iam::999900001111:user/writ-broker'

export async function openStage(options: StageOptions): Promise<Stage> {
  const closing: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end()
  }
  try {
    const victim = await startVictim(options.postgres)
    closing.push(victim.close)
    await migrate({ ownerUrl: victim.ownerUrl, directory: MIGRATIONS, log: silent })
    const admin = open(withDatabase(victim.superuserUrl, 'writ'))
    const broker = open(victim.brokerUrl)
    closing.push(admin.end, broker.end)
    if (options.sabotage !== undefined) await admin.query(options.sabotage)

    const key = await asOwner(victim.ownerUrl, silent, (owner) => enrolKey(owner, broker, OPERATOR))
    const issuer = await startIssuer()
    closing.push(issuer.close)
    const policies = join(victim.dataDir, 'policies')
    await writePolicies(policies, issuer.url)
    const credentials = {
      accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
    }
    const awsConfig: AwsConfig = {
      broker: { account: '999900001111', arn: BROKER_ARN, ...credentials },
      roles: localRoles(setOf(await loadPolicySet(policies)), BROKER_ARN),
      seed: options.seed,
      ...options.aws,
    }
    const aws = await startChild<{ url: string }>('../test/torture/aws.js', awsConfig)
    closing.push(aws.stop)

    const folder = join(victim.dataDir, 'published')
    const keyFile = join(victim.dataDir, 'torture-log-key')
    const signerKey = generateSignerKey('writ.torture.test/log')
    await mkdir(folder)
    await writeFile(keyFile, `${signerKey}\n`, { mode: 0o600 })

    const errors = new Map<string, number>()
    const replicas = Array.from({ length: options.replicas }, (_, n) =>
      startReplica({
        name: `replica ${n + 1}`,
        main: pathToFileURL(join(options.compiled, 'cli/main.js')).href,
        env: {
          WRIT_MODE: 'production',
          WRIT_PORT: '0',
          WRIT_PUBLIC_URL: 'https://writ.example.com',
          WRIT_POLICIES: policies,
          WRIT_LOG_DIR: folder,
          WRIT_LOG_KEY_FILE: keyFile,
          DATABASE_URL: victim.brokerUrl,
          AWS_ACCESS_KEY_ID: credentials.accessKeyId,
          AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
          AWS_ENDPOINT_URL_STS: aws.ready.url,
          AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
        },
        onError: (message) => errors.set(message, (errors.get(message) ?? 0) + 1),
      }),
    )
    closing.push(() => Promise.all(replicas.map((replica) => replica.close())))
    await Promise.race([
      Promise.all(replicas.map((replica) => replica.up())),
      delay(60_000, undefined, { ref: false }).then(() => {
        throw new Error(`the brokers do not start: ${[...errors.keys()].join('; ')}`)
      }),
    ])
    const { verifierKey } = parseSignerKey(signerKey)
    return { victim, replicas, issuer, key, aws, folder, verifierKey, admin, broker, errors, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Tokens of all agents, good for the whole run. */
export async function agentTokens(
  issuer: TestIssuer,
  audience: string,
): Promise<ReadonlyMap<string, string>> {
  const now = new Date()
  const exp = Math.floor(now.getTime() / 1000) + 11 * 3600
  const signed = AGENTS.map(
    async (agent) =>
      [agent, await issuer.sign(issuer.claims(now, { sub: `agent:${agent}`, aud: audience, exp }))] as const,
  )
  return new Map(await Promise.all(signed))
}

function open(connectionString: string): Database {
  return createPool({
    connectionString,
    applicationName: 'writ torture',
    log: silent,
    max: 2,
    statementTimeoutMs: 60_000,
  })
}
