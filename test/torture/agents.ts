import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from './http.js'
import type { Humans } from './humans.js'
import type { Attempt, End, Ledger } from './ledger.js'
import { AGENTS } from './policies.js'
import type { Random } from './random.js'
import type { Replica } from './replica.js'

export interface AgentsOptions {
  readonly replicas: readonly Replica[]
  readonly tokens: ReadonlyMap<string, string>
  readonly ledger: Ledger
  readonly humans: Humans
  readonly random: Random
  readonly workers: number
  /** Told how many new sessions are in hand: whether to stop asking. */
  readonly enough: (inHand: number) => boolean
}

export interface Agents {
  readonly inHand: () => number
  /** Resolves when there is enough and nothing is under way. */
  readonly done: Promise<void>
  readonly quit: () => void
}

/** A broker that stands still is given up on after this long. */
const PATIENCE_MS = 4_000
const REPEATS = 0.08
const PRODUCTION = 0.12

interface Wish {
  readonly agent: string
  readonly environment: 'development' | 'production'
  readonly scope: string
  readonly label: string
}

/** Agents that ask at once and all the time, each answer into the ledger before the next question. */
export function startAgents(options: AgentsOptions): Agents {
  const { replicas, tokens, ledger, humans, workers, enough } = options
  let inHand = 0
  let quit = false
  let asked = 0

  async function work(n: number): Promise<void> {
    const random = options.random.fork(`worker ${n}`)
    const client = createClient(PATIENCE_MS)
    let last: { readonly wish: Wish; readonly replica: Replica } | undefined
    try {
      while (!quit && !enough(inHand)) {
        const repeat = last !== undefined && random.chance(REPEATS) ? last : undefined
        const wish = repeat?.wish ?? newWish(random, `s${n}-${asked}`)
        // Mostly where the session lies in memory; another replica mints its own.
        const replica = repeat !== undefined && random.chance(0.8) ? repeat.replica : random.pick(replicas)
        const url = replica.url()
        if (url === undefined) {
          await delay(20)
          continue
        }
        const end = await ask(client.post, url, wish, `try ${asked++} of ${n}`)
        if (end.kind === 'answered') {
          if (!end.again) inHand += 1
          last = { wish, replica }
        } else if (end.kind === 'refused' && end.code.startsWith('grant_')) {
          await humans.needed(wish.agent)
        } else await delay(random.between(20, 200))
      }
    } finally {
      client.close()
    }
  }

  async function ask(
    post: ReturnType<typeof createClient>['post'],
    url: string,
    wish: Wish,
    tag: string,
  ): Promise<End> {
    const { agent, environment, scope, label } = wish
    const sentAt = Date.now()
    const sent = await post(url, '/v1/credentials', tokens.get(agent) ?? '', {
      environment,
      scopes: [scope],
      reason: tag,
      session: label,
    })
    const attempt: Attempt = { tag, agent, label, sentAt, endedAt: Date.now(), end: endOf(sent) }
    ledger.attempts.push(attempt)
    return attempt.end
  }

  const done = Promise.all(Array.from({ length: workers }, (_, n) => work(n))).then(() => undefined)
  return {
    inHand: () => inHand,
    done,
    quit: () => {
      quit = true
    },
  }
}

function newWish(random: Random, label: string): Wish {
  const agent = random.pick(AGENTS)
  return random.chance(PRODUCTION)
    ? { agent, environment: 'production', scope: 'things:write', label }
    : { agent, environment: 'development', scope: 'things:read', label }
}

interface Credentials {
  readonly issuance: string
  readonly entry: number
  readonly delivered_again: boolean
  readonly grant?: string
  readonly credentials: { readonly access_key_id: string; readonly expires_at: string }
}

function endOf(sent: Awaited<ReturnType<ReturnType<typeof createClient>['post']>>): End {
  if (sent === 'lost' || sent === 'unsent') return { kind: sent }
  if (sent.status !== 200) return { kind: 'refused', status: sent.status, code: String(sent.body.code) }
  const { issuance, entry, delivered_again, grant, credentials } = sent.body as unknown as Credentials
  return {
    kind: 'answered',
    issuance,
    entry,
    again: delivered_again,
    key: credentials.access_key_id,
    expiresAt: credentials.expires_at,
    ...(grant === undefined ? {} : { grant }),
  }
}
