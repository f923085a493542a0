import type { FastifyRequest } from 'fastify'
import type { Operator, PolicySet } from '../../types.js'

/** An operator at the console, by the cookie of a session. */
export interface ConsoleCaller {
  readonly operator: Operator
  readonly policySet: PolicySet
  readonly session: {
    /** Names the session; opens nothing. */
    readonly id: string
    /** What a page sends along with everything that changes something. */
    readonly csrf: string
    /** When this human last showed that it is them. */
    readonly authenticatedAt: Date
    readonly method: 'oidc' | 'passkey'
  }
}

/** Answers who a request is from; the plugin's hook has refused everybody else by then. */
export type ConsoleCallerOf = (request: FastifyRequest) => ConsoleCaller
