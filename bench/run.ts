import type { Pace } from './measure.js'
import type { Stage } from './stage.js'

/** What a benchmark is handed. */
export interface Run {
  readonly pace: Pace
  readonly smoke: boolean
  /** Started when first asked for, shared by all benchmarks of the run. */
  readonly stage: () => Promise<Stage>
  /** Progress, beside the results. */
  readonly say: (text: string) => void
}
