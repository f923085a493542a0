import { decide } from '../server/decision/decide.js'
import { ERRORS } from '../server/errors.js'
import { renderPermissions } from '../server/policy/render.js'
import type { PolicySet } from '../server/types.js'
import type { Explanation } from './api.js'
import { usageError } from './exit.js'

export interface OfflineQuestion {
  readonly agent: string
  readonly environment: string
  readonly scopes: readonly string[]
  readonly ttlSeconds?: number
  /** Of the token that the agent would show. */
  readonly claims: Readonly<Record<string, string>>
}

/** The decision as the broker would make it for an agent without any grant. */
export function explainOffline(policySet: PolicySet, question: OfflineQuestion): Explanation {
  const agent = policySet.agents.get(question.agent)
  if (agent === undefined) {
    throw usageError(
      `The policy set has no agent ${question.agent}.`,
      `There is: ${[...policySet.agents.keys()].join(', ')}.`,
    )
  }
  const request = {
    environment: question.environment,
    scopes: [...new Set(question.scopes)].sort(),
    reason: 'explain',
    ...(question.ttlSeconds === undefined ? {} : { ttlSeconds: question.ttlSeconds }),
  }
  const decision = decide(policySet, agent.name, request, { grants: [] }, new Date())
  const base = { outcome: decision.outcome, policy_digest: policySet.digest }
  if (decision.outcome === 'deny') {
    const { code, detail } = decision.refusal
    return { ...base, code, detail, next: ERRORS[code].next }
  }
  const { environment, scopes } = decision
  const rendered = renderPermissions(scopes, {
    environment: environment.name,
    account: environment.account,
    regions: environment.regions,
    agent: agent.name,
    claims: question.claims,
  })
  if (!rendered.ok) {
    const { code, detail } = rendered
    return {
      ...base,
      outcome: 'deny',
      code,
      detail: `${detail} Give it with --claim.`,
      next: ERRORS[code].next,
    }
  }
  const session = {
    role: decision.roleArn,
    approvals_needed: decision.approvalsNeeded,
    session_policy: { Statement: rendered.statements },
  }
  if (decision.outcome === 'allow') return { ...base, ...session, duration_seconds: decision.durationSeconds }
  const { code, detail } = decision.refusal
  return {
    ...base,
    ...session,
    code,
    detail,
    next: ERRORS[code].next,
    duration_seconds: decision.maxSessionSeconds,
  }
}
