import { type Answer, AwsFault, s3Answer } from './answer.js'
import { header, type RawRequest } from './signature.js'
import type { LockMode, Retention, StoredBucket, StoredObject } from './state.js'
import { el } from './xml.js'

/* S3 User Guide, "Locking objects with Object Lock"; codes and sentences as S3 words them. */

const DAY_MS = 86_400_000

const invalid = (code: 'InvalidRequest' | 'InvalidArgument' | 'MalformedXML', message: string): AwsFault =>
  new AwsFault(code, 400, message)

const locked = (): AwsFault =>
  new AwsFault('AccessDenied', 403, 'Access Denied because object protected by object lock.')

export function getLockConfiguration({ objectLock }: StoredBucket): Answer {
  if (objectLock === undefined)
    throw new AwsFault(
      'ObjectLockConfigurationNotFoundError',
      404,
      'Object Lock configuration does not exist for this bucket',
    )
  const rule =
    objectLock === true
      ? []
      : [el('Rule', el('DefaultRetention', el('Mode', objectLock.mode), el('Days', String(objectLock.days))))]
  return s3Answer('ObjectLockConfiguration', el('ObjectLockEnabled', 'Enabled'), ...rule)
}

/** The retention that a PutObject gives its object: from its headers, or the bucket's default. */
export function retentionFor(bucket: StoredBucket, raw: RawRequest, now: Date): Retention | undefined {
  const mode = header(raw, 'x-amz-object-lock-mode')
  const until = header(raw, 'x-amz-object-lock-retain-until-date')
  const { objectLock } = bucket
  if (mode === undefined && until === undefined) {
    if (objectLock === undefined || objectLock === true) return undefined
    requireChecksum(raw)
    return { mode: objectLock.mode, until: new Date(now.getTime() + objectLock.days * DAY_MS) }
  }
  if (mode === undefined || until === undefined)
    throw invalid(
      'InvalidArgument',
      'x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied',
    )
  requireLock(bucket)
  requireChecksum(raw)
  if (!isMode(mode)) throw invalid('InvalidArgument', 'Unknown wormMode directive.')
  return { mode, until: futureDate(until, now) }
}

/** S3 signs payloads already, and asks for this besides: the signature's hash does not count. */
function requireChecksum(raw: RawRequest): void {
  const given = Object.keys(raw.headers).some(
    (name) => name === 'content-md5' || /^x-amz-checksum-(crc|sha)/.test(name),
  )
  if (given || /^x-amz-checksum-/.test(header(raw, 'x-amz-trailer') ?? '')) return
  throw invalid(
    'InvalidRequest',
    'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
  )
}

function requireLock(bucket: StoredBucket): void {
  if (bucket.objectLock === undefined)
    throw invalid('InvalidRequest', 'Bucket is missing Object Lock Configuration')
}

const isMode = (text: string | undefined): text is LockMode => text === 'GOVERNANCE' || text === 'COMPLIANCE'

function futureDate(text: string, now: Date): Date {
  const at = new Date(text)
  if (!/^\d{4}-\d\d-\d\dT/.test(text) || Number.isNaN(at.getTime()))
    throw invalid('InvalidArgument', 'The retain until date must be provided in ISO 8601 format')
  if (at <= now) throw invalid('InvalidArgument', 'The retain until date must be in the future!')
  return at
}

const stillHeld = (retention: Retention | undefined, now: Date): retention is Retention =>
  retention !== undefined && retention.until > now

/** Throws AccessDenied while the version is held. `bypass`: asked for, and permitted to the caller. */
export function refuseRemoval({ retention }: StoredObject, now: Date, bypass: boolean): void {
  if (!stillHeld(retention, now)) return
  if (retention.mode === 'COMPLIANCE' || !bypass) throw locked()
}

export function getRetention(bucket: StoredBucket, { retention }: StoredObject): Answer {
  requireLock(bucket)
  if (retention === undefined)
    throw new AwsFault(
      'NoSuchObjectLockConfiguration',
      404,
      'The specified object does not have a ObjectLock configuration',
    )
  return s3Answer(
    'Retention',
    el('Mode', retention.mode),
    el('RetainUntilDate', retention.until.toISOString()),
  )
}

/** May always be made longer. COMPLIANCE is neither shortened nor left, by anybody; GOVERNANCE with a bypass. */
export function putRetention(
  bucket: StoredBucket,
  object: StoredObject,
  request: { readonly raw: RawRequest; readonly body: Buffer },
  now: Date,
  bypass: boolean,
): Answer {
  requireLock(bucket)
  requireChecksum(request.raw)
  const text = request.body.toString('utf8')
  const mode = /<Mode>(\w+)<\/Mode>/.exec(text)?.[1]
  const date = /<RetainUntilDate>([^<]+)<\/RetainUntilDate>/.exec(text)?.[1]
  if (!isMode(mode) || date === undefined)
    throw invalid('MalformedXML', 'The XML you provided was not well-formed')
  const until = futureDate(date, now)
  const before = object.retention
  if (stillHeld(before, now)) {
    const looser = until < before.until || (mode !== before.mode && before.mode === 'COMPLIANCE')
    if (looser && (before.mode === 'COMPLIANCE' || !bypass)) throw locked()
  }
  object.retention = { mode, until }
  return { status: 200, headers: {}, body: '' }
}

export function lockHeaders({ retention }: StoredObject): Record<string, string> {
  if (retention === undefined) return {}
  return {
    'x-amz-object-lock-mode': retention.mode,
    'x-amz-object-lock-retain-until-date': retention.until.toISOString(),
  }
}

/**
 * S3 User Guide, "Conditional writes": a delete marker counts as nothing there, for `If-None-Match` as for
 * `If-Match`, which is 404 then.
 */
export function checkConditions(raw: RawRequest, current: StoredObject | undefined): void {
  const none = header(raw, 'if-none-match')
  const match = header(raw, 'if-match')
  if (none !== undefined && none !== '*')
    throw new AwsFault('NotImplemented', 501, 'If-None-Match on a write takes nothing but *')
  if (match !== undefined && current === undefined)
    throw new AwsFault('NoSuchKey', 404, 'The specified key does not exist.')
  if ((none !== undefined && current !== undefined) || (match !== undefined && match !== current?.etag))
    throw new AwsFault(
      'PreconditionFailed',
      412,
      'At least one of the pre-conditions you specified did not hold',
    )
}
