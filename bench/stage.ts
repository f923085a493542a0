import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localBuckets, localRoles } from '../local-aws/from-policy.js'
import { registerRoles } from '../server/audit/store.js'
import { startEmbeddedPostgres } from '../server/db/embedded.js'
import { migrate } from '../server/db/migrate.js'
import type { Database } from '../server/db/pool.js'
import { type LocalIssuer, loadLocalIssuer } from '../server/identity/local-issuer.js'
import { loadPolicySet } from '../server/policy/load.js'
import type { PolicySet } from '../server/types.js'
import { MIGRATIONS } from '../server/wiring/database.js'
import type { AwsPlace } from './bare-sts.js'
import { type Child, startChild } from './child.js'
import type { FloorConfig } from './children/floor.js'
import { sampleIntent } from './intents.js'
import { createPlainTable, openPool, silent } from './plain.js'
import { AUDIENCE, agentName, claimsOf, policyFiles, setOf, writeFiles } from './policies.js'

/** The broker's own user in local mode, as the trust policies of the roles name it (server/build.ts). */
const BROKER_ACCOUNT = '999900001111'

/** What the benchmarks stand on: PostgreSQL with fsync on, local AWS in a process of its own, tokens. */
export interface Stage {
  readonly dataDir: string
  readonly policies: string
  readonly policySet: PolicySet
  readonly issuer: LocalIssuer
  /** One an agent, ES256. */
  readonly tokens: readonly string[]
  readonly aws: AwsPlace
  /** A migrated database, as the broker's login. */
  readonly brokerUrl: string
  /** The same server, with the plain table that floors write to. */
  readonly plainUrl: string
  readonly postgresVersion: string
  /** The floor of a request, and where the load comes from: processes of their own. */
  readonly floor: Child<{ readonly url: string }>
  readonly load: Child<object>
  readonly pids: { readonly database: number; readonly AWS: number }
  readonly close: () => Promise<void>
}

/** @param agents as many as ever ask at once */
export async function openStage(agents: number): Promise<Stage> {
  const closing: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end()
  }
  try {
    const dataDir = await mkdtemp(join(tmpdir(), 'writ-bench-'))
    closing.push(() => rm(dataDir, { recursive: true, force: true }))
    const policies = join(dataDir, 'policies')
    await writeFiles(policies, policyFiles(agents))
    const policySet = setOf(await loadPolicySet(policies))

    const postgres = await startEmbeddedPostgres({ dataDir, log: silent })
    // The last resort, when we end without closing: no server may outlive its benchmark.
    const kill = (): void => {
      process.kill(postgres.pid, 'SIGQUIT')
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 })
    }
    process.once('exit', kill)
    closing.push(async () => {
      await postgres.stop()
      process.removeListener('exit', kill)
    })
    await migrate({ ownerUrl: postgres.ownerUrl, directory: MIGRATIONS, log: silent })
    await withPool(postgres.brokerUrl, (database) => registerRoles(database, policySet))
    await withPool(postgres.superuserUrl, createPlainTable)

    const credentials = {
      accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
    }
    const aws = await startChild<{ url: string }>('../local-aws/main.js', {
      broker: { account: BROKER_ACCOUNT, ...credentials },
      roles: localRoles(policySet, `arn:aws:iam::${BROKER_ACCOUNT}:user/writ-broker`),
      buckets: localBuckets(policySet),
    })
    closing.push(() => aws.stop())

    const issuer = await loadLocalIssuer(dataDir)
    const { intent, plan } = sampleIntent(policySet)
    const floorConfig: FloorConfig = {
      key: issuer.jwks().keys[0] ?? {},
      issuer: issuer.issuer,
      audience: AUDIENCE,
      plainUrl: postgres.superuserUrl,
      intent,
      aws: { url: aws.ready.url, credentials },
      assume: plan.assume,
    }
    const floor = await startChild<{ url: string }>('children/floor.js', floorConfig)
    closing.push(() => floor.stop())
    const load = await startChild<object>('children/load.js', {})
    closing.push(() => load.stop())
    const tokens = await Promise.all(
      Array.from({ length: agents }, (_, n) =>
        issuer.sign({ subject: agentName(n), audience: AUDIENCE, ttlSeconds: 6 * 3600, claims: claimsOf(n) }),
      ),
    )
    return {
      dataDir,
      policies,
      policySet,
      issuer,
      tokens,
      aws: { url: aws.ready.url, credentials },
      brokerUrl: postgres.brokerUrl,
      plainUrl: postgres.superuserUrl,
      postgresVersion: postgres.version,
      floor,
      load,
      pids: { database: postgres.pid, AWS: aws.pid },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function withPool(url: string, work: (database: Database) => Promise<unknown>): Promise<void> {
  const database = openPool(url)
  try {
    await work(database)
  } finally {
    await database.end()
  }
}
