import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { decide } from '../decision/decide.js'
import { ERRORS, WritError } from '../errors.js'
import { type Issued, issueCredentials, type Refused } from '../issuance/issue.js'
import { planSession } from '../issuance/plan.js'
import type { CredentialRequest, Identity, NeedsGrant } from '../types.js'
import { authenticateAgent } from './authenticate.js'
import type { HttpDeps } from './deps.js'
import {
  containerAnswer,
  credentialsAnswer,
  credentialsBody,
  environmentName,
  explainAnswer,
  explainBody,
  scopeList,
  whoamiAnswer,
} from './schemas.js'
import { whoami } from './whoami.js'

/** What an agent's token opens: credentials, and asking what it could have. */
export const agentRoutes: FastifyPluginAsyncZod<{ deps: HttpDeps }> = async (app, { deps }) => {
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
      const { agent, identity, policySet } = await authenticateAgent(deps.auth, request)
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

  // The shape and the ways of the AWS container provider: everything in the path, token verbatim.
  app.get(
    '/v1/aws/credentials/:environment/:scopes',
    {
      schema: {
        summary:
          'The same for unmodified AWS SDKs (AWS_CONTAINER_CREDENTIALS_FULL_URI); scopes joined by commas',
        tags: ['agent'],
        security: [{ agent: [] }],
        params: z.object({
          environment: environmentName,
          scopes: z
            .string()
            .max(1000)
            .transform((list) => list.split(','))
            .pipe(scopeList),
        }),
        response: { 200: containerAnswer },
      },
    },
    async (request, reply) => {
      const { agent, identity, policySet } = await authenticateAgent(deps.auth, request, 'bearer-or-bare')
      const wish = { ...request.params, reason: 'AWS SDK' }
      const answer = await issueCredentials(deps.issue, policySet, {
        agent: agent.name,
        identity,
        request: wish,
        caller: { ip: request.ip },
        requestId: request.id,
      })
      const issued = orThrow(answer, wish)
      request.log.info(
        { issuance: issued.issuanceId, agent: agent.name, outcome: issued.outcome },
        'credentials',
      )
      const { accessKeyId, secretAccessKey, sessionToken } = issued.session.credentials
      reply.header('cache-control', 'no-store')
      return {
        AccessKeyId: accessKeyId,
        SecretAccessKey: secretAccessKey,
        Token: sessionToken,
        Expiration: issued.expiresAt.toISOString(),
        AccountId: issued.allow.environment.account,
      }
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
    async (request) => whoami(await authenticateAgent(deps.auth, request)),
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
      const { agent, identity, policySet } = await authenticateAgent(deps.auth, request)
      const wish = wishOf(request.body)
      const grants = await deps.issue.loadGrants(agent.name, wish.environment)
      const decision = decide(policySet, agent.name, wish, { grants }, deps.issue.now())
      const base = { outcome: decision.outcome, policy_digest: policySet.digest }
      if (decision.outcome !== 'allow') {
        const { code, detail } = decision.refusal
        const needed =
          decision.outcome === 'needs-grant' ? { approvals_needed: decision.approvalsNeeded } : {}
        return { ...base, code, detail, next: ERRORS[code].next, ...needed }
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

function orThrow(answer: Issued | Refused, wish: CredentialRequest): Issued {
  if (answer.outcome !== 'refused') return answer
  const { refusal, needsGrant } = answer
  const extra = needsGrant === undefined ? {} : { grant_request: prefilled(needsGrant, wish) }
  throw new WritError(refusal.code, refusal.detail, extra)
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
