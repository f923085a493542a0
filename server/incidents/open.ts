import type { From } from '../operators/store.js'
import type { RevocationDeps } from '../revocation/deps.js'
import { engageStop, type StopProof } from '../revocation/stops.js'
import type { Operator, PolicySet } from '../types.js'
import { callIncidentFunction, findIncident, type IncidentView } from './store.js'

export interface WantedIncident {
  readonly agent: string
  readonly reason: string
  readonly operator: Operator
  /** For the stop, where this engages one. */
  readonly proof: StopProof
  readonly said: From
}

/**
 * Stops the agent, if nobody has, and opens an incident on it; one that is open already is answered as it is. The stop
 * comes first: a crash in between leaves an agent stopped, never an incident with the agent running.
 *
 * Throws `WritError` request_invalid for an agent that neither policy nor the record knows, not_stopped when others
 * released it in between.
 */
export async function openIncident(
  deps: RevocationDeps,
  policySet: PolicySet,
  { agent, reason, operator, proof, said }: WantedIncident,
): Promise<{ readonly incident: IncidentView; readonly created: boolean }> {
  const id = deps.newId()
  const stop = await engageStop(deps, policySet, {
    kind: 'agent',
    name: agent,
    reason,
    operator,
    proof,
    cause: `incident:${id}`,
    ...said,
  })
  const opened = await callIncidentFunction<{ readonly id: string; readonly created: boolean }>(
    deps.database,
    'open_incident',
    {
      id,
      agent,
      stop_id: stop.id,
      operator: operator.name,
      personal: { ...said.personal, reason },
      seen: said.seen,
    },
  )
  deps.log.info({ incident: opened.id, agent, created: opened.created }, 'incident opened')
  return { incident: await findIncident(deps.database, policySet, opened.id), created: opened.created }
}
