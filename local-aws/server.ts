import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import ipaddr from 'ipaddr.js'
import { type Answer, AwsFault, faultAnswer, type Service } from './answer.js'
import { authenticate, serviceOf } from './authenticate.js'
import { Dropped, type FaultPlan, type Faults, faultPlan } from './faults.js'
import { ACCOUNT_PATH, answerIam } from './iam.js'
import { type Call, parameters } from './request.js'
import { answerS3, MAX_OBJECT_BYTES } from './s3.js'
import { s3Target } from './s3-target.js'
import { newBucket } from './s3-versions.js'
import { type RawRequest, readClaim } from './signature.js'
import { type LocalBroker, type LocalBucket, type LocalRole, putRole, type State } from './state.js'
import { answerSts } from './sts.js'

/** One line of the local CloudTrail. */
export interface CallRecord {
  /** `sts:AssumeRole`, `s3:GetObject`, …; `unknown` when the request never got that far. */
  action: string
  /** As claimed: a call with `allowed: false` may have failed its signature. */
  accessKeyId: string | undefined
  /** The session asked for in AssumeRole, the caller's own elsewhere. */
  sessionName: string | undefined
  allowed: boolean
  /** AWS's error code when not allowed. */
  code: string | undefined
  readonly at: Date
}

export interface LocalAwsOptions {
  readonly roles: readonly LocalRole[]
  readonly buckets: readonly LocalBucket[]
  readonly broker: LocalBroker
  /** A loopback address. Default 127.0.0.1. */
  readonly host?: string
  /** Default: any free port. */
  readonly port?: number
  readonly now?: () => Date
  /** Added to every answer, in milliseconds. */
  readonly latencyMs?: number
}

export interface LocalAws {
  /** The endpoint of STS, IAM and S3 (path-style) alike. */
  readonly url: string
  /** An IAM endpoint for one account, where several have roles of the same name. */
  readonly iamUrl: (account: string) => string
  /** Adds or replaces; live sessions of the role follow at once. */
  readonly putRole: (role: LocalRole) => void
  /** The latest 10,000 calls, oldest first. */
  readonly calls: readonly Readonly<CallRecord>[]
  readonly faults: Faults
  readonly close: () => Promise<void>
}

const MAX_CALLS = 10_000
/** An object and the framing that aws-chunked adds. */
const MAX_BODY = MAX_OBJECT_BYTES + 1024 * 1024

/**
 * STS, IAM and S3 in memory, on loopback, for unmodified clients: verifies every signature, enforces AWS's
 * limits, evaluates role, session and trust policies. Throws when a role is one that IAM would not hold.
 */
export async function startLocalAws(options: LocalAwsOptions): Promise<LocalAws> {
  const { broker, host = '127.0.0.1', port = 0, now = () => new Date(), latencyMs = 0 } = options
  if (!ipaddr.isValid(host) || ipaddr.process(host).range() !== 'loopback')
    throw new Error(`local AWS listens on loopback only, not on ${host}`)
  const arn = broker.arn ?? `arn:aws:iam::${broker.account}:user/writ-broker`
  const state: State = {
    now,
    broker: { ...broker, arn },
    roles: new Map(),
    buckets: new Map(),
    sessions: new Map(),
  }
  for (const role of options.roles) putRole(state, role)
  for (const bucket of options.buckets) state.buckets.set(bucket.name, newBucket(bucket, now()))
  const calls: CallRecord[] = []
  const plan = faultPlan()
  const server = createServer((request, response) => {
    const record: CallRecord = {
      action: 'unknown',
      accessKeyId: undefined,
      sessionName: undefined,
      allowed: false,
      code: undefined,
      at: now(),
    }
    calls.push(record)
    if (calls.length > MAX_CALLS) calls.shift()
    void handle(state, plan, record, request, response, latencyMs)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const bound = (server.address() as AddressInfo).port
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${bound}`
  return {
    url,
    iamUrl: (account) => `${url}/accounts/${account}`,
    putRole: (role) => putRole(state, role),
    calls,
    faults: plan.faults,
    close: () => {
      plan.dropAll()
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

async function handle(
  state: State,
  plan: FaultPlan,
  record: CallRecord,
  request: IncomingMessage,
  response: ServerResponse,
  latencyMs: number,
): Promise<void> {
  const requestId = randomUUID()
  let service: Service = 's3'
  let answer: Answer
  try {
    const raw = await readRequest(request)
    const claim = readClaim(raw)
    service = serviceOf(claim, raw)
    record.accessKeyId = claim?.accessKeyId
    const sourceIp = ipaddr.process(request.socket.remoteAddress ?? '').toString()
    const call = { ...authenticate(state, raw), raw, requestId, sourceIp }
    answer = await dispatch(state, plan, record, call)
  } catch (error) {
    if (error instanceof Dropped || request.socket.destroyed) {
      record.code = 'Dropped'
      response.destroy()
      return
    }
    const fault = error instanceof AwsFault ? error : new AwsFault('InternalFailure', 500, String(error))
    record.code = fault.code
    answer = faultAnswer(service, fault, requestId)
  }
  if (latencyMs > 0) await delay(latencyMs)
  const headers: Record<string, string | number> = {
    ...answer.headers,
    // The server's clock, not the machine's: clients correct theirs by it.
    date: state.now().toUTCString(),
    'content-length': answer.status === 204 ? 0 : Buffer.byteLength(answer.body),
    'x-amz-request-id': requestId,
    'x-amzn-requestid': requestId,
  }
  // What is left of a body that was too large is not read.
  if (!request.complete) headers.connection = 'close'
  response.writeHead(answer.status, headers).end(request.method === 'HEAD' ? undefined : answer.body)
}

async function dispatch(state: State, plan: FaultPlan, record: CallRecord, call: Call): Promise<Answer> {
  const { service, caller } = call
  record.sessionName = caller.kind === 'session' ? caller.session.name : undefined
  // What took effect is on record as such, also when its answer is never delivered.
  const run = (answer: () => Answer): Answer => {
    const done = answer()
    record.allowed = true
    return done
  }
  if (service === 's3') {
    const target = s3Target(call)
    record.action = target.action
    return plan.around(target.operation, () => run(() => answerS3(state, call, target)))
  }
  if (call.raw.path !== '/' && !(service === 'iam' && ACCOUNT_PATH.test(call.raw.path)))
    throw new AwsFault('InvalidAction', 404, `Local AWS has no ${call.raw.path} for ${service}`)
  const given = parameters(call.raw, call.body)
  const action = given.get('Action') ?? ''
  record.action = `${service}:${action}`
  if (action === 'AssumeRole') record.sessionName = given.get('RoleSessionName')
  return plan.around(action, () =>
    run(() => (service === 'sts' ? answerSts(state, call, given) : answerIam(state, call, given))),
  )
}

async function readRequest(request: IncomingMessage): Promise<RawRequest> {
  const tooLarge = (): AwsFault =>
    new AwsFault('EntityTooLarge', 400, 'Your proposed upload exceeds the maximum allowed size')
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY) throw tooLarge()
    chunks.push(chunk)
  }
  const [path = '/', ...rest] = (request.url ?? '/').split('?')
  const pairs = rest
    .join('?')
    .split('&')
    .filter((pair) => pair !== '')
  return {
    method: request.method ?? 'GET',
    path,
    query: pairs.map(readPair),
    headers: request.headersDistinct,
    body: Buffer.concat(chunks),
  }
}

function readPair(pair: string): readonly [string, string] {
  const at = pair.indexOf('=')
  try {
    const name = decodeURIComponent(at < 0 ? pair : pair.slice(0, at))
    return [name, at < 0 ? '' : decodeURIComponent(pair.slice(at + 1))]
  } catch {
    throw new AwsFault('InvalidURI', 400, "Couldn't parse the specified URI.")
  }
}
