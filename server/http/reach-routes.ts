import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { WritError } from '../errors.js'
import { humansBehind } from '../issuance/standing.js'
import { loadAgentData } from '../reach/data.js'
import { diagnose } from '../reach/doctor.js'
import { type Reach, reachOf } from '../reach/reach.js'
import type { Agent, Facts, Identity, PolicySet } from '../types.js'
import { agentsOnly, operatorsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { doctorAnswer, doctorView, reachAnswer, reachQuery, reachView } from './reach-schemas.js'
import { agentName, environmentName } from './schemas.js'

/** What agents can reach, and whether the roles in IAM are what policy says. */
export const reachRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  await app.register(ownReach, { deps })
  await app.register(operatorReach, { deps })
}

const ownReach: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = agentsOnly(app, deps.auth)
  app.get(
    '/v1/reach',
    {
      schema: {
        summary: 'What you can do: now, with a grant, never',
        tags: ['agent'],
        security: [{ agent: [] }],
        querystring: reachQuery,
        response: { 200: reachAnswer },
      },
    },
    async (request) => {
      const { agent, policySet, identity } = callerOf(request)
      const now = deps.issue.now()
      return reachView(await reached(deps, policySet, agent, request.query.environment, now, identity), now)
    },
  )
}

const operatorReach: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = operatorsOnly(app, deps.auth)
  const security = [{ operator: [] }]

  app.get(
    '/v1/agents/:id/reach',
    {
      config: { roles: ['security', 'operator', 'approver'] },
      schema: {
        summary: 'What an agent can do: now, with a grant, never',
        tags: ['security'],
        security,
        params: z.strictObject({ id: agentName.describe('Name of the agent') }),
        querystring: reachQuery,
        response: { 200: reachAnswer },
      },
    },
    async (request) => {
      const { policySet } = callerOf(request)
      const agent = policySet.agents.get(request.params.id)
      if (agent === undefined)
        throw new WritError('not_found', 'No such agent is in the policy that is in force.')
      const now = deps.issue.now()
      return reachView(await reached(deps, policySet, agent, request.query.environment, now), now)
    },
  )

  app.get(
    '/v1/doctor',
    {
      config: { roles: ['security', 'operator'] },
      schema: {
        summary: 'Whether the roles in IAM are what policy says; asks IAM, so it takes seconds',
        tags: ['security'],
        security,
        querystring: z.strictObject({
          environment: environmentName.optional(),
          agent: agentName.optional(),
          after: z.string().max(2048).optional().describe('`next` of the page before'),
          limit: z.coerce.number().int().min(1).max(500).default(100).describe('Roles to compare'),
        }),
        response: { 200: doctorAnswer },
      },
    },
    async (request) => {
      const { policySet } = callerOf(request)
      const { environment, agent } = request.query
      if (agent !== undefined && !policySet.agents.has(agent))
        throw new WritError('not_found', 'No such agent is in the policy that is in force.')
      if (environment !== undefined) mustExist(policySet, environment)
      const about = { at: deps.issue.now(), policyDigest: policySet.digest, broker: deps.doctor.brokerArn }
      const diagnosis = await diagnose({ ...deps.doctor, now: deps.issue.now }, policySet, request.query)
      return doctorView(diagnosis, about)
    },
  )
}

function mustExist(policySet: PolicySet, environment: string): void {
  if (!policySet.environments.has(environment))
    throw new WritError('not_found', 'No such environment is in the policy that is in force.')
}

/** One environment after the other: whoever asks about an agent with fifty must not take every connection. */
async function reached(
  { issue }: HttpDeps,
  policySet: PolicySet,
  agent: Agent,
  only: string | undefined,
  now: Date,
  identity?: Identity,
): Promise<Reach> {
  if (only !== undefined && !agent.environments.has(only))
    throw new WritError('not_found', 'The agent has no such environment.')
  const facts = new Map<string, Facts>()
  for (const name of only === undefined ? agent.environments.keys() : [only]) {
    const account = policySet.environments.get(name)?.account
    const [grants, standing] = await Promise.all([
      issue.loadGrants(agent.name, name),
      issue.loadStanding({
        agent: agent.name,
        environment: name,
        humans: humansBehind(agent, identity ?? {}),
        ...(account === undefined ? {} : { account }),
      }),
    ])
    facts.set(name, { grants, ...standing })
  }
  const data = await loadAgentData(policySet, agent)
  return reachOf({
    policySet,
    agent,
    data,
    facts,
    now,
    ...(identity === undefined ? {} : { claims: identity.claims }),
  })
}
