import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from './http.js'
import { AGENT_AUDIENCE, AGENTS } from './policies.js'
import { seeded } from './random.js'
import { agentTokens, openStage, type Stage, type StageOptions } from './stage.js'

export interface StallOptions extends Omit<StageOptions, 'aws'> {
  readonly trials: number
  /** Agents that ask each replica at once. */
  readonly workers: number
  readonly say: (text: string) => void
}

/** What the agents of the other replicas waited for while one stood still, or while none did. */
export interface Waits {
  /** Longest time in which a running replica answered nobody, milliseconds, a window each. */
  readonly gaps: readonly number[]
  /** Longest wait of one request, milliseconds, a window each. */
  readonly latencies: readonly number[]
  /** Answers of running replicas, and the fewest that one of them gave in a window. */
  readonly answers: number
  readonly fewest: number
  /** Answers of theirs other than 200. */
  readonly failed: number
}

export interface Stalls {
  readonly replicas: number
  readonly quiet: Waits
  readonly stopped: Waits
}

interface Call {
  readonly replica: number
  readonly from: number
  readonly to: number
  readonly ok: boolean
}

interface Window {
  /** Undefined: nobody was. */
  readonly stopped?: number
  /** Whom to look at: in a quiet window too, all but one. */
  readonly leftOut: number
  readonly from: number
  readonly to: number
}

/** Windows in which one replica is stopped with SIGSTOP take turns with as many in which none is. */
export async function measureStalls(options: StallOptions): Promise<Stalls> {
  const stage = await openStage({ ...options, aws: { dropped: 0, throttled: 0, slow: 0, slowMs: 0 } })
  try {
    const load = await startLoad(stage, options.workers)
    const random = seeded(options.seed)
    const windows: Window[] = []
    await delay(1_000)
    for (let trial = 0; trial < options.trials; trial++) {
      const victim = Math.floor(random.next() * options.replicas)
      const length = random.between(300, 1_500)
      for (const stop of [false, true]) {
        await delay(random.between(100, 400))
        const from = performance.now()
        if (stop) stage.replicas[victim]?.stop()
        await delay(length)
        windows.push({ ...(stop ? { stopped: victim } : {}), leftOut: victim, from, to: performance.now() })
        if (stop) stage.replicas[victim]?.go()
      }
      options.say(`trial ${trial + 1} of ${options.trials}`)
    }
    const calls = await load.stop()
    const waits = (stopped: boolean): Waits =>
      waitsIn(
        windows.filter((window) => (window.stopped !== undefined) === stopped),
        calls,
        options.replicas,
      )
    return { replicas: options.replicas, quiet: waits(false), stopped: waits(true) }
  } finally {
    await stage.close()
  }
}

async function startLoad({ replicas, issuer }: Stage, workers: number) {
  const tokens = await agentTokens(issuer, AGENT_AUDIENCE)
  const calls: Call[] = []
  let stopped = false
  let asked = 0
  const running = replicas.flatMap((replica, number) =>
    Array.from({ length: workers }, async (_, n) => {
      const client = createClient(30_000)
      const agent = AGENTS[n % AGENTS.length] ?? ''
      while (!stopped) {
        const from = performance.now()
        const sent = await client.post(await replica.up(), '/v1/credentials', tokens.get(agent) ?? '', {
          environment: 'development',
          scopes: ['things:read'],
          reason: 'stall',
          session: `s${asked++}`,
        })
        const ok = typeof sent === 'object' && sent.status === 200
        calls.push({ replica: number, from, to: performance.now(), ok })
      }
      client.close()
    }),
  )
  return {
    stop: async (): Promise<readonly Call[]> => {
      stopped = true
      await Promise.all(running)
      return calls
    },
  }
}

function waitsIn(windows: readonly Window[], calls: readonly Call[], replicas: number): Waits {
  const gaps: number[] = []
  const latencies: number[] = []
  let answers = 0
  let fewest = Number.POSITIVE_INFINITY
  let failed = 0
  for (const window of windows) {
    const others = calls.filter(
      (call) => call.replica !== window.leftOut && call.to >= window.from && call.from <= window.to,
    )
    answers += others.length
    failed += others.filter((call) => !call.ok).length
    latencies.push(Math.max(0, ...others.map((call) => call.to - call.from)))
    const each = Array.from({ length: replicas }, (_, n) => n).filter((n) => n !== window.leftOut)
    for (const n of each)
      fewest = Math.min(
        fewest,
        others.filter((call) => call.replica === n && call.ok && call.to <= window.to).length,
      )
    gaps.push(
      Math.max(
        ...each.map((n) =>
          longestGap(
            window,
            others.filter((call) => call.replica === n),
          ),
        ),
      ),
    )
  }
  return { gaps, latencies, answers, fewest, failed }
}

/** An answer that comes after the window still ends the gap in which it was awaited. */
function longestGap(window: Window, calls: readonly Call[]): number {
  const ends = calls.map((call) => call.to).sort((a, b) => a - b)
  let [longest, last] = [0, window.from]
  for (const end of ends) {
    longest = Math.max(longest, end - last)
    last = end
  }
  return Math.max(longest, window.to - last)
}

export function stallTable({ replicas, quiet, stopped }: Stalls): string {
  const at = (values: readonly number[], share: number): string => {
    const sorted = [...values].sort((a, b) => a - b)
    return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(0)
  }
  const row = (name: string, { gaps, latencies, answers, failed }: Waits): string =>
    `| ${replicas} | ${name} | ${gaps.length} | ${answers} | ${failed} | ${at(gaps, 0.5)} | ${at(gaps, 0.95)} | ${at(gaps, 1)} | ${at(latencies, 0.5)} | ${at(latencies, 0.95)} | ${at(latencies, 1)} |`
  return [
    '| replicas | window | windows | answers | failed | gap p50 ms | p95 | max | slowest answer p50 ms | p95 | max |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    row('all run', quiet),
    row('one stopped', stopped),
  ].join('\n')
}
