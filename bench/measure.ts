/** How long a measurement runs. */
export interface Pace {
  /** Not counted: JIT, connections, caches. */
  readonly warmupSeconds: number
  readonly seconds: number
  /** Rounds that take turns, so that a noisy neighbour meets both sides of a ratio. */
  readonly rounds: number
}

export interface Sample {
  readonly perSecond: number
  /** Milliseconds, in no order. */
  readonly latencies: readonly number[]
  /** All calls, the warm-up's too. */
  readonly calls: number
}

/**
 * `workers` that each send their next call when the last is answered. At least one answer is counted, however
 * long it takes. What a call throws ends it.
 */
export async function closedLoop(
  workers: number,
  pace: Pick<Pace, 'warmupSeconds' | 'seconds'>,
  call: (worker: number, n: number) => Promise<unknown>,
): Promise<Sample> {
  const begin = performance.now() + pace.warmupSeconds * 1000
  let end = begin + pace.seconds * 1000
  const latencies: number[] = []
  let calls = 0
  const work = async (worker: number): Promise<void> => {
    for (let sent = performance.now(); sent < end || latencies.length === 0; ) {
      await call(worker, calls++)
      const answered = performance.now()
      if (latencies.length === 0) end = Math.max(end, answered)
      if (answered >= begin && answered <= end) latencies.push(answered - sent)
      sent = answered
    }
  }
  await Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))
  return { perSecond: latencies.length / ((end - begin) / 1000), latencies, calls }
}

/** Milliseconds that one call of something synchronous and quick takes. */
export function callMs(pace: Pick<Pace, 'warmupSeconds' | 'seconds'>, call: (n: number) => unknown): number {
  const run = (seconds: number): number => {
    const begin = performance.now()
    let calls = 0
    // In chunks: reading the clock costs as much as a call.
    do for (let chunk = 0; chunk < 100; chunk++) call(calls++)
    while (performance.now() - begin < seconds * 1000)
    return (performance.now() - begin) / calls
  }
  run(pace.warmupSeconds)
  return run(pace.seconds)
}

/** The median time of a call in milliseconds: at least one call, then as many as fit. */
export async function medianMs(pace: Pick<Pace, 'seconds'>, call: () => Promise<unknown>): Promise<number> {
  const times: number[] = []
  const end = performance.now() + pace.seconds * 1000
  do {
    const begin = performance.now()
    await call()
    times.push(performance.now() - begin)
  } while (performance.now() < end)
  return median(times)
}

/** The value that `share` (0 to 1) of all values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)
