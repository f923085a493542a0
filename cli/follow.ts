import { setTimeout as delay } from 'node:timers/promises'
import type { LogEvent } from './api.js'
import { CliError, EXIT, exitCodeOf, type Problem, usageError } from './exit.js'
import type { Connection } from './options.js'
import { clean, note, sayInstant } from './output.js'

export interface FollowOptions {
  readonly json?: boolean
  /** Id of the last event had, or an index; -1 is from the first entry on. Default: from now on. */
  readonly after?: string
  /** Separated by commas; a trailing `*` stands for whatever begins so. */
  readonly kind?: string
  readonly agent?: string
  readonly env?: string
  readonly personal?: boolean
}

/** Of the options a list takes; any other would be ignored in silence, and too much printed. */
const FOLLOWED = ['follow', 'json', 'after', 'kind', 'agent', 'env', 'personal', 'limit']
const CONNECTION = ['url', 'tokenFile', 'as', 'dataDir', 'insecure']

const LONGEST_RETRY_MS = 30_000

/**
 * Prints the log as it grows, one entry a line, until it is stopped: NDJSON with `json`. Each connection goes on
 * after the last entry printed and has a token of its own. Throws `CliError` when the broker refuses.
 */
export async function followEvents(
  { target, token }: Pick<Connection, 'target' | 'token'>,
  options: FollowOptions,
): Promise<void> {
  const stray = Object.keys(options).find((name) => ![...FOLLOWED, ...CONNECTION].includes(name))
  if (stray !== undefined) {
    const flag = stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    throw usageError(
      `--follow does not go with --${flag}.`,
      'It takes --kind, --agent, --env, --personal and --after.',
    )
  }
  const query = new URLSearchParams()
  for (const kind of options.kind?.split(',') ?? []) query.append('kind', kind)
  if (options.after !== undefined) query.set('after', options.after)
  if (options.agent !== undefined) query.set('agent', options.agent)
  if (options.env !== undefined) query.set('environment', options.env)
  if (options.personal === true) query.set('personal', 'true')
  let lastId: string | undefined
  let retryMs = 0
  for (;;) {
    const headers: Record<string, string> = {
      accept: 'text/event-stream',
      authorization: `Bearer ${await token.read()}`,
      ...(lastId === undefined ? {} : { 'last-event-id': lastId }),
    }
    try {
      const url = `${target.url}/v1/events/stream?${query}`
      // A redirect would take the token wherever somebody in between likes.
      const response = await fetch(url, { headers, redirect: 'error' })
      if (response.status !== 200 || response.body === null) throw await refusal(response)
      for await (const { id, data } of parseEvents(response.body)) {
        if (data !== undefined) print(JSON.parse(data) as LogEvent, options)
        lastId = id
        retryMs = 0
      }
    } catch (error) {
      if (error instanceof CliError && error.exitCode !== EXIT.unavailable) throw error
      if (!(error instanceof CliError || isBroken(error))) throw error
    }
    if (retryMs === 0) note(`writ: not connected to ${target.url}; trying again`)
    retryMs = Math.min(LONGEST_RETRY_MS, Math.max(1_000, retryMs * 2))
    await delay(retryMs)
  }
}

/** What fetch throws when a connection is not had, or breaks. */
const isBroken = (error: unknown): boolean => error instanceof TypeError && error.cause !== undefined

export interface ParsedEvent {
  readonly id: string
  /** Absent when only the place moved on. */
  readonly data?: string
}

/** Server-sent events (HTML, section 9.2.6) as the broker writes them. What is cut off at the end is no event. */
export async function* parseEvents(
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<ParsedEvent, void, undefined> {
  const decoder = new TextDecoder()
  let text = ''
  let id: string | undefined
  let data: string[] = []
  for await (const bytes of body) {
    text += decoder.decode(bytes, { stream: true })
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('id: ')) id = line.slice(4)
      else if (line.startsWith('data: ')) data.push(line.slice(6))
      else if (line === '' && id !== undefined) {
        yield data.length === 0 ? { id } : { id, data: data.join('\n') }
        data = []
      }
    }
  }
}

function print(event: Omit<LogEvent, 'repeats'>, { json }: FollowOptions): void {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '-')
  const { body, index } = event
  const columns = [
    String(index).padStart(8),
    sayInstant(text(body.at)),
    text(body.kind).padEnd(23),
    text(body.operator ?? body.agent).padEnd(20),
    text(body.environment).padEnd(12),
    text(body.code ?? body.issuance_id ?? body.grant_id ?? body.request_id),
  ]
  process.stdout.write(`${json === true ? JSON.stringify(event) : clean(columns.join('  '))}\n`)
}

async function refusal(response: Response): Promise<CliError> {
  const said = (await response.json().catch(() => undefined)) as Partial<Problem> | undefined
  const problem: Problem = {
    title: 'Refused',
    code: 'answer_not_understood',
    detail: `The broker answered ${response.status}, but not as a Writ broker does.`,
    ...said,
    status: response.status,
  }
  return new CliError(exitCodeOf(problem), problem)
}
