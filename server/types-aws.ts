/** What the broker needs of AWS's services. Imports nothing, does nothing. */

export interface AssumeRoleInput {
  readonly roleArn: string
  readonly region: string
  readonly sessionName: string
  readonly sourceIdentity: string
  readonly tags: Readonly<Record<string, string>>
  readonly durationSeconds: number
  readonly policy: string
}

/** Lives in memory and in one response; never in a log, a record, an error. */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly expiresAt: Date
}

export interface AssumedSession {
  readonly credentials: AwsCredentials
  readonly assumedRoleArn: string
  readonly assumedRoleId: string
  /** Percent of AWS's packed limit that policy and tags used; absent when AWS did not say. */
  readonly packedPolicyPercent?: number
}

/** Throws only `WritError` aws_refused, aws_throttled, aws_unavailable. */
export type AssumeRole = (input: AssumeRoleInput) => Promise<AssumedSession>

/** A bucket under object lock, where the log is published. Paths are below its prefix. */
export interface LockedBucket {
  /** For sentences: `s3://bucket/prefix`. */
  readonly name: string
  readonly read: (path: string) => Promise<{ readonly data: Buffer; readonly etag: string } | undefined>
  /** The new ETag; undefined when the condition does not hold, and nothing was written. */
  readonly write: (path: string, data: Uint8Array, when: WriteCondition) => Promise<string | undefined>
  readonly close: () => void
}

/** What a write waits for: nothing there yet, or exactly what was read before. */
export type WriteCondition = 'absent' | { readonly etag: string }

/** IAM, for one account at a time. Throws `WritError` aws_refused, aws_throttled, aws_unavailable, iam_unavailable. */
export interface Iam {
  /** What the role is; undefined when there is none of this name. Documents as IAM has them, decoded. */
  readonly role: (roleArn: string) => Promise<IamRole | undefined>
  readonly inlinePolicies: (roleArn: string) => Promise<readonly string[]>
  /** The document's text; undefined when there is none of this name. */
  readonly inlinePolicy: (roleArn: string, name: string) => Promise<string | undefined>
  /** ARNs. */
  readonly attachedPolicies: (roleArn: string) => Promise<readonly string[]>
  /** Throws `WritError` with extra `{limit: true}` where all inline policies together would be too large. */
  readonly putInlinePolicy: (roleArn: string, name: string, document: string) => Promise<void>
  /** Nothing there is fine. */
  readonly deleteInlinePolicy: (roleArn: string, name: string) => Promise<void>
  readonly close: () => void
}

export interface IamRole {
  readonly arn: string
  readonly trustPolicy: string
  readonly maxSessionSeconds: number
  /** ARN of the managed policy that bounds the role, where one does. */
  readonly permissionsBoundary?: string
}
