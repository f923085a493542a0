import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from './random.js'
import type { Stage } from './stage.js'

export interface Violence {
  /** Between two strikes, milliseconds. */
  readonly gapMs: readonly [from: number, to: number]
  /** Drawn by weight for as long as it lasts, or these in this order and no more. */
  readonly strikes: Readonly<Record<Strike, number>> | readonly Strike[]
}

/** `long stop` outlasts the writer's lease and the sweep. */
export type Strike = 'kill broker' | 'kill postgres' | 'kill backend' | 'stop broker' | 'long stop'

export const USUAL: Violence = {
  gapMs: [1_000, 5_000],
  strikes: { 'kill broker': 30, 'kill postgres': 10, 'kill backend': 12, 'stop broker': 45, 'long stop': 3 },
}

export interface Killer {
  readonly struck: ReadonlyMap<Strike, number>
  /** Whether all strikes of a list were dealt; always true of endless ones. */
  readonly finished: () => boolean
  /** Ends the violence and sets everything going again. */
  readonly calm: () => Promise<void>
}

/** Strikes at random, as the seed decides, one after the other; stopped brokers go on in the background. */
export function startKiller(
  { replicas, victim, admin }: Stage,
  { gapMs, strikes }: Violence,
  random: Random,
  say: (text: string) => void,
): Killer {
  const struck = new Map<Strike, number>()
  const stopping = new Set<Promise<void>>()
  const ending = new AbortController()
  const wait = (ms: number): Promise<void> =>
    delay(ms, undefined, { signal: ending.signal }).catch(() => undefined)
  const count = (strike: Strike, detail: string): void => {
    struck.set(strike, (struck.get(strike) ?? 0) + 1)
    say(`${strike}: ${detail}`)
  }

  function stop(strike: Strike, ms: number): boolean {
    const replica = random.pick(replicas)
    if (replica.stopped() || replica.url() === undefined) return false
    replica.stop()
    count(strike, `${replica.name} for ${Math.round(ms)} ms`)
    const going = wait(ms).then(() => {
      if (replica.stopped()) replica.go()
    })
    stopping.add(going)
    void going.finally(() => stopping.delete(going))
    return true
  }

  /** Whether it met somebody. */
  async function strikeOnce(strike: Strike): Promise<boolean> {
    switch (strike) {
      case 'kill broker': {
        const replica = random.pick(replicas)
        if (replica.url() === undefined) return false
        count(strike, replica.name)
        replica.kill9()
        return true
      }
      case 'kill postgres': {
        const downMs = random.between(0, 1_500)
        count(strike, `down for ${Math.round(downMs)} ms at least`)
        await victim.kill9()
        await delay(downMs)
        await victim.restart()
        return true
      }
      case 'kill backend': {
        // One that is at work, where there is one: that is where something can be half done.
        const rows = await admin
          .query<{ pid: number }>(
            `SELECT pid FROM pg_stat_activity WHERE application_name = 'writ'
             ORDER BY state <> 'active', random() LIMIT 1`,
          )
          .catch(() => [])
        const [row] = rows
        if (row === undefined) return false
        count(strike, String(row.pid))
        process.kill(row.pid, 'SIGKILL')
        return true
      }
      case 'stop broker':
        return stop(strike, random.between(50, 2_500))
      case 'long stop':
        return stop(strike, random.between(11_000, 15_000))
    }
  }

  const endless = !isList(strikes)
  let finished = endless
  const running = (async () => {
    const left = isList(strikes) ? [...strikes] : []
    while (!ending.signal.aborted && (endless || left.length > 0)) {
      await wait(random.between(...gapMs))
      if (ending.signal.aborted) break
      const strike = isList(strikes) ? left[0] : random.weighted(strikes)
      // One that met nobody, such as a replica that is still starting, is dealt again.
      if (strike !== undefined && (await strikeOnce(strike))) left.shift()
    }
    finished = true
  })()
  return {
    struck,
    finished: () => finished,
    calm: async () => {
      ending.abort()
      await running
      await Promise.all(stopping)
      for (const replica of replicas) if (replica.stopped()) replica.go()
      // One that cannot start any more shows in what it said and in what is missing.
      const all = Promise.all(replicas.map((replica) => replica.up()))
      await Promise.race([all, delay(30_000, undefined, { ref: false })])
    },
  }
}

const isList = (strikes: Violence['strikes']): strikes is readonly Strike[] => Array.isArray(strikes)
