import { setTimeout as delay } from 'node:timers/promises'
import type { BrokerClient } from './client.js'
import type { IncidentAnswer } from './evidence/types.js'
import { CliError, EXIT } from './exit.js'

/**
 * Waits until every deny is written in IAM, or as long as was said: the incident as it is then, whichever it is. Says
 * nothing by itself: the caller shows the state that it finds.
 */
export async function waitForDenies(
  broker: BrokerClient,
  opened: IncidentAnswer,
  withinMs: number,
): Promise<IncidentAnswer> {
  let incident = opened
  for (const until = performance.now() + withinMs; waits(incident) && performance.now() < until; ) {
    await delay(250)
    try {
      incident = await broker.get<IncidentAnswer>(`/v1/incidents/${encodeURIComponent(opened.id)}`)
    } catch (error) {
      // The stop holds whether or not the broker can be asked about it.
      if (!(error instanceof CliError) || error.exitCode !== EXIT.unavailable) throw error
    }
  }
  return incident
}

const waits = ({ stop }: IncidentAnswer): boolean => stop.sessions.state === 'asked'
