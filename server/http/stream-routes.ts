import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { BODIES } from '../audit/bodies/registry.js'
import { createFollower } from '../audit/follow.js'
import { type After, type Mismatch, NotThisLog } from '../audit/stretch.js'
import { type ErrorCode, WritError } from '../errors.js'
import type { PolicySet } from '../types.js'
import { type OperatorCaller, operatorsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { eventStream, parseId } from './event-stream.js'
import { agentName, environmentName } from './schemas.js'

export const PER_REPLICA = 100
/** Fewer than a broken client opens before somebody notices. */
export const PER_OPERATOR = 10
const HEARTBEAT_MS = 15_000
const PROGRESS_MS = 1_000
const POLICY_EVERY_MS = 250
/** For the last words to leave. A reader who does not read is cut off after it. */
const GRACE_MS = 300
/** The longest a timer takes, 24 days. */
const LONGEST_MS = 2 ** 31 - 1

const kind = z
  .string()
  .refine(isKind, 'no such kind of entry')
  .describe('Kind of entry; a trailing `*` stands for whatever begins so. Repeatable')

interface Open {
  readonly operator: string
  readonly request: FastifyRequest
  /** That the stream was last found in order with. */
  policySet: PolicySet
  readonly stop: (why: string) => void
}

/** The log as it grows. The stream only reads: it goes on when the record is no longer trusted. */
export const streamRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const follower = createFollower({ database: deps.database, log: app.log })
  const open = new Set<Open>()
  let closing = false
  let watch: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    closing = true
    for (const stream of open) stream.stop('shutting down')
  })

  /** A token lives for hours; what its holder may read is asked again whenever the policy changes. */
  const recheck = async (stream: Open): Promise<void> => {
    const policySet = deps.auth.policySet()
    if (policySet === stream.policySet) return
    stream.policySet = policySet
    const allowed = await mayRead(deps, stream, policySet).catch(() => false)
    if (!allowed) stream.stop('the policy changed')
  }

  /** Counted until its connection is done with, however that happens. */
  const admit = (request: FastifyRequest, reply: FastifyReply, caller: OperatorCaller) => {
    const operator = caller.operator.name
    const lifeMs = endOf(caller) - Date.now()
    if (lifeMs <= 0) throw new WritError('token_expired', 'The token is past its exp.')
    if ([...open].filter((stream) => stream.operator === operator).length >= PER_OPERATOR) {
      throw new WritError('streams_open', `You have ${PER_OPERATOR} streams open at this replica.`)
    }
    if (open.size >= PER_REPLICA) throw new WritError('record_busy', 'This replica has no stream left.')
    const ended = new AbortController()
    let grace: NodeJS.Timeout | undefined
    const stop = (why: string): void => {
      ended.abort(why)
      grace ??= setTimeout(() => reply.raw.destroy(), GRACE_MS)
    }
    const stream: Open = { operator, request, policySet: caller.policySet, stop }
    const reader = follower.join(() => stop('this is not the log you read from'))
    const expiry = setTimeout(() => stop('the token expired'), Math.min(lifeMs, LONGEST_MS))
    open.add(stream)
    watch ??= setInterval(() => [...open].map(recheck), POLICY_EVERY_MS)
    reply.raw.once('close', () => {
      clearTimeout(expiry)
      clearTimeout(grace)
      reader.leave()
      open.delete(stream)
      if (open.size === 0) {
        clearInterval(watch)
        watch = undefined
      }
      ended.abort('closed')
      request.log.info({ operator, why: String(ended.signal.reason) }, 'stream ended')
    })
    return { reader, ended: ended.signal }
  }

  app.get(
    '/v1/events/stream',
    {
      config: { roles: ['security'] },
      exposeHeadRoute: false,
      schema: {
        summary:
          'Entries as they are recorded, as server-sent events; goes on after Last-Event-ID, else from now on',
        tags: ['security'],
        security: [{ operator: [] }],
        querystring: z.object({
          after: z
            .string()
            .max(40)
            .optional()
            .describe('Id of an event, or an index; -1 is from the first entry on. Last-Event-ID wins'),
          kind: z.union([kind.transform((one) => [one]), z.array(kind).max(40)]).default([]),
          agent: agentName.optional(),
          environment: environmentName.optional(),
          personal: z.stringbool().default(false).describe('also what entries say of people'),
        }),
      },
    },
    async (request, reply) => {
      const { after, personal, kind: kinds, agent, environment } = request.query
      const from = wantedFrom(request.headers['last-event-id'], after)
      // Gone while its token was looked at: nothing would ever take it off the count.
      if (request.socket.destroyed) throw new WritError('request_invalid', 'The caller is gone.')
      const { reader, ended } = admit(request, reply, callerOf(request))
      const begin = await reader.begin(from).catch((error: unknown) => {
        throw error instanceof NotThisLog ? refusal(error) : error
      })
      if (closing) throw new WritError('shutting_down', 'This replica is shutting down.')
      // Before the first of it leaves: who reads what is said of people is part of the record.
      if (personal) {
        await deps.auth.record({
          op: 'event',
          kind: 'log.exported',
          fields: { operator: callerOf(request).operator.name },
          payload: { from: begin.index + 1, request: request.id, personal_data: true, format: 'stream' },
        })
      }
      const options = {
        filter: { kinds, agent, environment },
        personal,
        heartbeatMs: HEARTBEAT_MS,
        progressMs: PROGRESS_MS,
      }
      return (
        reply
          .type('text/event-stream')
          .header('cache-control', 'no-store')
          .header('x-accel-buffering', 'no')
          // A kept connection would hold a shutdown up.
          .header('connection', 'close')
          .send(Readable.from(eventStream(reader.next, begin, options, ended)))
      )
    },
  )
}

function wantedFrom(lastEventId: string | readonly string[] | undefined, after: string | undefined) {
  const given = typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : after
  if (given === undefined) return 'head'
  const from: After | undefined = parseId(given)
  if (from === undefined) {
    throw new WritError('request_invalid', 'Last-Event-ID, or `after`, is no id of an event and no index.')
  }
  return from
}

const REFUSED: Readonly<Record<Mismatch, ErrorCode>> = {
  ahead: 'stream_position',
  other: 'stream_position',
  missing: 'entries_archived',
}

const refusal = ({ why, message }: NotThisLog): WritError => new WritError(REFUSED[why], message)

/** When the token is over: its exp, or the age its issuer's document allows. Milliseconds since 1970. */
function endOf({ identity, policySet }: OperatorCaller): number {
  const ages = policySet.issuers
    .filter((trusted) => trusted.issuer === identity.issuer && trusted.audience === identity.audience)
    .map((trusted) => identity.issuedAt.getTime() + trusted.maxTokenAgeSeconds * 1000)
  return Math.min(identity.expiresAt.getTime(), ...ages)
}

/** The same checks as at the door. */
async function mayRead(deps: HttpDeps, { request, operator }: Open, policySet: PolicySet): Promise<boolean> {
  const identity = await deps.auth.verify(request.headers.authorization, 'operators')
  const [found, ...more] = policySet.operatorsMatching(identity)
  return (
    found?.name === operator &&
    more.length === 0 &&
    found.roles.has('security') &&
    policySet.agentsMatching(identity).length === 0
  )
}

function isKind(kind: string): boolean {
  const kinds = Object.keys(BODIES)
  return kind.endsWith('*')
    ? kinds.some((one) => one.startsWith(kind.slice(0, -1)))
    : kinds.some((one) => one === kind)
}
