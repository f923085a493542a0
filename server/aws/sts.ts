import { setTimeout as delay } from 'node:timers/promises'
import {
  AssumeRoleCommand,
  GetCallerIdentityCommand,
  STSClient,
  type STSClientConfig,
} from '@aws-sdk/client-sts'
import type { AssumedSession, AssumeRole, AssumeRoleInput } from '../types-aws.js'
import { classify, toWritError } from './errors.js'

export interface StsSettings {
  /** Absent means the default chain: environment, shared files, container, instance. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** Absent means AWS's own regional endpoint. */
  readonly endpoint?: string
  readonly timeoutMs: number
}

export interface Sts {
  readonly assumeRole: AssumeRole
  /** ARN of the broker itself, from GetCallerIdentity. */
  readonly whoAmI: (region: string) => Promise<string>
  readonly close: () => void
}

const ATTEMPTS = 3

/**
 * Idle connections go before the other side closes them: one that is closed as it is used again loses a request
 * that nobody may repeat, since AWS may have minted.
 */
const IDLE_MS = 3_000

/**
 * AssumeRole over one client a region.
 *
 * The SDK's own retries are off: each may mint another session. Retried here are throttling and 5xx, with
 * jitter, and expired broker credentials once; a timeout is not, since AWS may have minted already.
 */
export function createSts(settings: StsSettings): Sts {
  const clients = new Map<string, STSClient>()
  const clientFor = (region: string): STSClient => {
    let client = clients.get(region)
    if (client === undefined) {
      client = new STSClient(clientConfig(settings, region))
      clients.set(region, client)
    }
    return client
  }

  const forget = (region: string) => {
    clients.get(region)?.destroy()
    clients.delete(region)
  }

  async function assumeRole(input: AssumeRoleInput): Promise<AssumedSession> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(clientFor(input.region), input)
      } catch (error) {
        const fault = classify(error)
        const again =
          fault === 'throttled' || fault === 'server' || (fault === 'expired-credentials' && attempt === 1)
        if (!again || attempt === ATTEMPTS) throw toWritError(error, fault)
        // A new client asks the provider chain anew.
        if (fault === 'expired-credentials') forget(input.region)
        else await delay(Math.random() * 100 * 2 ** attempt)
      }
    }
  }

  return {
    assumeRole,
    async whoAmI(region) {
      try {
        const answer = await clientFor(region).send(new GetCallerIdentityCommand({}))
        return answer.Arn ?? ''
      } catch (error) {
        throw toWritError(error, classify(error))
      }
    },
    close: () => {
      for (const region of [...clients.keys()]) forget(region)
    },
  }
}

function clientConfig(settings: StsSettings, region: string): STSClientConfig {
  return {
    region,
    maxAttempts: 1,
    // Neither has a default; the third is 50, which queues beyond 50 agents at once.
    requestHandler: {
      connectionTimeout: 1_000,
      requestTimeout: settings.timeoutMs,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: 256, timeout: IDLE_MS },
      httpsAgent: { keepAlive: true, maxSockets: 256, timeout: IDLE_MS },
    },
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
    ...(settings.credentials === undefined ? {} : { credentials: settings.credentials }),
  }
}

async function once(client: STSClient, input: AssumeRoleInput): Promise<AssumedSession> {
  const tags = Object.entries(input.tags).map(([Key, Value]) => ({ Key, Value }))
  const answer = await client.send(
    new AssumeRoleCommand({
      RoleArn: input.roleArn,
      RoleSessionName: input.sessionName,
      SourceIdentity: input.sourceIdentity,
      DurationSeconds: input.durationSeconds,
      Policy: input.policy,
      // An empty list goes over the wire as a parameter without a value.
      ...(tags.length === 0 ? {} : { Tags: tags }),
    }),
  )
  const { Credentials, AssumedRoleUser, PackedPolicySize } = answer
  if (
    !Credentials?.AccessKeyId ||
    !Credentials.SecretAccessKey ||
    !Credentials.SessionToken ||
    !Credentials.Expiration
  ) {
    throw new Error('AssumeRole answered without credentials')
  }
  return {
    credentials: {
      accessKeyId: Credentials.AccessKeyId,
      secretAccessKey: Credentials.SecretAccessKey,
      sessionToken: Credentials.SessionToken,
      expiresAt: Credentials.Expiration,
    },
    assumedRoleArn: AssumedRoleUser?.Arn ?? '',
    assumedRoleId: AssumedRoleUser?.AssumedRoleId ?? '',
    ...(PackedPolicySize === undefined ? {} : { packedPolicyPercent: PackedPolicySize }),
  }
}

/** A broker that runs on a role chains roles, and STS then takes 3,600 s at most (AssumeRole, DurationSeconds). */
export function longestStsSeconds(callerArn: string): number {
  return callerArn.includes(':assumed-role/') ? 3_600 : 43_200
}
