import type { Log } from '../db/pool.js'
import type { Webhook } from '../types.js'
import { DeliveryError, type Failure } from './failure.js'
import { entryMessage } from './message.js'
import { openReceiver, type Receiver, type ReceiverDeps } from './receiver.js'
import { delaySeconds, GIVE_UP_AFTER_SECONDS } from './schedule.js'
import type { Lease, WebhookStore } from './store.js'

export interface DeliverDeps extends ReceiverDeps {
  readonly store: WebhookStore
  /** Names this process among the replicas. */
  readonly holder: string
  readonly log: Log
  /** Milliseconds on a clock that never jumps, also not while this process is stopped. */
  readonly monotonic: () => number
}

/** Two deliveries that take as long as they may. A replica that dies is followed after this. */
const LEASE_SECONDS = 40
/** Entries looked at in one query. */
const STRETCH = 500

/**
 * Sends what is new to one webhook, entry after entry, until there is no more, one fails, or another replica has
 * the lease. At least once: what is durable when the POST leaves is that the entry is not yet delivered, and only
 * its 2xx moves the place. A crash in between sends it again, under the same id.
 */
export async function deliver(deps: DeliverDeps, webhook: Webhook, signal: AbortSignal): Promise<void> {
  const { store, log } = deps
  const { name } = webhook
  let held = await hold(deps, name)
  if (held === undefined) return
  const { lease } = held
  const receiver = openReceiver(webhook, deps)
  let from = lease.nextIndex
  const move = async (to: number, delivered: boolean): Promise<boolean> => {
    const until = leaseEnd(deps)
    if (!(await store.advance(name, lease, { from, to, delivered }, LEASE_SECONDS))) {
      // Another replica went on while this one stood still, and sends the entry again.
      log.warn({ webhook: name, index: from }, 'webhook taken over by another replica')
      return false
    }
    from = to
    held = { lease, until }
    return true
  }
  try {
    while (!signal.aborted) {
      const stretch = await store.read(from, STRETCH, webhook.kinds, webhook.personal)
      if (from >= stretch.size) return
      if (stretch.end === from) {
        await failed(deps, webhook, lease, from, { failure: 'entries_missing', final: true })
        return
      }
      for (const entry of stretch.wanted) {
        // Looked at right before sending: this process may have been stopped for longer than its lease.
        if (!enough(held.until, deps)) held = await hold(deps, name)
        if (held?.lease.fence !== lease.fence || signal.aborted) return
        const outcome = await attempt(receiver, entryMessage(entry), signal)
        if (outcome === 'aborted') return
        if (outcome !== 'delivered') {
          await failed(deps, webhook, lease, from, outcome)
          return
        }
        if (!(await move(entry.index + 1, true))) return
      }
      if (stretch.end > from && !(await move(stretch.end, false))) return
    }
  } finally {
    receiver.close()
    // Left to run out when the database is away.
    await store.release(name, lease.fence).catch(() => undefined)
  }
}

interface Held {
  readonly lease: Lease
  /** On the monotonic clock, taken before the database was asked: it ends there no earlier. */
  readonly until: number
}

const leaseEnd = ({ monotonic }: DeliverDeps): number => monotonic() + LEASE_SECONDS * 1000

async function hold(deps: DeliverDeps, name: string): Promise<Held | undefined> {
  const until = leaseEnd(deps)
  const lease = await deps.store.claim(name, deps.holder, LEASE_SECONDS)
  return lease === undefined ? undefined : { lease, until }
}

const enough = (until: number, { monotonic, limits }: DeliverDeps): boolean =>
  monotonic() + limits.totalMs + 5_000 < until

interface Failed {
  readonly failure: Failure
  readonly retryAfterSeconds?: number
  /** Trying again cannot help. */
  readonly final?: boolean
}

/** One POST. 410 Gone is the receiver's word that it wants no more (Standard Webhooks, "Delivery success and failure"). */
export async function attempt(
  receiver: Receiver,
  message: { readonly id: string; readonly body: string },
  signal: AbortSignal,
): Promise<'delivered' | 'aborted' | Failed> {
  try {
    const { status, retryAfterSeconds } = await receiver.post(message, signal)
    if (status >= 200 && status < 300) return 'delivered'
    return {
      failure: `answered_${status}`,
      final: status === 410,
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    }
  } catch (error) {
    if (signal.aborted) return 'aborted'
    if (error instanceof DeliveryError) return { failure: error.failure }
    throw error
  }
}

async function failed(
  { store, log }: DeliverDeps,
  webhook: Webhook,
  lease: Lease,
  index: number,
  { failure, final, retryAfterSeconds }: Failed,
): Promise<void> {
  const failures = lease.attempts + 1
  const delay = delaySeconds(failures, retryAfterSeconds)
  const giveUp = final === true ? 0 : GIVE_UP_AFTER_SECONDS
  const disabled = await store.fail(webhook.name, lease, { index, failure }, delay, giveUp)
  const detail = { webhook: webhook.name, index, failure, failures }
  if (disabled === true) log.error(detail, 'webhook disabled')
  else if (disabled === false) log.warn({ ...detail, againInSeconds: delay }, 'webhook not delivered')
  else log.warn(detail, 'webhook taken over by another replica')
}
