import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import type { Webhook } from '../types.js'
import type { Reach } from './addresses.js'
import { DeliveryError, type Failure } from './failure.js'
import type { Message } from './message.js'
import { hostOf, type Resolve, reachable } from './resolve.js'
import { retryAfterSeconds } from './schedule.js'
import { readSecrets, readSmallFile, sign } from './secrets.js'

/** Milliseconds. */
export interface Limits {
  readonly connectMs: number
  /** From the request to the answer's headers. */
  readonly totalMs: number
}

/** The specification recommends 15 to 30 seconds. */
export const LIMITS: Limits = { connectMs: 5_000, totalMs: 15_000 }

/** Nothing in an answer's body is used; reading a little lets the connection be used again. */
const MOST_BODY_BYTES = 1024
const BODY_MS = 1_000
const MOST_HEADER_BYTES = 8 * 1024

export interface Answer {
  readonly status: number
  readonly retryAfterSeconds?: number
}

export interface ReceiverDeps {
  readonly reach: Reach
  readonly resolve: Resolve
  readonly now: () => Date
  readonly limits: Limits
}

/** The receiver of one webhook, over one connection at a time. */
export interface Receiver {
  /** One signed POST; whatever was answered. Throws `DeliveryError`, or what `signal` was aborted with. */
  readonly post: (message: Message, signal: AbortSignal) => Promise<Answer>
  readonly close: () => void
}

/**
 * No redirect is followed and no proxy variable is read: both would lead somewhere that was not checked.
 */
export function openReceiver(webhook: Webhook, deps: ReceiverDeps): Receiver {
  const url = new URL(webhook.url)
  const secure = url.protocol === 'https:'
  const host = hostOf(url)
  // The one look-up there is: what it checked is what `connect` gets, so a name that changes its address between
  // check and connection gains nothing.
  const lookup: LookupFunction = (name, options, callback) => {
    reachable(name, deps.reach, deps.resolve).then(
      (all) => {
        const [first] = all
        if (options.all === true) callback(null, [...all])
        else callback(null, first?.address ?? '', first?.family)
      },
      (error: Error) => callback(error, ''),
    )
  }
  let agent: HttpAgent | undefined
  const open = async (): Promise<HttpAgent> => {
    const shared = { keepAlive: true, maxSockets: 1, lookup }
    if (!secure) return new HttpAgent(shared)
    const ca = webhook.caFile === undefined ? {} : { ca: await readSmallFile(webhook.caFile, 'ca_unusable') }
    // Said here, so that NODE_TLS_REJECT_UNAUTHORIZED cannot say otherwise.
    return new HttpsAgent({ ...shared, ...ca, minVersion: 'TLSv1.2', rejectUnauthorized: true })
  }
  return {
    async post({ id, body }, signal) {
      if (!secure && !deps.reach.loopback) throw new DeliveryError('address_refused')
      // `connect` looks no address up.
      if (isIP(host) !== 0) await reachable(host, deps.reach, deps.resolve)
      const secrets = await readSecrets(webhook.secretFile)
      agent ??= await open()
      const now = deps.now()
      const timestamp = Math.floor(now.getTime() / 1000)
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'writ',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': sign(secrets, id, timestamp, body),
      }
      const answer = await send({ url, agent, headers, body, limits: deps.limits, signal })
      const wait = retryAfterSeconds(answer.headers['retry-after'], now)
      return { status: answer.statusCode ?? 0, ...(wait === undefined ? {} : { retryAfterSeconds: wait }) }
    },
    close: () => agent?.destroy(),
  }
}

interface Sending {
  readonly url: URL
  readonly agent: HttpAgent
  readonly headers: Readonly<Record<string, string | number>>
  readonly body: string
  readonly limits: Limits
  readonly signal: AbortSignal
}

function send({ url, agent, headers, body, limits, signal }: Sending): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:'
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      agent,
      headers: { ...headers },
      maxHeaderSize: MOST_HEADER_BYTES,
      signal,
    }
    const request = (secure ? httpsRequest : httpRequest)(url, options)
    const late = () => request.destroy(new DeliveryError('timeout'))
    const timers = [setTimeout(late, limits.totalMs)]
    const stop = () => {
      for (const timer of timers) clearTimeout(timer)
    }
    request.on('socket', (socket) => {
      if (request.reusedSocket) return
      const connecting = setTimeout(late, limits.connectMs)
      timers.push(connecting)
      socket.once(secure ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
    })
    let answered = false
    request.on('response', (response) => {
      answered = true
      stop()
      void drained(response).then(() => resolve(response))
    })
    // Also after an answer: a connection that breaks then says nothing any more, and must not end the process.
    request.on('error', (error) => {
      stop()
      reject(signal.aborted ? error : new DeliveryError(failureOf(error)))
    })
    request.on('close', () => {
      stop()
      if (!answered) reject(new DeliveryError('connection_failed'))
    })
    request.end(body)
  })
}

/** Reads a little of the body and breaks off where there is more, or it does not come. */
function drained(response: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0
    const timer = setTimeout(() => response.destroy(), BODY_MS)
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > MOST_BODY_BYTES) response.destroy()
    })
    response.on('error', () => undefined)
    response.on('close', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/** Codes are constants; messages may quote what a receiver sent. */
function failureOf(error: Error & { readonly code?: unknown }): Failure {
  if (error instanceof DeliveryError) return error.failure
  const code = typeof error.code === 'string' ? error.code : ''
  if (/^HPE_/.test(code)) return 'answer_unreadable'
  if (/TLS|SSL|CERT|SIGNED|ISSUER|^EPROTO$/.test(code)) return 'tls_failed'
  return 'connection_failed'
}
