import type { Webhook } from '../types.js'

/** An entry as it is read to be sent. */
export interface WantedEntry {
  readonly index: number
  readonly kind: string
  /** ISO 8601, UTC. */
  readonly at: string
  readonly leafHash: Buffer
  /** JSON, as it was hashed. */
  readonly body: string
  /** JSON; undefined when there is none, it was erased, or the webhook does not take it. */
  readonly personal?: string
}

export interface Message {
  /** The same at every attempt, so that a receiver can tell a repetition. No `.`, no text of a caller. */
  readonly id: string
  readonly body: string
}

/**
 * The id holds the entry's hash beside its index: entries of two logs, and of one that was restored and went on
 * differently, share indexes and nothing else. It does not depend on which replica sends.
 */
export function entryMessage(entry: WantedEntry): Message {
  const hash = entry.leafHash.toString('hex')
  return {
    id: `writ_${entry.index}_${hash.slice(0, 24)}`,
    body: JSON.stringify({
      type: entry.kind,
      timestamp: entry.at,
      data: {
        index: entry.index,
        leaf_hash: hash,
        entry: JSON.parse(entry.body),
        ...(entry.personal === undefined ? {} : { personal: JSON.parse(entry.personal) }),
      },
    }),
  }
}

/** What `POST /v1/webhooks/{name}/test` sends: no entry, nothing of anybody. */
export function testMessage(webhook: Webhook, id: string, at: Date): Message {
  return {
    id: `writ_test_${id}`,
    body: JSON.stringify({
      type: 'webhook.test',
      timestamp: at.toISOString(),
      data: { webhook: webhook.name },
    }),
  }
}
