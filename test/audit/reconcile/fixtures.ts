import { randomUUID } from 'node:crypto'
import { BookBuilder, type IssuanceBook } from '../../../server/audit/reconcile/issuances.js'
import { type ReconcileSettings, Reconciliation } from '../../../server/audit/reconcile/reconcile.js'
import { type Report, report } from '../../../server/audit/reconcile/report.js'
import { globMatches } from '../../../server/policy/evaluate.js'
import type { PolicySet } from '../../../server/types.js'

/** Records as CloudTrail's user guide and the IAM user guide show them; every account and key is made up. */

export const ACCOUNT = '111122223333'
export const BROKER = 'arn:aws:sts::999900001111:assumed-role/writ-broker/i-0123456789abcdef0'
export const READ_ROLE = `arn:aws:iam::${ACCOUNT}:role/writ/orders-coder-read`
export const WRITE_ROLE = `arn:aws:iam::${ACCOUNT}:role/writ/orders-coder-write`
const ROLE_ID = 'AROAEXAMPLEWRITREAD00'

export const ISSUANCE = '0a1b2c3d4e5f'
export const OTHER = '9z8y7x6w5v4t'
export const KEY = 'ASIAEXAMPLE000000001'
export const OTHER_KEY = 'ASIAEXAMPLE000000002'

export type Json = Record<string, unknown>

/** Minutes after the issuance, as CloudTrail writes an instant. */
export const minute = (minutes: number): string =>
  `${new Date(Date.UTC(2026, 10, 25, 10, 0, 0) + minutes * 60_000).toISOString().slice(0, 19)}Z`

export interface IdentityParts {
  readonly key?: string | undefined
  readonly session?: string
  readonly role?: string
  readonly sourceIdentity?: string | undefined
  readonly invokedBy?: string
}

export function identity(parts: IdentityParts = {}): Json {
  const { session = ISSUANCE, role = READ_ROLE } = parts
  const key = 'key' in parts ? parts.key : KEY
  const sourceIdentity = 'sourceIdentity' in parts ? parts.sourceIdentity : `orders-coder+${session}`
  const account = role.split(':')[4]
  const name = role.split('/').at(-1)
  return {
    type: 'AssumedRole',
    principalId: `${ROLE_ID}:${session}`,
    arn: `arn:aws:sts::${account}:assumed-role/${name}/${session}`,
    accountId: account,
    ...(key === undefined ? {} : { accessKeyId: key }),
    sessionContext: {
      sessionIssuer: { type: 'Role', principalId: ROLE_ID, arn: role, accountId: account, userName: name },
      attributes: { creationDate: minute(0), mfaAuthenticated: 'false' },
      ...(sourceIdentity === undefined ? {} : { sourceIdentity }),
    },
    ...(parts.invokedBy === undefined ? {} : { invokedBy: parts.invokedBy }),
  }
}

export const call = (change: Json = {}): Json => ({
  eventVersion: '1.11',
  userIdentity: identity(),
  eventTime: minute(5),
  eventSource: 's3.amazonaws.com',
  eventName: 'GetObject',
  awsRegion: 'eu-west-1',
  sourceIPAddress: '203.0.113.7',
  userAgent: '[aws-cli/2.31.0 Python/3.13.7]',
  requestParameters: {
    bucketName: 'orders-production',
    key: 'order-7.json',
    Host: 's3.eu-west-1.amazonaws.com',
  },
  responseElements: null,
  additionalEventData: { SignatureVersion: 'SigV4', CipherSuite: 'TLS_AES_128_GCM_SHA256' },
  requestID: 'YKEKJP7QX3EXAMPLE',
  eventID: randomUUID(),
  readOnly: true,
  resources: [{ type: 'AWS::S3::Object', ARN: 'arn:aws:s3:::orders-production/order-7.json' }],
  eventType: 'AwsApiCall',
  managementEvent: false,
  recipientAccountId: ACCOUNT,
  eventCategory: 'Data',
  ...change,
})

export interface MintParts {
  readonly key?: string
  readonly session?: string
  readonly role?: string
  readonly sourceIdentity?: string
  readonly at?: string
  readonly caller?: Json
  readonly change?: Json
}

export function mint(parts: MintParts = {}): Json {
  const { key = KEY, session = ISSUANCE, role = READ_ROLE } = parts
  const sourceIdentity = parts.sourceIdentity ?? `orders-coder+${session}`
  const name = role.split('/').at(-1)
  return {
    eventVersion: '1.08',
    userIdentity: parts.caller ?? {
      type: 'AssumedRole',
      principalId: 'AROAEXAMPLEBROKER0000:i-0123456789abcdef0',
      arn: BROKER,
      accountId: '999900001111',
      accessKeyId: 'ASIAEXAMPLEBROKER001',
      sessionContext: {
        sessionIssuer: {
          type: 'Role',
          principalId: 'AROAEXAMPLEBROKER0000',
          arn: 'arn:aws:iam::999900001111:role/writ-broker',
          accountId: '999900001111',
          userName: 'writ-broker',
        },
        attributes: { creationDate: minute(-60), mfaAuthenticated: 'false' },
      },
    },
    eventTime: parts.at ?? minute(0),
    eventSource: 'sts.amazonaws.com',
    eventName: 'AssumeRole',
    awsRegion: 'eu-west-1',
    sourceIPAddress: '198.51.100.20',
    userAgent: 'aws-sdk-js/3.1169.0 os/linux lang/js md/nodejs#20.20.2',
    requestParameters: {
      roleArn: role,
      roleSessionName: session,
      sourceIdentity,
      durationSeconds: 3600,
      policy: '{"Version":"2012-10-17","Statement":[]}',
      tags: [
        { key: 'writ:agent', value: 'orders-coder' },
        { key: 'writ:environment', value: 'production' },
        { key: 'writ:issuance', value: session },
      ],
    },
    responseElements: {
      credentials: {
        accessKeyId: key,
        expiration: 'Nov 25, 2026, 11:00:00 AM',
        sessionToken: 'EXAMPLETOKEN',
      },
      assumedRoleUser: {
        assumedRoleId: `${ROLE_ID}:${session}`,
        arn: `arn:aws:sts::${role.split(':')[4]}:assumed-role/${name}/${session}`,
      },
      packedPolicySize: 22,
      sourceIdentity,
    },
    requestID: randomUUID(),
    eventID: randomUUID(),
    readOnly: true,
    resources: [{ accountId: role.split(':')[4], type: 'AWS::IAM::Role', ARN: role }],
    eventType: 'AwsApiCall',
    managementEvent: true,
    recipientAccountId: ACCOUNT,
    sharedEventID: randomUUID(),
    eventCategory: 'Management',
    tlsDetails: { tlsVersion: 'TLSv1.3', clientProvidedHostHeader: 'sts.eu-west-1.amazonaws.com' },
    ...parts.change,
  }
}

/** An item of GET /v1/issuances, in the spelling of the database. */
export const issuanceItem = (change: Json = {}): Json => ({
  issuance: ISSUANCE,
  entry: 4,
  at: '2026-11-25T09:59:59.812345+00:00',
  state: 'issued',
  agent: 'orders-coder',
  environment: 'production',
  role: READ_ROLE,
  sensitivity: 'read',
  scopes: ['orders:read'],
  human: null,
  human_how: null,
  subject: 'agent:orders-coder',
  source_ip: '203.0.113.7',
  reason: 'look at order 7',
  ticket: null,
  grant: null,
  grant_use: null,
  policy_digest: `sha256:${'0'.repeat(64)}`,
  access_key_id: KEY,
  expires_at: '2026-11-25T11:00:00+00:00',
  error_code: null,
  ...change,
})

/** An item of GET /v1/events: what the issuance was intended to be. */
export const intendedItem = (change: Json = {}): Json => ({
  index: 4,
  leaf_hash: '0'.repeat(64),
  repeats: null,
  body: {
    v: 1,
    index: 4,
    kind: 'issuance.intended',
    at: '2026-11-25T09:59:59.812345Z',
    issuance_id: ISSUANCE,
    ...change,
  },
})

/** Any other item of GET /v1/events. */
export const entry = (kind: string, at: string, fields: Json, personal?: Json): Json => ({
  index: 9,
  leaf_hash: '0'.repeat(64),
  repeats: null,
  body: { v: 1, index: 9, kind, at, ...fields },
  ...(personal === undefined ? {} : { personal }),
})

/** A session policy as the broker writes it, bound to a network. */
export const boundPolicy = (...cidrs: string[]): string =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Action: 's3:GetObject', Resource: 'arn:aws:s3:::orders-production/*' },
      {
        Effect: 'Deny',
        Action: '*',
        Resource: '*',
        Condition: {
          NotIpAddress: { 'aws:SourceIp': cidrs.length === 1 ? cidrs[0] : cidrs },
          Bool: { 'aws:ViaAWSService': 'false' },
        },
      },
    ],
  })

export function bookOf(items: readonly Json[], namesOf?: (human: string) => readonly string[]): IssuanceBook {
  const builder = new BookBuilder(namesOf)
  for (const item of items) {
    const wrong = builder.add(item)
    if (wrong !== undefined) throw new Error(wrong)
  }
  const { book, problems } = builder.build()
  if (problems[0] !== undefined) throw new Error(problems[0])
  return book
}

export const NO_POLICIES: Pick<PolicySet, 'agents' | 'scopes'> = { agents: new Map(), scopes: new Map() }

export const matches = (pattern: string, action: string): boolean =>
  globMatches(pattern.toLowerCase(), action.toLowerCase())

export interface ReconcileInput {
  readonly items?: readonly Json[]
  readonly settings?: Partial<ReconcileSettings>
  readonly policySet?: Pick<PolicySet, 'agents' | 'scopes'>
  readonly namesOf?: (human: string) => readonly string[]
}

/** The whole way, but for files. */
export function reconcile(records: readonly unknown[], input: ReconcileInput = {}): Report {
  const reconciliation = new Reconciliation(bookOf(input.items ?? [issuanceItem()], input.namesOf), {
    roles: [READ_ROLE, WRITE_ROLE],
    agents: ['orders-coder'],
    ...input.settings,
  })
  for (const [index, record] of records.entries()) {
    // Through JSON, as from a file.
    reconciliation.take(JSON.parse(JSON.stringify(record)), { file: 'trail.json', record: index + 1 })
  }
  reconciliation.finish()
  return report(reconciliation, {
    files: 1,
    digestFiles: 0,
    skipped: [],
    policySet: input.policySet ?? NO_POLICIES,
    matches,
  })
}

/** Kinds of the findings, in order. */
export const kinds = ({ findings }: Report): readonly string[] => findings.map(({ kind }) => kind)
