// An STS that keeps a list of every key it ever minted, and is as unreliable as it is told to be.
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { given, serveUntilStopped } from '../../bench/child.js'
import { type Answer, AwsFault, faultAnswer } from '../../local-aws/answer.js'
import { authenticate } from '../../local-aws/authenticate.js'
import { parameters } from '../../local-aws/request.js'
import { type LocalBroker, type LocalRole, putRole, type State } from '../../local-aws/state.js'
import { answerSts } from '../../local-aws/sts.js'
import type { Minted } from './ledger.js'
import { seeded } from './random.js'

export interface AwsConfig {
  readonly broker: LocalBroker & { readonly arn: string }
  readonly roles: readonly LocalRole[]
  readonly seed: number
  /** Share of calls whose answer is cut off after the session exists. */
  readonly dropped: number
  /** Share of calls that are throttled: no session. */
  readonly throttled: number
  /** Share of calls that take up to `slowMs`. */
  readonly slow: number
  readonly slowMs: number
}

const config = given<AwsConfig>()
const random = seeded(config.seed)
const minted: Minted[] = []
const state: State = {
  now: () => new Date(),
  broker: config.broker,
  roles: new Map(),
  buckets: new Map(),
  sessions: new Map(),
}
for (const role of config.roles) putRole(state, role)

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const requestId = randomUUID()
  let answer: Answer
  let fate: 'answered' | 'dropped' = 'answered'
  try {
    const raw = {
      method: request.method ?? 'POST',
      path: request.url ?? '/',
      query: [],
      headers: request.headersDistinct,
      body: Buffer.concat(chunks),
    }
    const call = { ...authenticate(state, raw), raw, requestId, sourceIp: '127.0.0.1' }
    const asked = parameters(raw, call.body)
    const minting = asked.get('Action') === 'AssumeRole'
    if (minting && random.chance(config.throttled)) throw new AwsFault('Throttling', 400, 'Rate exceeded')
    answer = answerSts(state, call, asked)
    if (minting) {
      const key = /<AccessKeyId>([A-Z0-9]+)</.exec(String(answer.body))?.[1] ?? ''
      minted.push({ key, session: asked.get('RoleSessionName') ?? '', at: Date.now() })
      // Nobody uses these sessions, and there will be many.
      state.sessions.clear()
      if (random.chance(config.slow)) await delay(random.between(0, config.slowMs))
      if (random.chance(config.dropped)) fate = 'dropped'
    }
  } catch (error) {
    const fault = error instanceof AwsFault ? error : new AwsFault('InternalFailure', 500, 'unknown')
    answer = faultAnswer('sts', fault, requestId)
  }
  if (fate === 'dropped') {
    response.destroy()
    return
  }
  response.writeHead(answer.status, {
    ...answer.headers,
    date: new Date().toUTCString(),
    'content-length': Buffer.byteLength(answer.body),
    'x-amzn-requestid': requestId,
  })
  response.end(answer.body)
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => response.destroy())
})
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.on('message', () => process.send?.(minted))
  serveUntilStopped({ url: `http://127.0.0.1:${port}` }, async () => {
    server.close()
    server.closeAllConnections()
  })
})
