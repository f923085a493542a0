import { setTimeout as delay } from 'node:timers/promises'
import { decisionCode } from '../server/audit/proofs/decision-code.js'
import type { GrantRequest, Page } from './api.js'
import type { BrokerClient } from './client.js'
import { CliError, EXIT } from './exit.js'
import { clean } from './output.js'
import { orNotGranted } from './waiting.js'

/** Between two looks: an operator's list has no long poll. */
const LOOK_MS = 2000
/** Looks before a broker that went away is given up: a restart takes seconds. */
const ATTEMPTS = 10

/** For somebody whose key is elsewhere: where to decide, and what to compare there. */
export interface DecisionLink {
  readonly request: string
  readonly link: string
  readonly code: string
}

export function linkTo(origin: string, request: GrantRequest): DecisionLink {
  // Pages at 127.0.0.1 send a browser to localhost: passkeys do not work on an address.
  const site = new URL(origin).origin.replace('//127.0.0.1', '//localhost')
  return {
    request: request.id,
    link: `${site}/console/requests/${encodeURIComponent(request.id)}`,
    code: decisionCode(request),
  }
}

export const sayLink = ({ link, code }: DecisionLink): string =>
  `Decide where your key is: ${clean(link)}\nCompare the code before you sign; the page must show the same: ${code}`

/** Throws `CliError` not_found. */
export async function readRequest(broker: BrokerClient, id: string): Promise<GrantRequest> {
  const [request] = (await broker.get<Page<GrantRequest>>('/v1/grant-requests', { id })).items
  if (request !== undefined) return request
  throw new CliError(EXIT.request, {
    title: 'Not found',
    code: 'not_found',
    status: 404,
    detail: `There is no grant request ${id}.`,
    next: 'List them: writ grants requests',
  })
}

/** Until the request is decided, or `approver` had their part in it. */
export async function waitUntilDecided(
  broker: BrokerClient,
  id: string,
  approver: string | undefined,
): Promise<GrantRequest> {
  for (let failed = 0; ; ) {
    try {
      const request = await readRequest(broker, id)
      if (request.state !== 'pending' || request.decisions.some((one) => one.operator === approver))
        return request
      failed = 0
    } catch (error) {
      failed += 1
      if (!(error instanceof CliError) || error.exitCode !== EXIT.unavailable || failed >= ATTEMPTS)
        throw error
    }
    await delay(LOOK_MS)
  }
}

/** How a request that was waited for ended. Throws where that is not what the verb was for. */
export function sayOutcome(request: GrantRequest, decision: 'approve' | 'deny'): string {
  const by = request.decisions.map((one) => `${one.decision} by ${clean(one.operator)}`).join(', ')
  const state = `Request ${request.id} is ${request.state} (${by === '' ? 'no decision' : by}).`
  if (request.state === 'pending') return `${state} Somebody else has to approve too.`
  if (decision === 'approve') return `${state} Grant ${orNotGranted(request).grant_id}.`
  if (request.state === 'denied') return state
  throw new CliError(EXIT.request, {
    title: 'Not denied',
    code: `grant_request_${request.state}`,
    detail: state,
  })
}
