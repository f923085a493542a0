import { CliError, EXIT } from '../exit.js'

/** What came back, whatever it was: to a drill a refusal is an answer. */
export interface Answer {
  /** Of the request. */
  readonly path: string
  readonly status: number
  /** Of a refusal. */
  readonly code: string | undefined
  readonly detail: string | undefined
  /** Id of the HTTP request, where the answer names it. */
  readonly request: string | undefined
  readonly body: Readonly<Record<string, unknown>>
  readonly sentAt: Date
  /** From sending to the whole answer, milliseconds. */
  readonly ms: number
}

export type Ask = (method: string, path: string, token?: string, body?: object) => Promise<Answer>

const TIMEOUT_MS = 30_000

/** HTTP as a rogue would speak it. Throws `CliError` only where the broker does not answer at all. */
export const askAt =
  (url: string): Ask =>
  async (method, path, token, body) => {
    const sentAt = new Date()
    const began = performance.now()
    let response: Response
    let text: string
    try {
      response = await fetch(`${url}${path}`, {
        method,
        headers: {
          accept: 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      text = await response.text()
    } catch {
      throw new CliError(EXIT.unavailable, {
        title: 'No answer',
        code: 'broker_unreachable',
        detail: `${url} does not answer. The drill is not over: what it would have shown is not known.`,
        next: 'Check --url or WRIT_URL, then run it again.',
      })
    }
    const ms = performance.now() - began
    const value = parsed(text)
    const said = (name: string) => (typeof value[name] === 'string' ? value[name] : undefined)
    return {
      path,
      status: response.status,
      code: response.ok ? undefined : (said('code') ?? `status_${response.status}`),
      detail: response.ok ? undefined : said('detail'),
      request: said('request') ?? response.headers.get('x-request-id') ?? undefined,
      body: value,
      sentAt,
      ms,
    }
  }

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

export const succeeded = ({ status }: Answer): boolean => status >= 200 && status < 300
