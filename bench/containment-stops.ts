import { setTimeout as delay } from 'node:timers/promises'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { createRecorder } from '../server/audit/recorder.js'
import { appendTo } from '../server/audit/store.js'
import { createIam } from '../server/aws/iam.js'
import { createSts } from '../server/aws/sts.js'
import { newId } from '../server/issuance/id.js'
import { startDenyWorker } from '../server/revocation/deny-worker.js'
import type { RevocationDeps } from '../server/revocation/deps.js'
import { engageStop } from '../server/revocation/stops.js'
import type { PolicySet } from '../server/types.js'
import type { AwsCredentials } from '../server/types-aws.js'
import { type Place, sessionOf } from './containment-place.js'
import { openPool, silent } from './plain.js'
import { agentName, scopesOf } from './policies.js'

/** Milliseconds from asking for a stop on. */
export interface StopTimes {
  /** Until it is answered. */
  readonly answered: number
  /** Until the last session that was handed out. */
  readonly delivered: number
  /** From the stop to the last role's Deny, by the database's clock. */
  readonly written: number
  /** Until a call with the live session is refused. */
  readonly refused: number
}

/** Callers that have a session handed out again and again while it is stopped. */
const CALLERS = 4

/** One agent after the other: a live session, handed out without a pause, and a stop. Throws when one leaves after it. */
export async function timeStops(
  place: Place,
  policySet: PolicySet,
  count: number,
): Promise<readonly StopTimes[]> {
  const { aws } = place
  const database = openPool(place.emptyUrl)
  const iam = createIam({
    credentials: aws.credentials,
    endpoint: (account) => `${aws.url}/accounts/${account}`,
    timeoutMs: 5_000,
  })
  const sts = createSts({ endpoint: aws.url, credentials: aws.credentials, timeoutMs: 5_000 })
  const worker = startDenyWorker({ database, iam, log: silent, holder: newId() })
  const { record } = createRecorder(appendTo(database))
  const now = () => new Date()
  const operators = { database, record, newId, now, origin: () => 'http://localhost' }
  const deps: RevocationDeps = { database, record, newId, now, log: silent, operators, kick: worker.kick }
  try {
    const all: StopTimes[] = []
    for (let agent = 0; agent < count; agent++) {
      const { intent, outcome } = sessionOf(agent, new Date(Date.now() + 3_500_000).toISOString())
      await record(intent)
      const { credentials } = await sts.assumeRole({
        roleArn: intent.role_arn,
        region: 'eu-west-1',
        sessionName: intent.issuance_id,
        sourceIdentity: `${intent.agent}+${intent.issuance_id}`,
        tags: {
          'writ:agent': intent.agent,
          'writ:environment': 'development',
          'writ:issuance': intent.issuance_id,
        },
        durationSeconds: 900,
        policy: JSON.stringify({
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }],
        }),
      })
      await record(outcome)
      let stopped = false
      let answeredAt = Number.POSITIVE_INFINITY
      let last = 0
      const deliver = async (): Promise<void> => {
        while (!stopped) {
          const asked = performance.now()
          const verdict = await record({
            op: 'delivery',
            issuance_id: intent.issuance_id,
            agent: intent.agent,
            payload: {},
          })
          if (verdict.status !== 'ok') return
          if (asked > answeredAt) throw new Error('a session was handed out after the stop had been answered')
          last = performance.now()
        }
      }
      const delivering = Promise.all(Array.from({ length: CALLERS }, deliver))
      const refusing = refusedAt(aws.url, agent, credentials)
      await delay(LATENCY_SETTLES_MS)
      const begin = performance.now()
      const stop = await engageStop(deps, policySet, {
        kind: 'agent',
        name: agentName(agent),
        operator: { name: 'bob' },
        reason: 'a benchmark',
        proof: { kind: 'session', session: newId() },
      })
      answeredAt = performance.now()
      const refused = await refusing
      await delivering
      stopped = true
      await worker.idle()
      const [row] = await database.query<{ ms: number }>(
        `SELECT extract(epoch FROM max(k.written_at) - s.engaged_at)::float8 * 1000 AS ms
         FROM writ.stop s JOIN writ.kill k ON k.id = ANY (s.kills) WHERE s.id = $1 GROUP BY s.engaged_at
         HAVING bool_and(k.written_at IS NOT NULL)`,
        [stop.id],
      )
      all.push({
        answered: answeredAt - begin,
        delivered: Math.max(last - begin, 0),
        written: row?.ms ?? Number.NaN,
        refused: refused - begin,
      })
    }
    return all
  } finally {
    await worker.close()
    iam.close()
    sts.close()
    await database.end()
  }
}

/** Some rounds of the session's calls and of deliveries, before it is stopped. */
const LATENCY_SETTLES_MS = 60

/** When the session is refused, asking without a pause. */
async function refusedAt(
  endpoint: string,
  agent: number,
  { accessKeyId, secretAccessKey, sessionToken }: AwsCredentials,
): Promise<number> {
  const credentials = { accessKeyId, secretAccessKey, sessionToken }
  const s3 = new S3Client({
    endpoint,
    region: 'eu-west-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials,
  })
  const Bucket = `${scopesOf(agent)[0].split(':')[0]}-development`
  try {
    for (;;) {
      try {
        await s3.send(new GetObjectCommand({ Bucket, Key: 'README.txt' }))
      } catch (error) {
        if (error instanceof Error && error.name === 'AccessDenied') return performance.now()
        throw error
      }
    }
  } finally {
    s3.destroy()
  }
}
