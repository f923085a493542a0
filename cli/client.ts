import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CliError, EXIT, exitCodeOf, type Problem } from './exit.js'
import type { Target } from './target.js'
import type { TokenSource } from './token.js'

/** A little more than the broker's longest long poll, 25 seconds. */
const TIMEOUT_MS = 40_000

export type Query = Readonly<Record<string, string | number | undefined>>

export interface BrokerClient {
  readonly get: <T>(path: string, query?: Query) => Promise<T>
  /** Writes an answer to a new file as it comes, whatever its length; answers its bytes. */
  readonly download: (path: string, file: string) => Promise<number>
  readonly send: <T>(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: object) => Promise<T>
}

/** HTTP to the broker. Throws `CliError` only: with the broker's own problem where it answered one. */
export function connectTo(target: Target, token: TokenSource): BrokerClient {
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const headers: Record<string, string> = {
      accept: 'application/json',
      authorization: `Bearer ${await token.read()}`,
    }
    if (body !== undefined) headers['content-type'] = 'application/json'
    let response: Response
    let text: string
    try {
      response = await fetch(`${target.url}${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // A redirect would take the token wherever somebody in between likes.
        redirect: 'error',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      text = await response.text()
    } catch (error) {
      throw unreachable(target, error)
    }
    const value = parsed(text)
    if (response.ok && value !== undefined) return value as T
    throw refusal(target, response.status, value)
  }
  return {
    get: (path, query = {}) => {
      const pairs = Object.entries(query).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, String(value)] as const],
      )
      return call(
        'GET',
        pairs.length === 0 ? path : `${path}?${new URLSearchParams(Object.fromEntries(pairs))}`,
      )
    },
    download: async (path, file) => {
      const response = await fetch(`${target.url}${path}`, {
        headers: { authorization: `Bearer ${await token.read()}` },
        redirect: 'error',
      }).catch((error: unknown) => {
        throw unreachable(target, error)
      })
      if (!response.ok || response.body === null)
        throw refusal(target, response.status, parsed(await response.text()))
      const out = createWriteStream(file, { flags: 'wx', mode: 0o600 })
      await pipeline(Readable.fromWeb(response.body as never), out)
      return out.bytesWritten
    },
    send: (method, path, body) => call(method, path, body),
  }
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function refusal(target: Target, status: number, value: Record<string, unknown> | undefined): CliError {
  if (value !== undefined && typeof value.code === 'string' && typeof value.detail === 'string') {
    const problem: Problem = { title: 'Refused', ...value, status, code: value.code, detail: value.detail }
    return new CliError(exitCodeOf(problem), problem)
  }
  const problem = {
    title: 'Answer not understood',
    code: 'answer_not_understood',
    status,
    detail: `${target.url} answered ${status}, but not as a Writ broker does.`,
    next: 'Check --url or WRIT_URL; a proxy may be in between.',
  }
  return new CliError(status >= 502 && status <= 504 ? EXIT.unavailable : EXIT.unexpected, problem)
}

function unreachable(target: Target, error: unknown): CliError {
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const why =
    error instanceof Error && error.name === 'TimeoutError'
      ? 'it did not answer in time'
      : code || (cause instanceof Error ? cause.message : 'no connection')
  return new CliError(EXIT.unavailable, {
    title: 'Broker unreachable',
    code: 'broker_unreachable',
    detail: `The broker at ${target.url} cannot be reached (${why}).`,
    next: 'Check --url or WRIT_URL, and that the broker runs: `writ serve` starts one on this machine.',
  })
}
