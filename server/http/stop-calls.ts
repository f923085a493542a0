import type { FastifyRequest } from 'fastify'
import { WritError } from '../errors.js'
import { recordingRefusals } from '../operators/refusals.js'
import type { SubmittedProof } from '../operators/signatures.js'
import { type Caller, saidFrom } from '../operators/store.js'
import type { RevocationDeps } from '../revocation/deps.js'
import { releaseChallenge, releaseStop } from '../revocation/release.js'
import type { StopKind } from '../revocation/stop-store.js'
import { engage, type StopProof } from '../revocation/stops.js'
import type { PolicySet } from '../types.js'
import type { KeyCaller } from './key-calls.js'
import { nameProblem } from './stop-schemas.js'

/** Who calls, whichever way they came, and what they came with. */
export interface StopCaller extends KeyCaller {
  readonly policySet: PolicySet
  readonly proof: StopProof
}

export interface StopCallDeps {
  readonly revocation: RevocationDeps
  /** Throws when the record is not what was published. */
  readonly grants: { readonly assertTrusted: () => void }
}

/**
 * Stopping and releasing, for the bearer routes and the console alike: every refusal is recorded. A stop is never
 * refused because the record is not trusted; a release is, for it lets something go on.
 */
export function stopCalls(deps: StopCallDeps, callerOf: (request: FastifyRequest) => StopCaller) {
  const recording = <T>(request: FastifyRequest, work: (caller: Caller) => Promise<T>): Promise<T> => {
    const { operator, authenticatedAt, issuer, subject } = callerOf(request)
    const caller = { operator, authenticatedAt, said: saidFrom(request.ip) }
    const path = request.routeOptions.url ?? ''
    const tried = { caller, issuer, subject, request: request.id, path }
    return recordingRefusals(deps.revocation, tried, () => work(caller))
  }
  return {
    engage: async (
      request: FastifyRequest,
      wanted: { kind: StopKind; name: string; reason: string; cause?: string | undefined },
    ) => {
      const { operator, policySet, proof } = callerOf(request)
      const { kind, name, reason, cause } = wanted
      const problem = nameProblem(kind, name)
      if (problem !== undefined) throw new WritError('request_invalid', problem)
      return engage(deps.revocation, policySet, {
        kind,
        name,
        reason,
        operator,
        proof,
        ...saidFrom(request.ip),
        ...(cause === undefined ? {} : { cause }),
      })
    },

    challenge: (request: FastifyRequest, id: string) =>
      recording(request, async ({ operator }) => {
        deps.grants.assertTrusted()
        return releaseChallenge(deps.revocation, operator, id)
      }),

    release: (
      request: FastifyRequest,
      id: string,
      signed: { readonly challenge: string; readonly proof: SubmittedProof },
    ) =>
      recording(request, async (caller) => {
        deps.grants.assertTrusted()
        return releaseStop(deps.revocation, caller, id, signed)
      }),
  }
}
