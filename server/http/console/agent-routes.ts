import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { type AgentView, agentPage } from '../../../web/pages/agent.js'
import { type AgentLine, agentsPage, type Counted } from '../../../web/pages/agents.js'
import { listEvents } from '../../audit/review/lists.js'
import { denialCounts, liveCounts, liveSessions, pendingRequests } from '../../audit/review/sessions.js'
import type { Database } from '../../db/pool.js'
import { WritError } from '../../errors.js'
import { findStop } from '../../revocation/stop-store.js'
import type { Agent, PolicySet } from '../../types.js'
import { agentName } from '../schemas.js'
import type { ConsoleDeps } from './deps.js'
import { type FrameDeps, frameOf } from './frame.js'
import { claimsOf, placesOf, scopesOf } from './reach.js'
import { READERS } from './request-routes.js'
import { consoleOnly } from './session.js'
import { showPage } from './show.js'
import { type Holding, stopsInForce, stopsOn } from './stopped.js'

export interface AgentDeps extends FrameDeps {
  readonly console: ConsoleDeps
}

const DAY_MS = 86_400_000
/** Agents on one page. */
const MOST_AGENTS = 50
const MOST_SESSIONS = 50
const MOST_DENIALS = 20
/** That one page tells of; more than one or two hold only by accident. */
const MOST_STOPS = 5

/** The agents of the policy in force: what each can have, holds, and was refused. */
export const agentPages: FastifyPluginAsyncZod<{ deps: AgentDeps }> = async (app, { deps }) => {
  const callerOf = consoleOnly(app, deps.console)
  const config = { roles: READERS }
  const schema = { hide: true }
  const { database } = deps

  app.get(
    '/console/agents',
    { config, schema: { ...schema, querystring: z.object({ from: agentName.optional() }) } },
    async (request, reply) => {
      const now = new Date()
      const caller = callerOf(request)
      const { from = '' } = request.query
      const names = [...caller.policySet.agents.keys()].sort()
      const page = names.filter((name) => name >= from)
      const [lineOf, frame] = await Promise.all([
        linesOf(database, caller.policySet, now),
        frameOf(deps, caller),
      ])
      const body = agentsPage({
        agents: page.slice(0, MOST_AGENTS).flatMap((name) => lineOf(caller.policySet.agents.get(name)) ?? []),
        total: names.length,
        next: page[MOST_AGENTS],
      })
      return showPage(reply, frame, { title: 'Agents', section: 'agents', body })
    },
  )

  app.get(
    '/console/agents/:name',
    { config, schema: { ...schema, params: z.object({ name: agentName }) } },
    async (request, reply) => {
      const now = new Date()
      const caller = callerOf(request)
      const { policySet } = caller
      const { name } = request.params
      const since = new Date(now.getTime() - DAY_MS).toISOString()
      const agent = policySet.agents.get(name)
      if (agent === undefined)
        throw new WritError(
          'not_found',
          `No agent ${name} is in the policy that is in force. What it got before is in the history.`,
        )
      const [lineOf, inForce, live, denials, pending, frame] = await Promise.all([
        linesOf(database, policySet, now),
        stopsInForce(database),
        liveSessions(database, name, now, MOST_SESSIONS),
        listEvents(database, { agent: name, kind: 'issuance.denied', since }, { limit: MOST_DENIALS }),
        pendingRequests(database, name),
        frameOf(deps, caller),
      ])
      const line = lineOf(agent)
      if (line === undefined) throw new WritError('not_found', 'There is no such agent.')
      const holding = await held(database, stopsOn(inForce, policySet, agent))
      const body = agentPage({
        agent: { ...line, live: { ...line.live, count: Math.max(line.live.count, live.length) } },
        now,
        viewer: frame.viewer,
        stops: holding,
        identity: { issuer: agent.identity.issuer, claims: claimsOf(agent) },
        scopes: scopesOf(policySet, agent, now),
        live,
        denials: denials.items.map(({ body, repeats }) => ({
          at: String(body.at),
          environment: text(body.environment),
          code: String(body.code),
          detail: text(body.detail),
          repeats,
        })),
        pending,
      })
      return showPage(reply, frame, { title: name, section: 'agents', body, modules: ['live', 'stop'] })
    },
  )
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)

const whereOf = (holding: readonly Holding[]): AgentLine['stopped'] =>
  holding.some(({ where }) => where === undefined)
    ? 'everywhere'
    : [...new Set(holding.flatMap(({ where = [] }) => where))]

/** What is told of each; one that was released meanwhile is left out. */
async function held(database: Database, holding: readonly Holding[]): Promise<AgentView['stops']> {
  const found = await Promise.all(
    holding
      .slice(0, MOST_STOPS)
      .map(async ({ stop, where }) => ({ stop: await findStop(database, stop), where })),
  )
  return found.flatMap(({ stop, where }) => (stop?.state === 'engaged' ? [{ stop, where }] : []))
}

/** What a page says of any agent in one line, from four questions to the database. */
async function linesOf(
  database: Database,
  policySet: PolicySet,
  now: Date,
): Promise<(agent: Agent | undefined) => AgentLine | undefined> {
  const [live, denials, pending, inForce] = await Promise.all([
    liveCounts(database, now),
    denialCounts(database, new Date(now.getTime() - DAY_MS)),
    pendingRequests(database),
    stopsInForce(database),
  ])
  const countIn = ({ counts, whole }: typeof live, name: string): Counted => ({
    count: counts.find(({ agent }) => agent === name)?.count ?? 0,
    atLeast: !whole,
  })
  return (agent) =>
    agent && {
      name: agent.name,
      describe: agent.describe,
      owner: agent.owner,
      status: agent.status,
      stopped: whereOf(stopsOn(inForce, policySet, agent)),
      places: placesOf(policySet, agent, now),
      live: countIn(live, agent.name),
      denials: countIn(denials, agent.name),
      pending: pending.filter((request) => request.agent === agent.name).length,
    }
}
