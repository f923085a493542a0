import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { stopsPage } from '../../../web/pages/stops.js'
import type { Database } from '../../db/pool.js'
import { revokeIssuance } from '../../revocation/issuances.js'
import { listStops, type StopView } from '../../revocation/stop-store.js'
import type { Operator, PolicySet } from '../../types.js'
import { signedDecision } from '../decision-schemas.js'
import { recordId, revokeBody } from '../schemas.js'
import { type StopCallDeps, stopCalls } from '../stop-calls.js'
import { RELEASERS, STOPPERS } from '../stop-routes.js'
import { releaseAnswer, releaseChallengeAnswer, stopBody, stopTarget } from '../stop-schemas.js'
import type { ConsoleDeps } from './deps.js'
import { type FrameDeps, frameOf } from './frame.js'
import { READERS } from './request-routes.js'
import { consoleOnly } from './session.js'
import { showPage } from './show.js'

export interface ConsoleStopDeps extends FrameDeps, StopCallDeps {
  readonly console: ConsoleDeps
}

/** More at once than anybody reads: then one stop of everything tells more. */
const ENGAGED = 100
const RELEASED = 25

/** Stopping, what is stopped, and signing that it may end. */
export const consoleStopRoutes: FastifyPluginAsyncZod<{ deps: ConsoleStopDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const hide = true
  const { database } = deps
  const params = z.object({ id: recordId })
  const calls = stopCalls(deps, (request) => {
    const { operator, policySet, session } = callerOf(request)
    const { id, authenticatedAt } = session
    return {
      operator,
      policySet,
      authenticatedAt,
      issuer: deps.console.origin(),
      subject: operator.name,
      proof: { kind: 'session', session: id, authenticated_at: authenticatedAt.toISOString() },
    }
  })

  app.get('/console/stops', { config: { roles: READERS }, schema: { hide } }, async (request, reply) => {
    const caller = callerOf(request)
    const [engaged, released, frame] = await Promise.all([
      listStops(database, { state: 'engaged' }, { limit: ENGAGED }),
      listStops(database, { state: 'released' }, { limit: RELEASED }),
      frameOf(deps, caller),
    ])
    const leaves = await leavesOf(database, engaged)
    const body = stopsPage({
      engaged: engaged.map((stop) => ({
        stop,
        shown: fixedFields(stop, caller.operator, leaves.get(stop.id)),
      })),
      released,
      viewer: frame.viewer,
      now: frame.now,
      known: knownIn(caller.policySet),
    })
    return showPage(reply, frame, { title: 'Stops', section: 'stops', body, modules: ['live', 'stop'] })
  })

  app.post(
    '/console/stops',
    { config: { roles: STOPPERS }, schema: { hide, body: wantedStop } },
    async (request) => {
      const { stop } = await calls.engage(request, request.body)
      return { id: stop.id }
    },
  )

  app.post(
    '/console/stops/:id/challenge',
    { config: { roles: RELEASERS }, schema: { hide, params, response: { 200: releaseChallengeAnswer } } },
    (request) => calls.challenge(request, request.params.id),
  )

  app.post(
    '/console/stops/:id/release',
    {
      config: { roles: RELEASERS },
      schema: { hide, params, body: signedDecision, response: { 200: releaseAnswer } },
    },
    (request) => calls.release(request, request.params.id, request.body),
  )

  app.post(
    '/console/issuances/:id/revoke',
    { config: { roles: STOPPERS }, schema: { hide, params, body: revokeBody } },
    async (request) => {
      const { name: operator } = callerOf(request).operator
      const { id: issuanceId } = request.params
      const { state } = await revokeIssuance(deps.revocation, {
        issuanceId,
        operator,
        reason: request.body.reason,
      })
      request.log.warn({ issuance: issuanceId, operator }, 'issuance revoked')
      return { state }
    },
  )
}

const wantedStop = z.strictObject({
  kind: stopTarget.shape.kind,
  name: stopTarget.shape['*'],
  reason: stopBody.shape.reason,
})

/** Leaf hashes of the entries of stops, which a release names. */
async function leavesOf(
  database: Database,
  stops: readonly StopView[],
): Promise<ReadonlyMap<string, string>> {
  if (stops.length === 0) return new Map()
  const rows = await database.query<{ id: string; leaf: string }>(
    `SELECT id, encode(leaf, 'hex') AS leaf FROM writ.stop WHERE id = ANY ($1)`,
    [stops.map(({ id }) => id)],
  )
  return new Map(rows.map(({ id, leaf }) => [id, leaf]))
}

/** The fields of a ReleaseDocument that stay the same. web/browser/stop.ts compares each. */
const fixedFields = (
  stop: StopView,
  operator: Operator,
  leaf: string | undefined,
): Readonly<Record<string, unknown>> => ({
  operator: operator.name,
  stop: stop.id,
  stops: stop.kind,
  name: stop.kind === 'human' ? null : (stop.name ?? ''),
  stop_leaf: leaf ?? null,
  approvals_needed: stop.approvals_needed,
})

const knownIn = ({ agents, environments }: PolicySet) => ({
  agent: [...agents.keys()].sort(),
  environment: [...environments.keys()].sort(),
  account: [...new Set([...environments.values()].map(({ account }) => account))].sort(),
})
