import { WritError } from '../errors.js'

/** What to do about an error of AWS (STS AssumeRole, "Errors", and common errors). */
export type AwsFault = 'refused' | 'throttled' | 'server' | 'expired-credentials' | 'timeout' | 'unreachable'

/**
 * Classifies by `name`, with or without its suffix `Exception`: `instanceof` fails across SDK copies.
 * What is unknown counts as refused, which is never retried.
 */
export function classify(error: unknown): AwsFault {
  if (!(error instanceof Error)) return 'refused'
  const name = error.name.replace(/Exception$/, '')
  if (['Throttling', 'ThrottledRequest', 'TooManyRequests', 'RequestLimitExceeded'].includes(name))
    return 'throttled'
  if (name === 'ExpiredToken') return 'expired-credentials'
  // The SDK calls a reset connection a TimeoutError as well.
  if ('code' in error && ['ECONNRESET', 'EPIPE'].includes(String(error.code))) return 'unreachable'
  if (['TimeoutError', 'RequestTimeout', 'AbortError'].includes(name)) return 'timeout'
  const status = statusOf(error)
  if (status !== undefined && status >= 500) return 'server'
  if (status === undefined && 'code' in error && typeof error.code === 'string') return 'unreachable'
  return 'refused'
}

function statusOf(error: Error): number | undefined {
  if (!('$metadata' in error)) return undefined
  const metadata = error.$metadata
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}

/** The error a caller sees. AWS's own message stays in the log: it can name principals and policies. */
export function toWritError(error: unknown, fault: AwsFault): WritError {
  const name = error instanceof Error ? error.name : 'unknown'
  const out = messages[fault](name)
  out.cause = error
  return out
}

const messages: Readonly<Record<AwsFault, (name: string) => WritError>> = {
  refused: (name) => new WritError('aws_refused', `AWS refused the session: ${name}.`),
  throttled: () => new WritError('aws_throttled', 'AWS is throttling AssumeRole.', { retryAfterSeconds: 5 }),
  server: (name) => new WritError('aws_unavailable', `AWS failed: ${name}.`, { retryAfterSeconds: 5 }),
  'expired-credentials': () =>
    new WritError('aws_unavailable', "The broker's own AWS credentials have expired.", {
      retryAfterSeconds: 30,
    }),
  timeout: () => new WritError('aws_unavailable', 'AWS did not answer in time.', { retryAfterSeconds: 5 }),
  unreachable: () =>
    new WritError('aws_unavailable', 'AWS cannot be reached, or the connection was lost.', {
      retryAfterSeconds: 5,
    }),
}
