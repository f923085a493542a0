import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { StartError } from '../errors.js'
import type { Log } from './pool.js'

/** Ours among all advisory locks: "writ" in ASCII. Database `postgres`, where no other role may connect. */
const LOCK = 0x77726974

/** A killed broker's session takes a moment to end. */
const PATIENCE_MS = 2_000

export interface Ownership {
  /**
   * Gives the database up. `last` runs while the lock is still held, so that no other broker comes in
   * before the server is down; it is left out when another one has taken over already.
   */
  release(last: () => Promise<void>): Promise<void>
}

/**
 * Holds a lock for as long as this broker lives, on a connection of its own: the server ends the lock when
 * the process dies, however it dies. Throws StartError when another live broker holds it. When the
 * server restarts, the lock is taken again in the background.
 */
export async function takeOwnership(superuserUrl: string, dataDir: string, log: Log): Promise<Ownership> {
  let client: pg.Client | undefined
  let released = false
  let foreign = false
  let retry: NodeJS.Timeout | undefined

  const attempt = async (): Promise<boolean> => {
    const next = new pg.Client({
      connectionString: superuserUrl,
      application_name: 'writ owner',
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    })
    // Without a listener the server's going away would end this process.
    next.on('error', () => lost(next))
    next.on('end', () => lost(next))
    try {
      await next.connect()
      const { rows } = await next.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1) AS taken', [
        LOCK,
      ])
      if (rows[0]?.taken === true && !released) {
        // Whoever may connect here could take the lock and shut the next broker out.
        await next.query('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC')
        client = next
        foreign = false
        return true
      }
    } catch (error) {
      await next.end().catch(() => undefined)
      if ((error as { code?: string }).code !== '28P01') throw error
      throw new StartError(
        `The passwords in ${dataDir}/postgres-secrets.json do not open the database of that folder: restore the file that belongs to it.`,
      )
    }
    await next.end().catch(() => undefined)
    return false
  }

  const lost = (which: pg.Client): void => {
    if (released || client !== which) return
    client = undefined
    log.warn({}, 'the connection to the embedded PostgreSQL was lost')
    retake(250)
  }

  const retake = (afterMs: number): void => {
    retry = setTimeout(() => {
      attempt().then(
        (taken) => {
          if (released) return
          if (taken) log.info({}, 'the embedded PostgreSQL is back')
          else {
            foreign = true
            log.error({}, 'another broker has taken over the database of this folder: stop one of the two')
            retake(5_000)
          }
        },
        () => {
          if (!released) retake(Math.min(afterMs * 2, 5_000))
        },
      )
    }, afterMs)
    // Waiting for the server must not keep a finished process alive.
    retry.unref()
  }

  const until = Date.now() + PATIENCE_MS
  while (!(await attempt())) {
    if (Date.now() > until) {
      throw new StartError(
        `Another broker is running on ${dataDir}: stop it first, or give this one a folder of its own.`,
      )
    }
    await delay(100)
  }
  return {
    release: async (last) => {
      released = true
      clearTimeout(retry)
      if (!foreign) await last()
      await client?.end().catch(() => undefined)
    },
  }
}
