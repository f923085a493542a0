import { setTimeout as delay } from 'node:timers/promises'
import type { Answer } from '../support/broker.js'

/** Looks again until it is so. Whatever never becomes so ends with the test's own time. */
export async function until<T>(look: () => Promise<T>, so: (seen: T) => boolean): Promise<T> {
  for (;;) {
    const seen = await look()
    if (so(seen)) return seen
    await delay(20)
  }
}

export const READ_STATE =
  (state: string) =>
  ({ body }: Answer): boolean =>
    body.state === state
