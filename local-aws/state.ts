import { randomBytes } from 'node:crypto'
import type { PolicyDocument } from '../server/types.js'
import { checkInlineSize, checkTrustSize, type PolicyText, toPolicyText } from './policy-text.js'

export interface LocalRole {
  readonly arn: string
  readonly trustPolicy: PolicyDocument
  /** Inline policies by name. */
  readonly policies: Readonly<Record<string, PolicyDocument>>
  /** 3,600 to 43,200, as IAM takes it. */
  readonly maxSessionSeconds: number
}

export interface LocalBucket {
  readonly name: string
  readonly account: string
  /** Key → text. */
  readonly objects?: Readonly<Record<string, string>>
  readonly versioning?: boolean
  /** Brings versioning with it, as on AWS. With a default, what is put without a retention of its own gets that. */
  readonly objectLock?: true | DefaultRetention
}

export type LockMode = 'GOVERNANCE' | 'COMPLIANCE'

export interface DefaultRetention {
  readonly mode: LockMode
  readonly days: number
}

export interface Retention {
  readonly mode: LockMode
  readonly until: Date
}

export interface LocalBroker {
  readonly account: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** A user's, or a role's: then its sessions count as chained. */
  readonly arn?: string
}

export interface StoredRole {
  readonly arn: string
  readonly account: string
  readonly path: string
  readonly name: string
  /** `AROA…`, the first half of a session's `aws:userid`. */
  readonly id: string
  readonly createdAt: Date
  readonly maxSessionSeconds: number
  trustPolicy: PolicyText
  /** Read at every call, so a deny written now ends sessions that are already out. */
  readonly policies: Map<string, PolicyText>
  /** Which of them `putRole` gave: only these does it take away again. */
  readonly given: ReadonlySet<string>
}

export interface StoredObject {
  readonly body: Buffer
  readonly etag: string
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
  readonly modifiedAt: Date
  /** In versioned buckets. */
  readonly versionId?: string
  /** Hides what came before it; has no body and is never locked. */
  readonly deleteMarker?: true
  retention?: Retention
}

export interface StoredBucket {
  readonly name: string
  readonly account: string
  readonly createdAt: Date
  /** What a call without a version sees. */
  readonly objects: Map<string, StoredObject>
  /** Newest first, delete markers included; absent where versioning was never enabled. */
  versions?: Map<string, StoredObject[]>
  readonly objectLock?: true | DefaultRetention
}

export interface Session {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
  readonly roleArn: string
  readonly name: string
  readonly sourceIdentity?: string | undefined
  readonly tags: Readonly<Record<string, string>>
  /** As text: parsed trees of 100,000 sessions would fill the memory of a benchmark. */
  readonly policy?: string | undefined
  readonly issuedAt: Date
  readonly expiresAt: Date
}

/** Who signed a request: the broker, or a session minted here. */
export type Caller =
  | { readonly kind: 'broker'; readonly account: string; readonly arn: string; readonly userId: string }
  | {
      readonly kind: 'session'
      readonly account: string
      readonly arn: string
      readonly userId: string
      readonly session: Session
      readonly role: StoredRole
    }

export interface State {
  readonly now: () => Date
  readonly broker: LocalBroker & { readonly arn: string }
  readonly roles: Map<string, StoredRole>
  readonly buckets: Map<string, StoredBucket>
  readonly sessions: Map<string, Session>
}

/** Oldest out first; a session older than this many answers as if its key were unknown. */
const MAX_SESSIONS = 100_000

export function keepSession(state: State, session: Session): void {
  state.sessions.set(session.accessKeyId, session)
  if (state.sessions.size <= MAX_SESSIONS) return
  for (const oldest of state.sessions.keys()) {
    state.sessions.delete(oldest)
    return
  }
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** `ASIA…` for session keys, `AROA…` for roles, `AIDA…` for users: a prefix and `length` characters. */
export const awsId = (prefix: string, length: number): string =>
  prefix + Array.from(randomBytes(length), (byte) => BASE32[byte % 32]).join('')

/**
 * Adds a role or replaces one. Its id survives, and so do policies that came through IAM: a deny must outlive
 * a reload of the policy set. Throws on what IAM would not hold.
 */
export function putRole(state: State, role: LocalRole): void {
  const [, account, path, name] =
    /^arn:aws:iam::(\d{12}):role(\/(?:[\w.@=+,-]+\/)*)([\w+=,.@-]{1,64})$/.exec(role.arn) ?? []
  if (account === undefined || path === undefined || name === undefined)
    throw new Error(`${role.arn} is not a role ARN`)
  for (const other of state.roles.values())
    if (other.account === account && other.name === name && other.arn !== role.arn)
      throw new Error(`account ${account} already has a role named ${name}: paths do not tell roles apart`)
  if (!(role.maxSessionSeconds >= 3600 && role.maxSessionSeconds <= 43_200))
    throw new Error(`${role.arn}: IAM takes a MaxSessionDuration of 3,600 to 43,200 seconds`)
  const before = state.roles.get(role.arn)
  const policies = new Map([...(before?.policies ?? [])].filter(([key]) => !before?.given.has(key)))
  for (const [key, document] of Object.entries(role.policies))
    policies.set(key, toPolicyText(document, 'permissions'))
  checkInlineSize(role.arn, [...policies.values()])
  const trustPolicy = toPolicyText(role.trustPolicy, 'trust')
  checkTrustSize(trustPolicy)
  state.roles.set(role.arn, {
    arn: role.arn,
    account,
    path,
    name,
    id: before?.id ?? awsId('AROA', 17),
    createdAt: before?.createdAt ?? state.now(),
    maxSessionSeconds: role.maxSessionSeconds,
    trustPolicy,
    policies,
    given: new Set(Object.keys(role.policies)),
  })
}
