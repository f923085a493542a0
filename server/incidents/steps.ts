import { WritError } from '../errors.js'
import type { From } from '../operators/store.js'
import type { RevocationDeps } from '../revocation/deps.js'
import type { Operator } from '../types.js'
import { STAGE_ROLES, type Stage } from './boundary.js'
import { callIncidentFunction } from './store.js'

export interface WantedStep {
  readonly incident: string
  readonly stage: Stage
  readonly note: string
  /** SHA-256 of the manifest of evidence that was collected; at `assess` only. */
  readonly evidence?: string | undefined
  readonly operator: Operator
  readonly said: From
}

/**
 * Records what somebody did at a stage of an incident. Throws `WritError` operator_role, request_invalid, not_found,
 * incident_closed.
 */
export async function recordStep(
  { database }: Pick<RevocationDeps, 'database'>,
  { incident, stage, note, evidence, operator, said }: WantedStep,
): Promise<{ readonly index: number; readonly at: string }> {
  const roles = STAGE_ROLES[stage]
  if (!roles.some((role) => operator.roles.has(role))) {
    throw new WritError('operator_role', `A step of ${stage} needs the role ${roles.join(' or ')}.`)
  }
  if (evidence !== undefined && stage !== 'assess') {
    throw new WritError('request_invalid', 'Collecting evidence is a step of assess.')
  }
  const { index, at } = await callIncidentFunction<{ readonly index: number; readonly at: string }>(
    database,
    'incident_step',
    {
      incident,
      stage,
      operator: operator.name,
      ...(evidence === undefined ? {} : { evidence }),
      personal: { ...said.personal, note },
      seen: said.seen,
    },
  )
  return { index, at }
}
