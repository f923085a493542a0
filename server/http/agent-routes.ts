import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import { decide } from '../decision/decide.js'
import { ERRORS, WritError } from '../errors.js'
import { type Issued, issueCredentials, type Refused } from '../issuance/issue.js'
import { planSession } from '../issuance/plan.js'
import { humansBehind } from '../issuance/standing.js'
import type { CredentialRequest, Identity, NeedsGrant } from '../types.js'
import { agentsOnly } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import { limitsLeft } from './pace-view.js'
import { credentialsAnswer, credentialsBody, explainAnswer, explainBody, whoamiAnswer } from './schemas.js'
import { whoami } from './whoami.js'

/** What an agent's token opens: credentials, and asking what it could have. */
export const agentRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
  const callerOf = agentsOnly(app, deps.auth)

  app.post(
    '/v1/credentials',
    {
      schema: {
        summary: 'Credentials for scopes in an environment',
        tags: ['agent'],
        security: [{ agent: [] }],
        body: credentialsBody,
        response: { 200: credentialsAnswer },
      },
    },
    async (request, reply) => {
      const { agent, identity, policySet } = callerOf(request)
      const { body } = request
      const answer = await issueCredentials(deps.issue, policySet, {
        agent: agent.name,
        identity: withSelfClaim(identity, body.on_behalf_of),
        request: wishOf(body),
        caller: { ip: request.ip },
        requestId: request.id,
      })
      const issued = orThrow(answer, wishOf(body))
      request.log.info(
        { issuance: issued.issuanceId, agent: agent.name, outcome: issued.outcome },
        'credentials',
      )
      reply.header('cache-control', 'no-store')
      return credentialsOf(issued, agent.name, deps.notice)
    },
  )

  app.get(
    '/v1/whoami',
    {
      schema: {
        summary: 'Your identity as verified, and what you may ask for',
        tags: ['agent'],
        security: [{ agent: [] }],
        response: { 200: whoamiAnswer },
      },
    },
    async (request) => whoami(callerOf(request), deps),
  )

  app.post(
    '/v1/explain',
    {
      schema: {
        summary: 'A dry run: the decision and the session policy, nothing issued and nothing recorded',
        tags: ['agent'],
        security: [{ agent: [] }],
        body: explainBody,
        response: { 200: explainAnswer },
      },
    },
    async (request) => {
      const { agent, identity, policySet } = callerOf(request)
      const wish = wishOf(request.body)
      const account = policySet.environments.get(wish.environment)?.account ?? ''
      const [grants, standing] = await Promise.all([
        deps.issue.loadGrants(agent.name, wish.environment),
        deps.issue.loadStanding({
          agent: agent.name,
          environment: wish.environment,
          account,
          humans: humansBehind(agent, identity),
        }),
      ])
      const decision = decide(policySet, agent.name, wish, { grants, ...standing }, deps.issue.now())
      const place = agent.environments.get(wish.environment)
      const base = {
        outcome: decision.outcome,
        policy_digest: policySet.digest,
        ...(standing.stop === undefined ? {} : { stop: standing.stop }),
        ...(place === undefined ? {} : { limits: limitsLeft(place.limits, standing.pace) }),
      }
      if (decision.outcome !== 'allow') {
        const { code, detail, retryAfterSeconds } = decision.refusal
        const needed =
          decision.outcome === 'needs-grant' ? { approvals_needed: decision.approvalsNeeded } : {}
        const again = retryAfterSeconds === undefined ? {} : { retry_after_seconds: retryAfterSeconds }
        return { ...base, code, detail, next: ERRORS[code].next, ...needed, ...again }
      }
      const plan = planSession(decision, identity, { ip: request.ip }, '000000000000', deps.issue.settings)
      if ('refusal' in plan) {
        const { code, detail } = plan.refusal
        return { ...base, outcome: 'deny' as const, code, detail, next: ERRORS[code].next }
      }
      return {
        ...base,
        role: decision.roleArn,
        duration_seconds: decision.durationSeconds,
        approvals_needed: decision.approvalsNeeded,
        ...(decision.grant === undefined ? {} : { grant: decision.grant.id }),
        session_policy: JSON.parse(plan.assume.policy),
        session_policy_characters: plan.assume.policy.length,
      }
    },
  )
}

/** The issued session, or the refusal as an error with the grant request that would help. */
export function orThrow(answer: Issued | Refused, wish: CredentialRequest): Issued {
  if (answer.outcome !== 'refused') return answer
  const { refusal, needsGrant } = answer
  const { code, detail, retryAfterSeconds } = refusal
  throw new WritError(code, detail, {
    ...(needsGrant === undefined ? {} : { grant_request: prefilled(needsGrant, wish) }),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  })
}

/** Ready to be sent to POST /v1/grant-requests as it is. */
function prefilled(needsGrant: NeedsGrant, wish: CredentialRequest) {
  return {
    environment: needsGrant.environment.name,
    scopes: wish.scopes,
    reason: wish.reason,
    ...(wish.ticket === undefined ? {} : { ticket: wish.ticket }),
    ttl: Math.max(60, wish.ttlSeconds ?? needsGrant.maxSessionSeconds),
    uses: 1,
    valid_for: 3600,
  }
}

function wishOf(body: Omit<z.output<typeof credentialsBody>, 'on_behalf_of'>): CredentialRequest {
  return {
    environment: body.environment,
    scopes: body.scopes,
    reason: body.reason,
    ...(body.ttl === undefined ? {} : { ttlSeconds: body.ttl }),
    ...(body.ticket === undefined ? {} : { ticket: body.ticket }),
    ...(body.session === undefined ? {} : { session: body.session }),
  }
}

/** What a token says of the human outranks what the agent says. */
export function withSelfClaim(identity: Identity, human: string | undefined): Identity {
  if (human === undefined || identity.onBehalfOf !== undefined) return identity
  return { ...identity, onBehalfOf: { human, how: 'self-claimed' } }
}

function credentialsOf(issued: Issued, agent: string, notice: string | undefined) {
  const { session, allow, plan } = issued
  return {
    issuance: issued.issuanceId,
    entry: issued.entry,
    delivered_again: issued.outcome === 'delivered',
    credentials: {
      access_key_id: session.credentials.accessKeyId,
      secret_access_key: session.credentials.secretAccessKey,
      session_token: session.credentials.sessionToken,
      expires_at: issued.expiresAt.toISOString(),
    },
    agent,
    environment: allow.environment.name,
    tier: allow.environment.tier,
    account: allow.environment.account,
    regions: [...allow.environment.regions],
    role: allow.roleArn,
    scopes: allow.scopes.map((scope) => scope.name),
    may: [...plan.permissions],
    ...(plan.cidrs === undefined ? {} : { bound_to: [...plan.cidrs] }),
    ...(allow.grant === undefined ? {} : { grant: allow.grant.id }),
    ...(notice === undefined ? {} : { notice }),
  }
}
