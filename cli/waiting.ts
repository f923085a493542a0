import { setTimeout as delay } from 'node:timers/promises'
import type { GrantRequest } from './api.js'
import type { BrokerClient } from './client.js'
import { CliError, EXIT } from './exit.js'
import { clean, note, sayInstant } from './output.js'

/** Tries before a broker that went away is given up: a restart takes seconds. */
const ATTEMPTS = 10

/** Long-polls until humans have decided, or the request ran out. */
export async function waitForDecision(broker: BrokerClient, id: string): Promise<GrantRequest> {
  for (let failed = 0; ; ) {
    try {
      const request = await broker.get<GrantRequest>(`/v1/grant-requests/${id}`, { wait: 25 })
      if (request.state !== 'pending') return request
      failed = 0
    } catch (error) {
      failed += 1
      if (!(error instanceof CliError) || error.exitCode !== EXIT.unavailable || failed >= ATTEMPTS)
        throw error
      await delay(2000)
    }
  }
}

/** Says on stderr what a human has to do now. */
export function sayPending(request: GrantRequest): void {
  note(
    `Grant request ${request.id} waits for ${people(request)} (until ${sayInstant(request.expires_at)}).\n` +
      `An approver decides with: writ approve ${request.id}`,
  )
}

/** Throws unless the request was granted. */
export function orNotGranted(request: GrantRequest): GrantRequest {
  if (request.state === 'granted') return request
  throw notGranted(request)
}

function notGranted(request: GrantRequest): CliError {
  const denial = request.decisions.find((one) => one.decision === 'deny')
  const comment = denial?.comment == null ? '' : `: ${clean(denial.comment)}`
  const what =
    denial === undefined ? `is ${request.state}` : `was denied by ${clean(denial.operator)}${comment}`
  return new CliError(EXIT.needsGrant, {
    title: 'Not granted',
    code: `grant_request_${request.state}`,
    detail: `Grant request ${request.id} ${what}.`,
    grant_request_id: request.id,
  })
}

const people = ({ approvals_needed }: GrantRequest): string =>
  approvals_needed === 1 ? 'one approval' : `${approvals_needed} approvals by different people`
