import { S3Client } from '@aws-sdk/client-s3'
import type { Test } from 'tap'
import { type LocalAws, startLocalAws } from '../../../local-aws/server.js'
import { openCheckpoint, signCheckpoint } from '../../../server/audit/merkle/checkpoint.js'
import { generateSignerKey, parseSignerKey, parseVerifierKey } from '../../../server/audit/merkle/keys.js'
import { type Checkpointer, createCheckpointer } from '../../../server/audit/publish/checkpointer.js'
import type { Published } from '../../../server/audit/publish/folder.js'
import { createMirror, type Mirror } from '../../../server/audit/publish/mirror.js'
import type { LogStore } from '../../../server/audit/publish/store.js'
import { type BucketOptions, type BucketSettings, openBucket } from '../../../server/aws/s3.js'
import { createPool } from '../../../server/db/pool.js'
import type { LockedBucket } from '../../../server/types-aws.js'
import { intentItem, READ_ROLE } from '../../support/items.js'
import type { Ledger } from '../../support/ledger.js'
import { silent } from '../../support/postgres.js'

export const signer = parseSignerKey(generateSignerKey('writ.test/log'))
export const key = parseVerifierKey(signer.verifierKey)
export const open = (note: string) => openCheckpoint(Buffer.from(note), [key], signer.name)

export class Crash extends Error {
  override readonly name = 'Crash'
}

export function writer(store: LogStore, published: Published, holder = 'one') {
  const troubles: string[] = []
  const checkpointer: Checkpointer = createCheckpointer({
    store,
    published,
    origin: signer.name,
    sign: (head) =>
      signCheckpoint({ origin: signer.name, ...head, extensions: [] }, [signer]).toString('utf8'),
    open,
    holder,
    onTrouble: (why) => troubles.push(why),
  })
  return { ...checkpointer, troubles }
}

export function copier(store: LogStore, source: Published, target: Published) {
  const troubles: string[] = []
  const mirror: Mirror = createMirror({
    store,
    source: source.read,
    target,
    name: 's3://log',
    origin: signer.name,
    open,
    onTrouble: (why) => troubles.push(why),
  })
  return { ...mirror, troubles }
}

export const add = (ledger: Ledger, n: number) =>
  ledger.append(...Array.from({ length: n }, () => intentItem({ role_arn: READ_ROLE })))

/** As the database administrator, whom no trigger stops. */
export async function asSuperuser(t: Test, ledger: Ledger, statement: string): Promise<void> {
  const admin = createPool({
    connectionString: ledger.superuserUrl,
    applicationName: 'test',
    log: silent,
    max: 1,
  })
  t.teardown(() => admin.end())
  await admin.query('SET session_replication_role = replica')
  await admin.query(statement)
}

/** The newest entries gone, checkpoints and all. */
export const restored = (size: number): string =>
  `DELETE FROM writ.intent WHERE entry_idx >= ${size}; DELETE FROM writ.entry WHERE idx >= ${size}; DELETE FROM writ.checkpoint WHERE size > ${size};
   UPDATE writ.log_head SET size = ${size}`

const BROKER = { account: '111122223333', accessKeyId: 'AKIALOCALAWSBROKER00', secretAccessKey: 'a-secret' }

export interface Store {
  readonly aws: LocalAws
  /** With the broker's own key. */
  readonly s3: S3Client
  readonly open: (settings?: Partial<BucketSettings>, options?: BucketOptions) => Promise<LockedBucket>
}

/** Local AWS with a locked bucket `log` and others that will not do. */
export async function objectStore(t: Test): Promise<Store> {
  const { account } = BROKER
  const aws = await startLocalAws({
    roles: [],
    buckets: [
      { name: 'log', account, objectLock: true },
      { name: 'versioned', account, versioning: true },
      { name: 'plain', account },
    ],
    broker: BROKER,
  })
  const s3 = new S3Client({
    region: 'eu-west-1',
    endpoint: aws.url,
    forcePathStyle: true,
    credentials: BROKER,
    maxAttempts: 1,
  })
  const ends: (() => unknown)[] = [() => s3.destroy()]
  t.teardown(() => {
    for (const end of ends) end()
    return aws.close()
  })
  const settings = { bucket: 'log', prefix: 'a/log/', region: 'eu-west-1', endpoint: aws.url, retainDays: 1 }
  return {
    aws,
    s3,
    open: async (changed = {}, options = {}) => {
      const bucket = await openBucket({ ...settings, ...changed }, { credentials: BROKER, ...options })
      ends.push(bucket.close)
      return bucket
    },
  }
}

/** Dies at the n-th write: before anything has happened, or when it is done and nobody was told. */
export function dying(bucket: LockedBucket, n: number, when: 'before' | 'after'): LockedBucket {
  let writes = 0
  return {
    ...bucket,
    write: async (...args) => {
      const last = writes++ === n
      if (last && when === 'before') throw new Crash()
      const etag = await bucket.write(...args)
      if (last) throw new Crash()
      return etag
    },
  }
}
