import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts'
import type { AssumeRoleInput } from '../server/types-aws.js'

export interface AwsPlace {
  readonly url: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

/** As many sockets as the broker's own client has (server/aws/sts.ts); the default of 50 would queue. */
export function stsClient({ url, credentials }: AwsPlace, region: string): STSClient {
  // `timeout` lets go of idle sockets before the other side does: one that it closes just when it is used again
  // fails that request.
  const requestHandler = { httpAgent: { keepAlive: true, maxSockets: 256, timeout: 3_000 } }
  return new STSClient({ endpoint: url, credentials, region, maxAttempts: 1, requestHandler })
}

export function assumeRoleCommand(assume: AssumeRoleInput): AssumeRoleCommand {
  return new AssumeRoleCommand({
    RoleArn: assume.roleArn,
    RoleSessionName: assume.sessionName,
    SourceIdentity: assume.sourceIdentity,
    DurationSeconds: assume.durationSeconds,
    Policy: assume.policy,
    Tags: Object.entries(assume.tags).map(([Key, Value]) => ({ Key, Value })),
  })
}
