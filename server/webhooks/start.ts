import { randomBytes, randomUUID } from 'node:crypto'
import { isIP } from 'node:net'
import type { Database, Log } from '../db/pool.js'
import { StartError } from '../errors.js'
import type { PolicySet, Webhook } from '../types.js'
import { checkInside, mayReach, type Reach } from './addresses.js'
import { attempt, deliver } from './deliver.js'
import { testMessage } from './message.js'
import { LIMITS, type Limits, openReceiver } from './receiver.js'
import { hostOf, type Resolve, resolveByDns } from './resolve.js'
import { type WebhookState, type WebhookStore, webhookStore } from './store.js'

export interface WebhookSettings {
  /** Only there may a webhook lead to this machine. */
  readonly localMode: boolean
  /** Blocks of private addresses that webhooks may reach: WRIT_WEBHOOK_INSIDE. */
  readonly inside: readonly string[]
}

export interface WebhookDeps extends WebhookSettings {
  readonly database: Database
  readonly policySet: () => Pick<PolicySet, 'webhooks'>
  readonly log: Log
  /** Whether the record is what was published. While it is not, nothing in it is signed and sent. */
  readonly trusted: () => boolean
}

/** What a test puts in place of a part. */
export interface WebhookParts {
  readonly store: WebhookStore
  readonly resolve: Resolve
  readonly limits: Limits
  readonly now: () => Date
  readonly monotonic: () => number
}

export interface WebhookView {
  readonly webhook: Webhook
  /** Undefined until the first look at it. */
  readonly state: WebhookState | undefined
}

export interface TestResult {
  readonly delivered: boolean
  readonly failure?: string
}

export interface Webhooks {
  readonly list: () => Promise<readonly WebhookView[]>
  /** Goes on where it stopped, now. Undefined when there is no such webhook. */
  readonly enable: (name: string, operator: string) => Promise<WebhookView | undefined>
  /** One attempt with an event that is no entry. Undefined when there is no such webhook. */
  readonly test: (name: string) => Promise<TestResult | undefined>
  /** For readiness: as of the last look, without names. */
  readonly check: () => { readonly ok: boolean; readonly detail: string }
  /** One look, and all the deliveries under way after it. */
  readonly round: () => Promise<void>
  readonly close: () => Promise<void>
}

const EVERY_MS = 1_000
/** How long a shutdown waits for an answer. What is broken off is sent again by another replica. */
const CLOSE_MS = 3_000

/**
 * Throws `StartError` on a webhook that these settings never let out, so that it is told when the policy loads and
 * not when the first alarm is due.
 */
export function checkWebhooks(webhooks: Iterable<Webhook>, settings: WebhookSettings): void {
  checkInside(settings.inside)
  for (const webhook of webhooks) {
    if (webhook.local && !settings.localMode) {
      throw new StartError(`The webhook ${webhook.name} says "local", which is for local mode only.`)
    }
    const host = hostOf(new URL(webhook.url))
    if (isIP(host) !== 0 && !mayReach(host, reachOf(webhook, settings))) {
      throw new StartError(
        `The webhook ${webhook.name} leads to ${host}, which is not a public address. WRIT_WEBHOOK_INSIDE can open private ones.`,
      )
    }
  }
}

const reachOf = (webhook: Webhook, { localMode, inside }: WebhookSettings): Reach => ({
  inside,
  loopback: webhook.local && localMode,
})

/**
 * Looks about once a second for entries that webhooks are to be told of. Each webhook is on its own, no database
 * connection is held while a receiver is waited for, and nothing that issues waits for any of it.
 */
export function startWebhooks(deps: WebhookDeps, parts: Partial<WebhookParts> = {}): Webhooks {
  const { log } = deps
  const {
    store = webhookStore(deps.database),
    resolve = resolveByDns,
    limits = LIMITS,
    now = () => new Date(),
    monotonic = () => performance.now(),
  } = parts
  const holder = randomUUID()
  const running = new Map<string, Promise<void>>()
  const abort = new AbortController()
  let states: readonly WebhookState[] = []
  let failure: string | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const common = { resolve, limits, now, monotonic, store, holder, log }

  const look = async (): Promise<void> => {
    const { webhooks } = deps.policySet()
    const names = [...webhooks.keys()]
    states = names.length === 0 ? [] : await store.states(names, holder)
    for (const name of names) {
      if (!states.some((state) => state.name === name)) await store.begin(name)
    }
    if (closed || !deps.trusted()) return
    for (const { name, due } of states) {
      const webhook = webhooks.get(name)
      if (!due || webhook === undefined || running.has(name)) continue
      const work = deliver({ ...common, reach: reachOf(webhook, deps) }, webhook, abort.signal)
        .catch((error: unknown) => log.error({ webhook: name, why: nameOf(error) }, 'webhook not delivered'))
        .finally(() => running.delete(name))
      running.set(name, work)
    }
  }
  const lookAndTell = async (): Promise<void> => {
    try {
      await look()
      failure = undefined
    } catch (error) {
      const why = nameOf(error)
      if (failure !== why) log.error({ why }, 'webhooks not looked at')
      failure = why
    }
  }
  let looking: Promise<void> = Promise.resolve()
  const schedule = (): void => {
    timer = setTimeout(() => {
      looking = lookAndTell().then(() => {
        if (!closed) schedule()
      })
    }, EVERY_MS)
    timer.unref()
  }
  schedule()

  const view = async (): Promise<readonly WebhookView[]> => {
    const all = [...deps.policySet().webhooks.values()]
    const known = await store.states(
      all.map(({ name }) => name),
      holder,
    )
    return all.map((webhook) => ({ webhook, state: known.find(({ name }) => name === webhook.name) }))
  }
  return {
    list: view,
    async enable(name, operator) {
      // One that no document names any more keeps its place, and is nobody's to enable.
      if (!deps.policySet().webhooks.has(name)) return undefined
      await store.enable(name, operator)
      return (await view()).find(({ webhook }) => webhook.name === name)
    },
    async test(name) {
      const webhook = deps.policySet().webhooks.get(name)
      if (webhook === undefined) return undefined
      const receiver = openReceiver(webhook, { ...common, reach: reachOf(webhook, deps) })
      try {
        const id = randomBytes(12).toString('hex')
        const outcome = await attempt(receiver, testMessage(webhook, id, now()), abort.signal)
        if (outcome === 'delivered') return { delivered: true }
        return { delivered: false, failure: outcome === 'aborted' ? outcome : outcome.failure }
      } finally {
        receiver.close()
      }
    },
    check() {
      const disabled = states.filter((state) => state.disabled_at !== null).length
      const failing = states.filter((state) => state.disabled_at === null && state.attempts > 0).length
      const ok = failure === undefined && disabled === 0 && failing === 0
      const trouble = [
        `${disabled} disabled`,
        `${failing} failing`,
        ...(failure === undefined ? [] : ['cannot be looked at']),
      ]
      const detail = states.length === 0 ? 'none' : `${states.length} webhooks`
      return { ok, detail: ok ? detail : `${detail}: ${trouble.join(', ')}` }
    },
    async round() {
      await look()
      await Promise.all(running.values())
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await looking
      const late = setTimeout(() => abort.abort(), CLOSE_MS)
      await Promise.all(running.values())
      clearTimeout(late)
      abort.abort()
    },
  }
}

/** A database error's own message names no value; of anything unforeseen only the name is told. */
const nameOf = (error: unknown): string =>
  error instanceof Error ? (error.name === 'DatabaseError' ? error.message : error.name) : 'unknown'
