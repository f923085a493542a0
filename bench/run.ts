import type { Pace } from './measure.js'
import type { Kept } from './seed/kept.js'
import type { Stage } from './stage.js'

/** What a benchmark is handed. */
export interface Run {
  readonly pace: Pace
  readonly smoke: boolean
  /** Length of the record that reviews are measured on, and the longest that is appended to. */
  readonly entries: number
  /** Started when first asked for, shared by all benchmarks of the run. */
  readonly stage: () => Promise<Stage>
  /** A record of so many entries on a server of its own; likewise. */
  readonly kept: (entries: number) => Promise<Kept>
  /** Progress, beside the results. */
  readonly say: (text: string) => void
}
