/** One CloudTrail record, reduced to what reconciliation needs. */
export interface TrailEvent {
  readonly eventId: string
  /** The same call in another account's log carries the same one (record contents, sharedEventID). */
  readonly sharedEventId?: string
  /** Milliseconds; CloudTrail writes whole seconds. */
  readonly at: number
  /** `s3.amazonaws.com` */
  readonly source: string
  readonly name: string
  readonly region?: string
  /** An address, or the name of the AWS service that called. */
  readonly sourceIp?: string
  readonly errorCode?: string
  readonly data: boolean
  readonly who: TrailIdentity
  /** On AssumeRole and its kin. */
  readonly mint?: MintDetails
  /** Account whose log this is. */
  readonly recipient?: string
}

export interface TrailIdentity {
  readonly type?: string
  readonly principalId?: string
  readonly arn?: string
  readonly accountId?: string
  readonly accessKeyId?: string
  /** Set when an AWS service made the call on the session's behalf; then the key can be another one. */
  readonly invokedBy?: string
  readonly roleArn?: string
  readonly sourceIdentity?: string
}

export interface MintDetails {
  /** Of the role, or where the request is not in the record, of the session on it. */
  readonly roleArn?: string
  readonly sessionName?: string
  readonly sourceIdentity?: string
  readonly accessKeyId?: string
  /** `AROA…` of the role. */
  readonly roleId?: string
  readonly tags: ReadonlyMap<string, string>
}

export type ReadRecord =
  | { readonly kind: 'event'; readonly event: TrailEvent }
  /** CloudTrail's own statistics about calls (Insights): no call, nobody's identity. */
  | { readonly kind: 'insight' }
  | { readonly kind: 'unreadable'; readonly problem: string }

class Unreadable extends Error {}

/**
 * Reads one parsed JSON value as a CloudTrail record (CloudTrail User Guide, "CloudTrail record contents").
 * Never throws. A field that identifies a caller and has another type than documented makes the whole record
 * unreadable: taken for absent, it would turn a call on one of our roles into somebody else's.
 */
export function readRecord(value: unknown): ReadRecord {
  try {
    const record = object(value, 'the record') ?? fail('the record is null')
    const eventId = required(record, 'eventID')
    const at = instant(required(record, 'eventTime'))
    if (record.eventType === 'AwsCloudTrailInsight') return { kind: 'insight' }
    const source = required(record, 'eventSource')
    const name = required(record, 'eventName')
    const identity = object(record.userIdentity, 'userIdentity') ?? fail('userIdentity is missing')
    return {
      kind: 'event',
      event: {
        eventId,
        at,
        source,
        name,
        data: record.eventCategory === 'Data' || record.managementEvent === false,
        who: readIdentity(identity),
        ...some({
          sharedEventId: text(record, 'sharedEventID'),
          region: text(record, 'awsRegion'),
          sourceIp: text(record, 'sourceIPAddress'),
          errorCode: text(record, 'errorCode'),
          recipient: text(record, 'recipientAccountId'),
        }),
        ...(source === 'sts.amazonaws.com' && name.startsWith('AssumeRole')
          ? { mint: readMint(record) }
          : {}),
      },
    }
  } catch (error) {
    if (error instanceof Unreadable) return { kind: 'unreadable', problem: error.message }
    throw error
  }
}

function readIdentity(identity: Fields): TrailIdentity {
  const context = object(identity.sessionContext, 'sessionContext')
  const issuer = object(context?.sessionIssuer, 'sessionIssuer')
  return some({
    type: text(identity, 'type'),
    principalId: text(identity, 'principalId'),
    arn: text(identity, 'arn'),
    accountId: text(identity, 'accountId'),
    accessKeyId: text(identity, 'accessKeyId'),
    invokedBy: text(identity, 'invokedBy'),
    roleArn: issuer === undefined ? undefined : text(issuer, 'arn'),
    sourceIdentity: context === undefined ? undefined : text(context, 'sourceIdentity'),
  })
}

function readMint(record: Fields): MintDetails {
  const asked = object(record.requestParameters, 'requestParameters') ?? {}
  const answered = object(record.responseElements, 'responseElements') ?? {}
  const credentials = object(answered.credentials, 'credentials') ?? {}
  const user = object(answered.assumedRoleUser, 'assumedRoleUser') ?? {}
  return {
    tags: readTags(asked.tags),
    ...some({
      roleArn: text(asked, 'roleArn') ?? text(user, 'arn'),
      sessionName: text(asked, 'roleSessionName'),
      sourceIdentity: text(asked, 'sourceIdentity') ?? text(answered, 'sourceIdentity'),
      accessKeyId: text(credentials, 'accessKeyId'),
      roleId: text(user, 'assumedRoleId')?.split(':')[0],
    }),
  }
}

/** `[{key, value}]` on AssumeRole; `principalTags`, an object, on its federated kin is not ours to judge. */
function readTags(value: unknown): ReadonlyMap<string, string> {
  const tags = new Map<string, string>()
  if (value === undefined || value === null) return tags
  if (!Array.isArray(value)) fail('tags is not a list')
  for (const one of value as readonly unknown[]) {
    const tag = object(one, 'a tag') ?? fail('a tag is null')
    tags.set(required(tag, 'key'), text(tag, 'value') ?? '')
  }
  return tags
}

type Fields = Readonly<Record<string, unknown>>

function fail(problem: string): never {
  throw new Unreadable(problem)
}

function object(value: unknown, what: string): Fields | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'object' || Array.isArray(value)) fail(`${what} is not an object`)
  return value as Fields
}

/** Absent, null and empty are the same: CloudTrail writes all three. */
function text(fields: Fields, name: string): string | undefined {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined
  if (value === undefined || value === null || value === '') return undefined
  return typeof value === 'string' ? value : fail(`${name} is not a text`)
}

const required = (fields: Fields, name: string): string => text(fields, name) ?? fail(`${name} is missing`)

function instant(written: string): number {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/.test(written))
    fail('eventTime is not ISO 8601 in UTC')
  const at = Date.parse(written)
  return Number.isNaN(at) ? fail('eventTime is no instant') : at
}

/** Leaves undefined values out, as exact optional properties want. */
function some<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}
