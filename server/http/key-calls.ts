import type { FastifyRequest } from 'fastify'
import type { OperatorDeps } from '../operators/deps.js'
import { proposalOptions, proposeKey } from '../operators/enrolment.js'
import { listKeys, removeKey } from '../operators/keys.js'
import { recordingRefusals } from '../operators/refusals.js'
import { type Caller, saidFrom } from '../operators/store.js'
import { listProposals, vouchChallenge, vouchForKey, withdrawProposal } from '../operators/vouching.js'

/** Who calls, whichever way they came: by a token, or by a session of the console. */
export interface KeyCaller extends Pick<Caller, 'operator' | 'authenticatedAt' | 'session'> {
  /** Of the token; at the console its own address and the operator's name. */
  readonly issuer: string
  readonly subject: string
}

/**
 * What operators do with keys, for the bearer routes and the console alike: every refusal is recorded, every change is
 * one line in our log.
 */
export function keyCalls(deps: OperatorDeps, callerOf: (request: FastifyRequest) => KeyCaller) {
  const calling = (request: FastifyRequest): Caller => {
    const { operator, authenticatedAt, session } = callerOf(request)
    const asking = session === undefined ? {} : { session }
    return { operator, authenticatedAt, ...asking, said: saidFrom(request.ip) }
  }
  const recording = <T>(request: FastifyRequest, work: (caller: Caller) => Promise<T>): Promise<T> => {
    const caller = calling(request)
    const { issuer, subject } = callerOf(request)
    const path = request.routeOptions.url ?? ''
    return recordingRefusals(deps, { caller, issuer, subject, request: request.id, path }, () => work(caller))
  }
  return {
    list: (request: FastifyRequest, of: string | undefined) =>
      recording(request, async ({ operator }) => ({ items: await listKeys(deps, operator, of) })),

    options: (request: FastifyRequest) => recording(request, (caller) => proposalOptions(deps, caller)),

    propose: (request: FastifyRequest, proposed: Parameters<typeof proposeKey>[2]) =>
      recording(request, async (caller) => {
        const done = await proposeKey(deps, caller, proposed)
        request.log.info({ operator: caller.operator.name, proposal: done.proposal }, 'key proposed')
        return done
      }),

    proposals: (request: FastifyRequest) =>
      recording(request, async ({ operator }) => ({ items: await listProposals(deps, operator) })),

    challenge: (request: FastifyRequest, id: string) =>
      recording(request, ({ operator }) => vouchChallenge(deps, operator, id)),

    vouch: (request: FastifyRequest, id: string, signed: Parameters<typeof vouchForKey>[3]) =>
      recording(request, async (caller) => {
        const done = await vouchForKey(deps, caller, id, signed)
        request.log.info({ operator: caller.operator.name, of: done.operator }, 'key vouched for')
        return done
      }),

    withdraw: (request: FastifyRequest, id: string) =>
      recording(request, async ({ operator }) => {
        await withdrawProposal(deps, operator, id)
        return { proposal: id }
      }),

    remove: (request: FastifyRequest, id: string) =>
      recording(request, async (caller) => {
        const done = await removeKey(deps, caller, id)
        request.log.info({ operator: caller.operator.name, of: done.of }, 'key removed')
        return done
      }),
  }
}
