import type { Attempt } from '../issuance/issue.js'
import type { PolicySet, StopAfter } from '../types.js'
import type { RevocationDeps } from './deps.js'
import { engageStop } from './stops.js'

/**
 * Stops an agent by itself when its attempts reach what the environment's document says, everywhere and with all that
 * follows from a stop. One person releases it. What fails is logged and tried again at the next attempt.
 */
export function createAutoStop(deps: RevocationDeps, policySet: () => PolicySet): (attempt: Attempt) => void {
  const underWay = new Set<string>()
  return (attempt) => {
    const { agent } = attempt
    const set = policySet()
    const most = threshold(set, attempt)
    // A burst reaches the number many times over; one of it stops the agent.
    if (most === undefined || attempt.attempts < most || underWay.has(agent)) return
    underWay.add(agent)
    engageStop(deps, set, wanted(attempt))
      .catch((err: unknown) => deps.log.error({ err, agent }, 'automatic stop failed'))
      .finally(() => underWay.delete(agent))
  }
}

const WHAT = {
  over: { key: 'overLimit', cause: 'over_limit', said: 'went over its limits' },
  red: { key: 'redLines', cause: 'red_line', said: 'asked for what no agent may ever have' },
} as const satisfies Record<Attempt['kind'], { key: keyof StopAfter; cause: string; said: string }>

/** Of a place that nobody knows, the lowest number of those that the agent may enter: a made-up name hides nothing. */
function threshold(set: PolicySet, { agent, environment, kind }: Attempt): number | undefined {
  const known = set.environments.has(environment)
  const names = known ? [environment] : [...(set.agents.get(agent)?.environments.keys() ?? [])]
  const numbers = names
    .map((name) => set.environments.get(name)?.stopAfter?.[WHAT[kind].key])
    .filter((number) => number !== undefined)
  return numbers.length === 0 ? undefined : Math.min(...numbers)
}

function wanted({ agent, environment, kind, attempts, entry }: Attempt) {
  const { cause, said } = WHAT[kind]
  return {
    kind: 'agent',
    name: agent,
    reason: `The agent ${said} ${attempts} times within an hour (the last time in ${environment}).`,
    cause: `${cause}:${entry}`,
  } as const
}
