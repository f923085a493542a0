import type { Child } from './child.js'
import type { LoadAnswer, LoadJob } from './children/load.js'
import { cpuSeconds } from './cpu.js'
import { median, quantile, type Sample } from './measure.js'
import type { Cell } from './result.js'

/** A round of load over HTTP. */
export interface Round {
  readonly sample: Sample
  /** Answers other than the one that is measured. */
  readonly failed: number
  /** Milliseconds of CPU that each process used for one request; NaN where that cannot be seen. */
  readonly cpu: Readonly<Record<string, number>>
}

/** Sends the load and looks at what `pids` and the sender used meanwhile. */
export async function sendLoad(
  load: Child<object>,
  job: LoadJob,
  pids: Readonly<Record<string, number>>,
): Promise<Round> {
  const all = Object.entries({ ...pids, load: load.pid })
  const before = all.map(([, pid]) => cpuSeconds(pid))
  const answer = await load.ask<LoadAnswer>(job)
  if ('problem' in answer) throw new Error(answer.problem)
  const { sample, failed } = answer
  const cpu = all.map(([name, pid], n) => {
    const used = (cpuSeconds(pid) ?? Number.NaN) - (before[n] ?? Number.NaN)
    return [name, (used * 1000) / sample.calls] as const
  })
  return { sample, failed, cpu: Object.fromEntries(cpu) }
}

/** The median round's CPU of each process. */
export function cpuCells(rounds: readonly Round[]): Record<string, number> {
  return Object.fromEntries(
    Object.keys(rounds[0]?.cpu ?? {}).map((name) => [
      `${name} CPU ms`,
      median(rounds.map((round) => round.cpu[name] ?? Number.NaN)),
    ]),
  )
}

export function rates(samples: readonly Sample[]): Record<string, number> {
  const latencies = samples.flatMap((sample) => sample.latencies)
  return {
    'per second': median(samples.map((sample) => sample.perSecond)),
    'p50 ms': quantile(latencies, 0.5),
    'p99 ms': quantile(latencies, 0.99),
  }
}

/** The median of the ratios of rounds that ran next to one another. */
export function ratio(of: readonly Sample[], floor: readonly Sample[]): Cell {
  return { ratio: median(of.map((sample, n) => sample.perSecond / (floor[n]?.perSecond ?? Number.NaN))) }
}

export const samplesOf = (rounds: readonly Round[]): readonly Sample[] => rounds.map((round) => round.sample)
