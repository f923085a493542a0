import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'

export interface StreamEvent {
  readonly id: string
  readonly event: string
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever JSON came and compares it
  readonly data: any
}

export interface OpenStream {
  readonly status: number
  readonly response: IncomingMessage
  /** Ends when the server ends it; fails when the connection breaks. */
  readonly events: AsyncGenerator<StreamEvent, void, undefined>
  /** What `Last-Event-ID` would be now. */
  readonly lastId: () => string
  /** Comments so far, without their colon. */
  readonly comments: readonly string[]
  readonly retry: () => number | undefined
  readonly close: () => void
}

interface OpenOptions {
  readonly query?: string
  readonly lastEventId?: string
}

/** Opens a stream on a connection of its own, and reads nothing of it until `events` is asked. */
export async function openStream(
  url: string,
  token: string | undefined,
  options: OpenOptions = {},
): Promise<OpenStream> {
  const { query = '', lastEventId } = options
  const asked = request(`${url}/v1/events/stream${query}`, {
    agent: new Agent({ keepAlive: false }),
    headers: {
      accept: 'text/event-stream',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    },
  })
  asked.end()
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  const parser = createParser()
  async function* events() {
    response.setEncoding('utf8')
    for await (const text of response) yield* parser.push(text as string)
    if (parser.unfinished()) throw new Error('the stream ended in the middle of an event')
  }
  return {
    status: response.statusCode ?? 0,
    response,
    events: events(),
    lastId: parser.lastId,
    comments: parser.comments,
    retry: parser.retry,
    close: () => response.destroy(),
  }
}

/** The body of a refusal. */
export async function refusalOf(stream: OpenStream) {
  let text = ''
  for await (const chunk of stream.response.setEncoding('utf8')) text += chunk
  return { status: stream.status, body: JSON.parse(text) as Record<string, unknown> }
}

/** The next events, as many as asked for. */
export async function take(stream: OpenStream, count: number): Promise<readonly StreamEvent[]> {
  const taken: StreamEvent[] = []
  while (taken.length < count) {
    const { value, done } = await stream.events.next()
    if (done === true) throw new Error(`the stream ended after ${taken.length} of ${count} events`)
    taken.push(value)
  }
  return taken
}

/** HTML, section 9.2.6, but for what this server never sends: there it fails instead of passing over it. */
export function createParser() {
  const comments: string[] = []
  let rest = ''
  let idBuffer = ''
  let lastId = ''
  let retry: number | undefined
  let event = ''
  let data: string[] = []
  function* line(text: string): Generator<StreamEvent> {
    if (text === '') {
      lastId = idBuffer
      if (data.length > 0) yield { id: lastId, event, data: JSON.parse(data.join('\n')) }
      else if (event !== '') throw new Error('an event without data')
      event = ''
      data = []
      return
    }
    if (text.startsWith(':')) {
      comments.push(text.slice(1).trim())
      return
    }
    const [, field, value = ''] = /^([a-z]+): (.*)$/.exec(text) ?? []
    if (field === 'id') idBuffer = value
    else if (field === 'event') event = value
    else if (field === 'data') data.push(value)
    else if (field === 'retry' && /^\d+$/.test(value)) retry = Number(value)
    else throw new Error(`not a line of an event stream: ${JSON.stringify(text.slice(0, 80))}`)
  }
  return {
    comments,
    lastId: () => lastId,
    retry: () => retry,
    unfinished: () => rest !== '' || data.length > 0 || event !== '',
    *push(text: string): Generator<StreamEvent> {
      rest += text
      if (rest.includes('\r')) throw new Error('a carriage return')
      const lines = rest.split('\n')
      rest = lines.pop() ?? ''
      for (const one of lines) yield* line(one)
    },
  }
}
