import type { Database, Log } from '../db/pool.js'
import { WritError } from '../errors.js'
import type { Iam } from '../types-aws.js'
import { DenyError, writeRole } from './denies.js'
import { type Claim, type DenyStore, denyStore } from './deny-store.js'

export interface DenyWorkerDeps {
  readonly database: Database
  readonly iam: Iam
  readonly log: Log
  /** Names this replica among all. */
  readonly holder: string
}

/** What a test puts in place of a part. */
export interface DenyWorkerParts {
  readonly store: DenyStore
  /** How long a role stays with who claimed it. */
  readonly leaseSeconds: number
  /** Jitter, 0 to 1. */
  readonly random: () => number
}

export interface DenyWorker {
  /** Something is to die: looks now, not at the next round. */
  readonly kick: () => void
  /** Resolves when everything that is due has been tried. */
  readonly idle: () => Promise<void>
  /** Finishes what is under way. */
  readonly close: () => Promise<void>
}

const EVERY_MS = 1_000

/** Roles at once: IAM takes some 20 calls a second of an account, and retries what it throttles. */
const MOST = 16

/** Longer than the calls for one role usually take; who takes longer finds out by the fence. */
const LEASE_SECONDS = 20

/** The longest wait after a failure: so long is a Deny missing at most when IAM is back. */
const LONGEST_DELAY_MS = 10_000

/**
 * Writes denies until IAM has them. The database is the authority, on every replica: a kick only makes it quicker, and
 * what one replica leaves undone another takes over when its lease is over.
 */
export function startDenyWorker(deps: DenyWorkerDeps, parts: Partial<DenyWorkerParts> = {}): DenyWorker {
  const { iam, log, holder } = deps
  const { store = denyStore(deps.database), leaseSeconds = LEASE_SECONDS, random = Math.random } = parts
  const running = new Map<string, Promise<void>>()
  let looking: Promise<void> | undefined
  let again = false
  let closed = false
  let failure: string | undefined

  async function work(claim: Claim): Promise<void> {
    const { roleArn: role, attempts } = claim
    try {
      const done = await writeRole(iam, store, claim)
      if (done !== 'checked') log.info({ role, done }, 'denies of a role')
    } catch (error) {
      const code = codeOf(error)
      log.error({ role, code, attempts: attempts + 1 }, 'denies of a role not written')
      const delayMs = Math.min(250 * 2 ** Math.min(attempts, 10), LONGEST_DELAY_MS) * (0.5 + random() / 2)
      // Where this cannot be said either, the lease runs out and somebody tries again.
      await store.failed(claim, code, Math.round(delayMs)).catch(() => false)
    }
  }

  async function look(): Promise<void> {
    const free = MOST - running.size
    if (free <= 0) return
    const claims = await store.claim(holder, leaseSeconds, free, [...running.keys()])
    for (const claim of claims) {
      const under = work(claim).finally(() => {
        running.delete(claim.roleArn)
        // What did not find a place, and what was asked for meanwhile.
        if (!closed) kick()
      })
      running.set(claim.roleArn, under)
    }
  }

  async function lookAndTell(): Promise<void> {
    try {
      do {
        again = false
        await look()
      } while (again && !closed)
      failure = undefined
    } catch (error) {
      const why = codeOf(error)
      if (failure !== why) log.error({ why }, 'denies not looked at')
      failure = why
    }
  }

  function kick(): void {
    again = true
    looking ??= lookAndTell().finally(() => {
      looking = undefined
      // Kicked after the last look had begun to end.
      if (again && !closed) kick()
    })
  }

  const timer = setInterval(() => {
    kick()
    store.tell().catch(() => undefined)
  }, EVERY_MS)
  timer.unref()

  return {
    kick,
    async idle() {
      kick()
      while (looking !== undefined || running.size > 0) {
        await looking
        await Promise.all(running.values())
      }
    },
    async close() {
      closed = true
      clearInterval(timer)
      await looking
      await Promise.all(running.values())
    },
  }
}

/** A code of ours; of anything unforeseen only that it was. */
function codeOf(error: unknown): string {
  if (error instanceof WritError || error instanceof DenyError) return error.code
  return error instanceof Error && error.name === 'DatabaseError' ? 'database' : 'internal'
}
