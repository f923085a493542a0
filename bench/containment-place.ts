import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localBuckets, localRoles } from '../local-aws/from-policy.js'
import { appendTo, registerRoles } from '../server/audit/store.js'
import { startEmbeddedPostgres } from '../server/db/embedded.js'
import { migrate } from '../server/db/migrate.js'
import type { Database } from '../server/db/pool.js'
import { provision, withDatabase, withLogin } from '../server/db/provision.js'
import { newId } from '../server/issuance/id.js'
import type { PolicySet } from '../server/types.js'
import { MIGRATIONS } from '../server/wiring/database.js'
import type { AwsPlace } from './bare-sts.js'
import { startChild } from './child.js'
import { openPool, silent } from './plain.js'
import { agentName, scopesOf } from './policies.js'

/** As the trust policies of the roles name it. */
const BROKER_ACCOUNT = '999900001111'

/** What each call to AWS takes here, in milliseconds: a region's own endpoint, seen from another city. */
export const LATENCY_MS = 20

/** Stops and sessions that a database has. */
export interface Contained {
  readonly stops: number
  readonly sessions: number
}

/** Two databases on a PostgreSQL of their own with fsync on, one empty and one full; an AWS that is far away. */
export interface Place {
  readonly emptyUrl: string
  readonly fullUrl: string
  readonly aws: AwsPlace
  readonly close: () => Promise<void>
}

export async function openPlace(policySet: PolicySet, contained: Contained): Promise<Place> {
  const closing: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).reverse()) await end()
  }
  try {
    const dataDir = await mkdtemp(join(tmpdir(), 'writ-bench-containment-'))
    closing.push(() => rm(dataDir, { recursive: true, force: true }))
    const postgres = await startEmbeddedPostgres({ dataDir, log: silent })
    const kill = (): void => {
      process.kill(postgres.pid, 'SIGQUIT')
      rmSync(dataDir, { recursive: true, force: true, maxRetries: 5 })
    }
    process.once('exit', kill)
    closing.push(async () => {
      await postgres.stop()
      process.removeListener('exit', kill)
    })
    const passwordOf = (url: string): string => decodeURIComponent(new URL(url).password)
    const passwords = { owner: passwordOf(postgres.ownerUrl), broker: passwordOf(postgres.brokerUrl) }
    await provision(postgres.superuserUrl, { database: 'full', passwords })
    const full = withDatabase(postgres.superuserUrl, 'full')
    const fullUrl = withLogin(full, 'writ_broker_login', passwords.broker)
    for (const ownerUrl of [postgres.ownerUrl, withLogin(full, 'writ_migrator', passwords.owner)])
      await migrate({ ownerUrl, directory: MIGRATIONS, log: silent })
    await using(postgres.brokerUrl, (database) => registerRoles(database, policySet))
    await using(fullUrl, (database) => registerRoles(database, policySet))
    await using(full, (database) => fill(database, policySet, contained))
    const credentials = {
      accessKeyId: `AKIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
    }
    const aws = await startChild<{ url: string }>('../local-aws/main.js', {
      broker: { account: BROKER_ACCOUNT, ...credentials },
      roles: localRoles(policySet, `arn:aws:iam::${BROKER_ACCOUNT}:user/writ-broker`),
      buckets: localBuckets(policySet),
      latencyMs: LATENCY_MS,
    })
    closing.push(() => aws.stop())
    return { emptyUrl: postgres.brokerUrl, fullUrl, aws: { url: aws.ready.url, credentials }, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function using(url: string, work: (database: Database) => Promise<unknown>): Promise<void> {
  const database = openPool(url)
  try {
    await work(database)
  } finally {
    await database.end()
  }
}

const CHUNK = 50

/** As superuser: stops of agents and humans that nobody asks as, and live sessions of those who ask. */
async function fill(database: Database, policySet: PolicySet, { stops, sessions }: Contained): Promise<void> {
  const wanted = Array.from({ length: stops }, (_, n) => {
    const name = n % 5 === 0 ? `human-${n}@example.com` : `stopped-${n}`
    const role = `arn:aws:iam::222233334444:role/writ/stopped-${n}`
    const agents = n % 5 === 0 ? [] : [{ name, roles: [`${role}-read`, `${role}-write`] }]
    const kind = n % 5 === 0 ? 'human' : 'agent'
    const proof = { kind: 'session', session: newId() }
    return { id: newId(), kind, name, names: [name], agents, operator: 'bob', reason: 'a benchmark', proof }
  })
  for (let from = 0; from < stops; from += CHUNK)
    await database.query('SELECT writ.engage_stop(value) FROM jsonb_array_elements($1::jsonb)', [
      JSON.stringify(wanted.slice(from, from + CHUNK)),
    ])
  // Long since: those roles are nobody's, and nothing is to be written meanwhile.
  await database.query(`UPDATE writ.kill SET written_at = asked_at`)
  const append = appendTo(database)
  const agents = [...policySet.agents.keys()].length
  const ends = new Date(Date.now() + 3_500_000).toISOString()
  for (let from = 0; from < sessions; from += CHUNK * 5) {
    const some = Array.from({ length: Math.min(CHUNK * 5, sessions - from) }, (_, n) =>
      sessionOf((from + n) % agents, ends),
    )
    await append(some.map(({ intent }) => intent))
    await append(some.map(({ outcome }) => outcome))
  }
  await database.query('ANALYZE')
}

/** A live reading session of an agent in development. */
export function sessionOf(agent: number, ends: string) {
  const issuance_id = newId()
  const [scope] = scopesOf(agent)
  const about = { policy_digest: 'sha256:bench', permissions_sha256: 'bench', not_after: ends }
  return {
    intent: {
      op: 'intent' as const,
      issuance_id,
      agent: agentName(agent),
      environment: 'development',
      tier: 'development',
      role_arn: `arn:aws:iam::222233334444:role/writ/${agentName(agent)}-read`,
      scopes: [scope],
      ...about,
      payload: {},
      personal: { subject: agentName(agent), source_ip: '127.0.0.1', reason: 'a benchmark' },
      seen: { source_ip: '127.0.0.1', scopes: [scope], actions: ['s3:GetObject'] },
    },
    outcome: {
      op: 'outcome' as const,
      issuance_id,
      state: 'issued' as const,
      access_key_id: `ASIA${issuance_id.toUpperCase()}`,
      expires_at: ends,
    },
  }
}
