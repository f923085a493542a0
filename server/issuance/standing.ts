import type { Database } from '../db/pool.js'
import type { Agent, Facts, Identity } from '../types.js'

/** What may be stopped or counted about a request besides its grants. */
export interface Asker {
  readonly agent: string
  readonly environment: string
  /** Twelve digits; absent for an environment that policy does not know. */
  readonly account?: string
  readonly humans: readonly string[]
}

export type Standing = Pick<Facts, 'stop' | 'pace'>

/** From the primary, never a replica: a stop has to hold for the very next decision. */
export async function loadStanding(database: Database, asker: Asker): Promise<Standing> {
  const [row] = await database.query<{ standing: { stop: string | null; pace: Required<Facts>['pace'] } }>(
    'SELECT writ.standing_of($1, $2, $3, $4) AS standing',
    [asker.agent, asker.environment, asker.account ?? '', asker.humans],
    { name: 'writ.standing_of' },
  )
  if (row === undefined) throw new Error('the database answered nothing')
  const { stop, pace } = row.standing
  return { pace, ...(stop === null ? {} : { stop }) }
}

/** Removes counts that ran out of every window; answers how many. */
export async function sweepPace(database: Database): Promise<number> {
  const [row] = await database.query<{ n: number }>('SELECT writ.sweep_pace() AS n')
  return row?.n ?? 0
}

/** The humans whose stop is this agent's too: its owner, and whom it acts for, however we know of them. */
export function humansBehind(
  agent: Agent | undefined,
  identity: Pick<Identity, 'onBehalfOf'>,
): readonly string[] {
  const owner = agent?.owner.kind === 'human' ? [agent.owner.name] : []
  const human = identity.onBehalfOf?.human
  return human === undefined ? owner : [...owner, human]
}
