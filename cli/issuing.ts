import type { CredentialsAnswer, GrantRequest, PrefilledRequest } from './api.js'
import type { BrokerClient } from './client.js'
import { CliError, EXIT } from './exit.js'
import { shellQuote } from './output.js'
import { orNotGranted, sayPending, waitForDecision } from './waiting.js'

export interface Wish {
  readonly environment: string
  readonly scopes: readonly string[]
  readonly reason: string
  readonly ttl?: number
  readonly ticket?: string
}

/**
 * Credentials, or the broker's refusal as `CliError`. With `wait`, a refusal that a human could lift opens the
 * grant request, waits for its decision and asks once more.
 */
export async function askForCredentials(
  broker: BrokerClient,
  wish: Wish,
  wait: boolean,
): Promise<CredentialsAnswer> {
  try {
    return checked(await broker.send<CredentialsAnswer>('POST', '/v1/credentials', wish))
  } catch (error) {
    if (!wait || !(error instanceof CliError) || error.exitCode !== EXIT.needsGrant) throw error
    const prefilled = error.problem.grant_request as PrefilledRequest | undefined
    if (prefilled === undefined) throw error
    const opened = await broker.send<GrantRequest>('POST', '/v1/grant-requests', prefilled)
    sayPending(opened)
    orNotGranted(await waitForDecision(broker, opened.id))
    return checked(await broker.send<CredentialsAnswer>('POST', '/v1/credentials', wish))
  }
}

/** Half an answer must not become half an environment. */
function checked(answered: CredentialsAnswer): CredentialsAnswer {
  const { access_key_id, secret_access_key, session_token, expires_at } = answered.credentials ?? {}
  for (const value of [access_key_id, secret_access_key, session_token, expires_at]) {
    if (typeof value !== 'string' || value === '') {
      throw new CliError(EXIT.unexpected, {
        title: 'Answer not understood',
        code: 'answer_not_understood',
        detail: 'The answer holds no whole set of credentials.',
      })
    }
  }
  return answered
}

/** The command that asks humans for what was just refused. */
export function requestCommand(problem: { readonly [extra: string]: unknown }): string | undefined {
  const prefilled = problem.grant_request as PrefilledRequest | undefined
  if (prefilled === undefined) return undefined
  const { environment, scopes, reason, ticket } = prefilled
  return [
    `writ request --env ${shellQuote(environment)} --scope ${shellQuote(scopes.join(','))}`,
    `--reason ${shellQuote(reason)}`,
    ...(ticket === undefined ? [] : [`--ticket ${shellQuote(ticket)}`]),
    '--wait',
  ].join(' ')
}
