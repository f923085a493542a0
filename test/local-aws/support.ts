import { IAMClient } from '@aws-sdk/client-iam'
import { S3Client } from '@aws-sdk/client-s3'
import { AssumeRoleCommand, type AssumeRoleCommandInput, STSClient } from '@aws-sdk/client-sts'
import { type LocalAws, type LocalAwsOptions, startLocalAws } from '../../local-aws/server.js'
import type { LocalRole } from '../../local-aws/state.js'
import type { PolicyDocument, PolicyStatement } from '../../server/types.js'

export const BROKER_ACCOUNT = '111122223333'
export const OTHER_ACCOUNT = '444455556666'
export const READ_ROLE = `arn:aws:iam::${BROKER_ACCOUNT}:role/writ/orders-read`
export const WRITE_ROLE = `arn:aws:iam::${BROKER_ACCOUNT}:role/writ/orders-write`
export const OTHER_ROLE = `arn:aws:iam::${OTHER_ACCOUNT}:role/writ/orders-read`
export const BROKER = {
  account: BROKER_ACCOUNT,
  accessKeyId: 'AKIALOCALAWSBROKER00',
  secretAccessKey: 'a-secret-of-the-broker',
}
export const BROKER_KEYS = { accessKeyId: BROKER.accessKeyId, secretAccessKey: BROKER.secretAccessKey }

export const policy = (...Statement: PolicyStatement[]): PolicyDocument => ({
  Version: '2012-10-17',
  Statement,
})

export const allow = (action: string | string[], resource: string | string[] = '*'): PolicyStatement => ({
  Effect: 'Allow',
  Action: action,
  Resource: resource,
})

/** A session policy as it goes over the wire. */
export const narrow = (...statements: PolicyStatement[]): string => JSON.stringify(policy(...statements))

const BROKER_ARN = `arn:aws:iam::${BROKER_ACCOUNT}:user/writ-broker`
export const TRUST = policy({
  Effect: 'Allow',
  Principal: { AWS: BROKER_ARN },
  Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
})
/** A write role wants the tag that names a grant. */
export const GRANT_TRUST = policy({
  Effect: 'Allow',
  Principal: { AWS: BROKER_ARN },
  Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'],
  Condition: { Null: { 'aws:RequestTag/writ:grant': 'false' } },
})

export const role = (arn: string, more: Partial<LocalRole> = {}): LocalRole => ({
  arn,
  trustPolicy: TRUST,
  policies: { permissions: policy(allow('s3:*')) },
  maxSessionSeconds: 7200,
  ...more,
})

export interface Clock {
  now: () => Date
  set: (at: string | Date) => void
  forward: (seconds: number) => void
}

/** A clock that stands still until told. */
export function standingClock(start = '2026-03-01T12:00:00Z'): Clock {
  let at = new Date(start)
  return {
    now: () => at,
    set: (to) => {
      at = new Date(to)
    },
    forward: (seconds) => {
      at = new Date(at.getTime() + seconds * 1000)
    },
  }
}

interface Cleanup {
  readonly teardown: (end: () => unknown) => void
}

export interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface World {
  readonly aws: LocalAws
  readonly clock: Clock
  readonly sts: (keys?: Keys) => STSClient
  readonly iam: (keys?: Keys, account?: string) => IAMClient
  readonly s3: (keys?: Keys) => S3Client
  /** Assumes the read role as the broker unless told otherwise. */
  readonly session: (input?: Partial<AssumeRoleCommandInput>, keys?: Keys) => Promise<Required<Keys>>
}

/** A local AWS with three roles and two buckets, and the real clients for it, on one standing clock. */
export async function world(t: Cleanup, options: Partial<LocalAwsOptions> = {}): Promise<World> {
  const clock = standingClock()
  const aws = await startLocalAws({
    roles: [role(READ_ROLE), role(WRITE_ROLE, { trustPolicy: GRANT_TRUST }), role(OTHER_ROLE)],
    buckets: [
      { name: 'orders', account: BROKER_ACCOUNT, objects: { 'a.txt': 'alpha', 'b/c.txt': 'gamma' } },
      { name: 'foreign', account: OTHER_ACCOUNT, objects: { 'a.txt': 'elsewhere' } },
    ],
    broker: BROKER,
    now: clock.now,
    ...options,
  })
  t.teardown(() => aws.close())
  const ends: (() => void)[] = []
  t.teardown(() => {
    for (const end of ends) end()
  })
  const common = (keys: Keys) => ({
    region: 'eu-west-1',
    credentials: keys,
    endpoint: aws.url,
    maxAttempts: 1,
    systemClockOffset: (options.now ?? clock.now)().getTime() - Date.now(),
  })
  const keep = <T extends { destroy: () => void }>(client: T): T => {
    ends.push(() => client.destroy())
    return client
  }
  const sts = (keys: Keys = BROKER_KEYS) => keep(new STSClient(common(keys)))
  return {
    aws,
    clock,
    sts,
    iam: (keys = BROKER_KEYS, account) =>
      keep(
        new IAMClient({ ...common(keys), endpoint: account === undefined ? aws.url : aws.iamUrl(account) }),
      ),
    s3: (keys = BROKER_KEYS) => keep(new S3Client({ ...common(keys), forcePathStyle: true })),
    session: async (input = {}, keys = BROKER_KEYS) => {
      const command = new AssumeRoleCommand({ RoleArn: READ_ROLE, RoleSessionName: 'writ-1', ...input })
      const { Credentials: given } = await sts(keys).send(command)
      return {
        accessKeyId: given?.AccessKeyId ?? '',
        secretAccessKey: given?.SecretAccessKey ?? '',
        sessionToken: given?.SessionToken ?? '',
      }
    },
  }
}

/** What a promise was refused with: the SDK's error name and HTTP status. Fails when it was not refused. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } }
    return `${name} ${$metadata?.httpStatusCode}`
  }
  return 'not refused'
}
