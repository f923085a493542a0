import { AwsFault, type Service } from './answer.js'
import { readPayload, signedPayloadHash } from './payload.js'
import { type Claim, equal, isSigned, type RawRequest, readClaim, timestampMs } from './signature.js'
import type { Caller, State } from './state.js'

export interface Authenticated {
  readonly caller: Caller
  readonly claim: Claim
  readonly service: Service
  /** Unframed, and verified as far as the client signed it. */
  readonly body: Buffer
}

const MAX_SKEW_MS = 15 * 60_000

interface Known {
  readonly caller: Caller
  readonly secret: string
  readonly token?: string
  readonly expiresAt?: Date
}

function find(state: State, accessKeyId: string): Known | undefined {
  const { broker } = state
  if (accessKeyId === broker.accessKeyId) {
    const { account, arn, secretAccessKey } = broker
    return {
      caller: { kind: 'broker', account, arn, userId: 'AIDALOCALAWSBROKER000' },
      secret: secretAccessKey,
    }
  }
  const session = state.sessions.get(accessKeyId)
  const role = session && state.roles.get(session.roleArn)
  if (session === undefined || role === undefined) return undefined
  const arn = `arn:aws:sts::${role.account}:assumed-role/${role.name}/${session.name}`
  const caller = {
    kind: 'session',
    account: role.account,
    arn,
    userId: `${role.id}:${session.name}`,
    session,
    role,
  } as const
  return {
    caller,
    secret: session.secretAccessKey,
    token: session.sessionToken,
    expiresAt: session.expiresAt,
  }
}

/** Which service a request means: its signature's scope says so. */
export function serviceOf(claim: Claim | undefined, request: RawRequest): Service {
  const service = claim?.service ?? (request.method === 'POST' && request.path === '/' ? 'sts' : 's3')
  if (service !== 'sts' && service !== 'iam' && service !== 's3')
    throw new AwsFault('SignatureDoesNotMatch', 403, `Local AWS has sts, iam and s3, not ${service}`)
  return service
}

/** Throws AwsFault with the code that the service in question uses. */
export function authenticate(state: State, request: RawRequest): Authenticated {
  const claim = readClaim(request)
  const service = serviceOf(claim, request)
  const s3 = service === 's3'
  if (claim === undefined)
    throw s3
      ? new AwsFault('AccessDenied', 403, 'Access Denied')
      : new AwsFault('MissingAuthenticationToken', 403, 'Request is missing Authentication Token')
  checkClock(state.now().getTime(), claim, s3)
  const known = find(state, claim.accessKeyId)
  if (known === undefined)
    throw s3
      ? new AwsFault(
          'InvalidAccessKeyId',
          403,
          'The AWS Access Key Id you provided does not exist in our records.',
        )
      : new AwsFault('InvalidClientTokenId', 403, 'The security token included in the request is invalid.')
  // Every key has one right token, the broker's none: a session's key without its token is worth nothing.
  if (!equal(claim.token ?? '', known.token ?? ''))
    throw s3
      ? new AwsFault('InvalidToken', 400, 'The provided token is malformed or otherwise invalid.')
      : new AwsFault('InvalidClientTokenId', 403, 'The security token included in the request is invalid.')
  const hash = signedPayloadHash(request, claim)
  if (hash === undefined && s3)
    throw new AwsFault(
      'XAmzContentSHA256Mismatch',
      400,
      'x-amz-content-sha256 does not match what was computed.',
    )
  if (hash === undefined || !isSigned(request, claim, hash, known.secret))
    throw new AwsFault(
      'SignatureDoesNotMatch',
      403,
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
    )
  if (known.expiresAt !== undefined && state.now() >= known.expiresAt)
    throw s3
      ? new AwsFault('ExpiredToken', 400, 'The provided token has expired.')
      : new AwsFault('ExpiredToken', 403, 'The security token included in the request is expired')
  return { caller: known.caller, claim, service, body: readPayload(request, claim, known.secret) }
}

function checkClock(now: number, claim: Claim, s3: boolean): void {
  const signedAt = timestampMs(claim.timestamp)
  if (!claim.timestamp.startsWith(claim.date) || Number.isNaN(signedAt))
    throw new AwsFault(
      'SignatureDoesNotMatch',
      403,
      'Date in Credential scope does not match the date of the request',
    )
  const lifeMs = claim.expires === undefined ? MAX_SKEW_MS : claim.expires * 1000
  if (now - signedAt <= lifeMs && signedAt - now <= MAX_SKEW_MS) return
  if (s3 && claim.expires !== undefined) throw new AwsFault('AccessDenied', 403, 'Request has expired')
  if (s3)
    throw new AwsFault(
      'RequestTimeTooSkewed',
      403,
      'The difference between the request time and the current time is too large.',
    )
  throw new AwsFault(
    'SignatureDoesNotMatch',
    403,
    `Signature expired: ${claim.timestamp} is more than 15 minutes from the time of the server`,
  )
}
