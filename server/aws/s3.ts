import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { S3Client } from '@aws-sdk/client-s3'
import { StartError } from '../errors.js'
import type { LockedBucket, WriteCondition } from '../types-aws.js'

export interface BucketSettings {
  readonly bucket: string
  /** Before every key; empty, or ending in `/`. */
  readonly prefix: string
  readonly region: string
  /** Of an S3-compatible store, addressed by path; absent means AWS's own regional endpoint. */
  readonly endpoint?: string
  /** How long nothing that is written can be removed, by anybody. */
  readonly retainDays: number
}

export interface BucketOptions {
  /** Absent means the default chain: environment, shared files, container, instance. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  readonly timeoutMs?: number
}

/**
 * Fixed: GOVERNANCE is lifted by whoever holds `s3:BypassGovernanceRetention`, which is every administrator of the
 * account, and it is against them that the log is put there.
 */
const MODE = 'COMPLIANCE'
const DAY_MS = 86_400_000
const ATTEMPTS = 4

/**
 * A bucket whose objects are locked as they are written. Throws `StartError` unless it has versioning and object
 * lock, and answers: what it holds has to be compared before anything is served.
 *
 * The SDK rather than signing by hand. Measured on Node 20: client-s3 adds 4.3 MB (three packages; the rest comes
 * with client-sts) to 325 MB of node_modules, loads in 100 ms and takes 9 MB, and that only where a bucket is
 * configured, since it is imported here. By hand it would be our own retries, clock correction, endpoints of
 * partitions and XML, in the one place whose errors cannot be taken back.
 */
export async function openBucket(
  settings: BucketSettings,
  options: BucketOptions = {},
): Promise<LockedBucket> {
  const { GetObjectCommand, PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3')
  const { bucket: Bucket, prefix, region, endpoint, retainDays } = settings
  const { timeoutMs = 5_000 } = options
  const client = new S3Client({
    region,
    // Repeating is safe: every write is conditional, and one that took effect is found to be there.
    maxAttempts: 3,
    requestHandler: {
      connectionTimeout: 1_000,
      requestTimeout: timeoutMs,
      throwOnRequestTimeout: true,
    },
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  })
  const name = `s3://${Bucket}/${prefix}`.replace(/\/$/, '')
  try {
    await requireLock(client, Bucket, name)
  } catch (error) {
    client.destroy()
    throw error
  }

  // Readiness shows it to anybody: AWS's own message names principals and policies.
  const failed = (verb: string, path: string, cause: unknown): Error =>
    new Error(`${name} ${verb} ${path}: ${cause instanceof Error ? cause.name : 'unknown'}`, { cause })

  async function put(path: string, data: Uint8Array, when: WriteCondition): Promise<string | undefined> {
    const answer = await client.send(
      new PutObjectCommand({
        Bucket,
        Key: prefix + path,
        Body: data,
        ContentType: path === 'checkpoint' ? 'text/plain; charset=utf-8' : 'application/octet-stream',
        // PutObject with a retention is refused without one (S3 API, "PutObject").
        ChecksumSHA256: createHash('sha256').update(data).digest('base64'),
        ObjectLockMode: MODE,
        ObjectLockRetainUntilDate: new Date(Date.now() + retainDays * DAY_MS),
        ...(when === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: when.etag }),
      }),
    )
    if (answer.ETag === undefined) throw new Error(`${name} answered a write without an ETag`)
    return answer.ETag
  }

  return {
    name,
    async read(path) {
      try {
        const { Body, ETag } = await client.send(new GetObjectCommand({ Bucket, Key: prefix + path }))
        if (Body === undefined || ETag === undefined) throw new Error(`${name} answered without ${path}`)
        return { data: Buffer.from(await Body.transformToByteArray()), etag: ETag }
      } catch (error) {
        if (named(error, 'NoSuchKey')) return undefined
        throw failed('does not give', path, error)
      }
    },
    async write(path, data, when) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await put(path, data, when)
        } catch (error) {
          if (named(error, 'PreconditionFailed')) return undefined
          // If-Match on what is gone, or hidden behind a delete marker.
          if (when !== 'absent' && named(error, 'NoSuchKey')) return undefined
          // Two at once: S3 asks to try again (User Guide, "Conditional writes").
          if (!named(error, 'ConditionalRequestConflict') || attempt === ATTEMPTS)
            throw failed('does not take', path, error)
          await delay(Math.random() * 50 * 2 ** attempt)
        }
      }
    },
    close: () => client.destroy(),
  }
}

async function requireLock(client: S3Client, Bucket: string, name: string): Promise<void> {
  const { GetBucketVersioningCommand, GetObjectLockConfigurationCommand } = await import('@aws-sdk/client-s3')
  try {
    const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket }))
    const { ObjectLockConfiguration } = await client.send(new GetObjectLockConfigurationCommand({ Bucket }))
    if (Status === 'Enabled' && ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled') return
  } catch (error) {
    if (!named(error, 'ObjectLockConfigurationNotFoundError')) {
      const why = error instanceof Error ? error.name : 'no answer'
      throw new StartError(
        `WRIT_LOG_BUCKET cannot be asked whether it is locked (${why}): ${name}. The broker needs s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration on it.`,
      )
    }
  }
  throw new StartError(
    `WRIT_LOG_BUCKET has no object lock with versioning: ${name}. What is published there could be removed; make a bucket with object lock.`,
  )
}

/** By `name`: `instanceof` fails across SDK copies. */
const named = (error: unknown, name: string): boolean => error instanceof Error && error.name === name
