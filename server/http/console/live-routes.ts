import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { createFollower, type LogReader } from '../../audit/follow.js'
import { type FollowedEntry, NotThisLog, type Position } from '../../audit/stretch.js'
import type { Database } from '../../db/pool.js'
import { WritError } from '../../errors.js'
import { parseId } from '../event-stream.js'
import type { ConsoleDeps } from './deps.js'
import { READERS } from './request-routes.js'
import { consoleOnly } from './session.js'

export interface LiveRoutesDeps {
  readonly console: ConsoleDeps
  readonly database: Database
}

/** As many tabs as a human looks at, and some that a phone forgot. */
export const TABS = 10
const PER_REPLICA = 200
/** A browser comes again by itself, and its session and role are looked at again: nothing outlives them by more. */
const LIFE_MS = 60_000
const HEARTBEAT_MS = 15_000
const GRACE_MS = 300
const RETRY_MS = 1_000

/**
 * Small hints of what was recorded, so that a page knows to fetch itself again. No personal data, nothing of
 * issuances to those who do not read the record: kind, and the ids of what it is about.
 */
export const liveRoutes: FastifyPluginAsyncZod<{ deps: LiveRoutesDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const follower = createFollower({ database: deps.database, log: app.log })
  const open = new Map<FastifyRequest, { readonly operator: string; readonly stop: (why: string) => void }>()
  app.addHook('preClose', async () => {
    for (const { stop } of open.values()) stop('shutting down')
  })

  /** Counted until its connection is done with, however that happens. */
  const admit = (request: FastifyRequest, reply: FastifyReply, operator: string) => {
    if ([...open.values()].filter((stream) => stream.operator === operator).length >= TABS) {
      throw new WritError('streams_open', `You have ${TABS} pages open at this replica.`)
    }
    if (open.size >= PER_REPLICA) throw new WritError('record_busy', 'This replica has no stream left.')
    const ended = new AbortController()
    let grace: NodeJS.Timeout | undefined
    const stop = (why: string): void => {
      ended.abort(why)
      grace ??= setTimeout(() => reply.raw.destroy(), GRACE_MS)
    }
    const life = setTimeout(() => stop('come again'), LIFE_MS)
    const reader = follower.join(() => stop('this is not the log you read from'))
    open.set(request, { operator, stop })
    reply.raw.once('close', () => {
      clearTimeout(life)
      clearTimeout(grace)
      reader.leave()
      open.delete(request)
      ended.abort('closed')
    })
    return { reader, ended: ended.signal }
  }

  app.get(
    '/console/live',
    { config: { roles: READERS }, exposeHeadRoute: false, schema: { hide: true } as object },
    async (request, reply) => {
      const { operator } = callerOf(request)
      // Gone while its session was looked at: nothing would ever take it off the count.
      if (request.socket.destroyed) throw new WritError('request_invalid', 'The caller is gone.')
      const { reader, ended } = admit(request, reply, operator.name)
      const last = request.headers['last-event-id']
      const after = typeof last === 'string' ? parseId(last) : undefined
      // Another log than before, or a place that was archived: from now on, and the page fetches itself anyhow.
      const begin = await reader.begin(after ?? 'head').catch((error: unknown) => {
        if (error instanceof NotThisLog) return reader.begin('head')
        throw error
      })
      const all = operator.roles.has('security')
      return reply
        .type('text/event-stream')
        .header('x-accel-buffering', 'no')
        .header('connection', 'close')
        .send(Readable.from(hints(reader.next, begin, all, ended)))
    },
  )
}

/** What a kind of entry is about, as `data-live` in pages names it. */
export function topicOf(kind: string): string | undefined {
  const [family = ''] = kind.split('.', 1)
  return TOPICS.get(family) ?? (kind.startsWith('operator.key_') ? 'key' : undefined)
}

const TOPICS: ReadonlyMap<string, string> = new Map([
  ['grant_request', 'request'],
  ['grant', 'grant'],
  ['issuance', 'issuance'],
  ['stop', 'stop'],
  ['deny', 'stop'],
])

async function* hints(
  next: LogReader['next'],
  begin: Position,
  all: boolean,
  ended: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  let at = begin
  yield `retry: ${RETRY_MS}\nid: ${idOf(at)}\n\n`
  while (!ended.aborted) {
    const stretch = await next(at, { kinds: [] }, HEARTBEAT_MS, ended)
    at = stretch.at
    const told = stretch.entries.map((entry) => hint(entry, all)).join('')
    // The id moves without data too (HTML, section 9.2.6): who comes again is told nothing twice.
    yield told === '' ? (stretch.entries.length > 0 ? `id: ${idOf(at)}\n\n` : ':\n\n') : told
  }
}

// As in event-stream.ts: the beginning of the leaf hash keeps it from being taken for a place in another log.
const idOf = ({ index, leaf }: Position): string =>
  leaf === undefined ? String(index) : `${index}.${leaf.slice(0, 16)}`

function hint(entry: FollowedEntry, all: boolean): string {
  const topic = topicOf(entry.kind)
  if (topic === undefined || (topic === 'issuance' && !all)) return ''
  const { body } = JSON.parse(entry.json) as { readonly body: Readonly<Record<string, unknown>> }
  const data = JSON.stringify({
    kind: entry.kind,
    topic,
    request: body.request_id,
    grant: body.grant_id,
    agent: body.agent,
  })
  return `id: ${idOf(entry)}\nevent: hint\ndata: ${data}\n\n`
}
