import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { Test } from 'tap'
import { type LocalAws, startLocalAws } from '../../local-aws/server.js'
import { createIam } from '../../server/aws/iam.js'
import { createSts } from '../../server/aws/sts.js'
import { newId } from '../../server/issuance/id.js'
import { DENY_POLICY } from '../../server/revocation/deny-document.js'
import {
  type DenyWorker,
  type DenyWorkerParts,
  startDenyWorker,
} from '../../server/revocation/deny-worker.js'
import type { PolicyDocument } from '../../server/types.js'
import type { AwsCredentials, Iam } from '../../server/types-aws.js'
import { allow, BROKER, policy, role } from '../local-aws/support.js'
import { intentItem, READ_ROLE, WRITE_ROLE } from '../support/items.js'
import { type Ledger, testLedger } from '../support/ledger.js'
import { silent } from '../support/postgres.js'

export interface Session {
  readonly issuance: string
  readonly agent: string
  readonly keys: AwsCredentials
}

export interface Stage {
  readonly ledger: Ledger
  readonly aws: LocalAws
  readonly iam: Iam
  readonly clock: { ahead: number }
  /** A replica's; each test that wants several gives them names. */
  readonly worker: (holder?: string, parts?: Partial<DenyWorkerParts>, iam?: Iam) => DenyWorker
  /** Intended, minted and recorded, as the broker does it. */
  readonly session: (agent?: string, role?: string) => Promise<Session>
  readonly revoke: (issuance: string) => Promise<unknown>
  readonly ask: (kind: string, target: string, cutoff?: Date, role?: string) => Promise<void>
  /** Whether a call to S3 with the session is let through. */
  readonly alive: (session: Session) => Promise<boolean>
  /** What our policy says in IAM. */
  readonly denies: (role?: string) => Promise<PolicyDocument | undefined>
  readonly kills: () => Promise<readonly { target: string; written: boolean; widened: boolean }[]>
  /** Bodies of the log's entries of a kind. */
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever was recorded and compares it
  readonly entries: (kind: string) => Promise<readonly any[]>
}

/** A database, a local AWS with its roles, and real clients for it. */
export async function stage(t: Test, latencyMs = 0): Promise<Stage> {
  const ledger = await testLedger(t)
  const clock = { ahead: 0 }
  const open = policy(allow('s3:*'))
  const aws = await startLocalAws({
    roles: [role(READ_ROLE, { policies: { open } }), role(WRITE_ROLE, { policies: { open } })],
    buckets: [{ name: 'orders', account: BROKER.account, objects: { a: 'alpha' } }],
    broker: BROKER,
    latencyMs,
    now: () => new Date(Date.now() + clock.ahead * 1000),
  })
  t.teardown(() => aws.close())
  const iam = createIam({ credentials: BROKER, endpoint: aws.iamUrl, timeoutMs: 5_000 })
  t.teardown(() => iam.close())
  const sts = createSts({ credentials: BROKER, endpoint: aws.url, timeoutMs: 5_000 })
  t.teardown(() => sts.close())
  const rows = <T extends object>(text: string, values: readonly unknown[] = []) =>
    ledger.owner.query<T>(text, values)
  return {
    ledger,
    aws,
    iam,
    clock,
    worker(holder = 'one', parts = {}, by = iam) {
      const worker = startDenyWorker({ database: ledger.broker, iam: by, log: silent, holder }, parts)
      t.teardown(() => worker.close())
      return worker
    },
    async session(agent = 'orders-coder', roleArn = READ_ROLE) {
      const issuance = newId()
      const scopes = ['orders:read']
      await ledger.append(intentItem({ issuance_id: issuance, agent, role_arn: roleArn, scopes }))
      const { credentials: keys } = await sts.assumeRole({
        roleArn,
        region: 'eu-west-1',
        sessionName: issuance,
        sourceIdentity: issuance,
        tags: { 'writ:agent': agent, 'writ:issuance': issuance },
        durationSeconds: 900,
        policy: JSON.stringify(open),
      })
      const expires_at = keys.expiresAt.toISOString()
      const access_key_id = keys.accessKeyId
      await ledger.append({
        op: 'outcome',
        issuance_id: issuance,
        state: 'issued',
        access_key_id,
        expires_at,
      })
      return { issuance, agent, keys }
    },
    async revoke(issuance) {
      const asked = { issuance_id: issuance, operator: 'bob', reason: 'a test' }
      const [row] = await ledger.broker.query<{ answer: unknown }>(
        'SELECT writ.revoke_issuance($1::jsonb) AS answer',
        [JSON.stringify(asked)],
      )
      return row?.answer
    },
    async ask(kind, target, cutoff = new Date(Date.now() + 60_000), roleArn = READ_ROLE) {
      await rows(
        `SELECT writ.ask_kill($1, $2, $3, $4, clock_timestamp() + interval '1 hour', clock_timestamp())`,
        [roleArn, kind, target, cutoff.toISOString()],
      )
    },
    async alive({ keys }) {
      const client = new S3Client({
        region: 'eu-west-1',
        endpoint: aws.url,
        forcePathStyle: true,
        maxAttempts: 1,
        credentials: keys,
      })
      try {
        await client.send(new GetObjectCommand({ Bucket: 'orders', Key: 'a' }))
        return true
      } catch (error) {
        if (error instanceof Error && error.name === 'AccessDenied') return false
        throw error
      } finally {
        client.destroy()
      }
    },
    async denies(roleArn = READ_ROLE) {
      const text = await iam.inlinePolicy(roleArn, DENY_POLICY)
      return text === undefined ? undefined : JSON.parse(text)
    },
    kills: () => rows('SELECT target, written_at IS NOT NULL AS written, widened FROM writ.kill ORDER BY id'),
    async entries(kind) {
      const found = await rows<{ body: object }>(
        `SELECT convert_from(body, 'UTF8')::jsonb AS body FROM writ.entry WHERE kind = $1 ORDER BY idx`,
        [kind],
      )
      return found.map(({ body }) => body)
    },
  }
}

/** SQL as the owner of the tables. */
export const asOwner = ({ ledger }: Stage, text: string, ...values: unknown[]) =>
  ledger.owner.query(text, values)

/** The next look at every role is due. */
export const check = (all: Stage) => asOwner(all, `UPDATE writ.deny_role SET check_at = '-infinity'`)
