import { instant, text } from './compare.js'
import type { LogEntry } from './entry.js'

interface Broken {
  readonly by: string
  readonly environment: string
  /** Until when somebody else has to have looked at it. */
  readonly due: number
}

const DAY_MS = 86_400_000

/** Grants that one human made alone, as long as nobody else has looked at them. */
export class Glass {
  readonly #unreviewed = new Map<string, Broken>()

  /** Why nobody could break the glass by this approval, as the end of a sentence. */
  problem(entry: LogEntry): string | undefined {
    const overdue = [...this.#unreviewed.values()].some(
      // The entries have microseconds, and in the same millisecond it could be either.
      ({ environment, due }) => environment === entry.environment && due < instant(entry.at),
    )
    return overdue ? 'breaks the glass where nobody had looked at the time before' : undefined
  }

  broken(grant: LogEntry, by: string): void {
    const due = instant(grant.at) + DAY_MS
    this.#unreviewed.set(text(grant.grant_id), { by, environment: text(grant.environment), due })
  }

  review(entry: LogEntry): string | undefined {
    const broken = this.#unreviewed.get(text(entry.grant_id))
    if (broken === undefined) return 'reviews no grant that waits for it'
    if (text(entry.operator).toLowerCase() === broken.by.toLowerCase()) return 'is by who broke the glass'
    this.#unreviewed.delete(text(entry.grant_id))
    return undefined
  }
}
