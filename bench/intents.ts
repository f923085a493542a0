import type { IntentItem } from '../server/audit/items.js'
import { decide } from '../server/decision/decide.js'
import { intentOf } from '../server/issuance/entries.js'
import { newId } from '../server/issuance/id.js'
import { planSession, type SessionPlan } from '../server/issuance/plan.js'
import type { PolicySet } from '../server/types.js'
import { agentName, identityOf, scopesOf } from './policies.js'

/** What an agent asks for: a session that writes, without a human. */
export const wish = (agent: number) => ({
  environment: 'development',
  scopes: [...scopesOf(agent)],
  reason: 'a benchmark asks for credentials',
})

/** What the broker would record and send to AWS for agent 0: the same plan, the same sizes. */
export function sampleIntent(policySet: PolicySet): {
  readonly intent: IntentItem
  readonly plan: SessionPlan
} {
  const issuanceId = newId()
  const identity = identityOf(0)
  const request = wish(0)
  const allow = decide(policySet, agentName(0), request, { grants: [] }, new Date())
  if (allow.outcome !== 'allow') throw new Error(`the sample is not allowed: ${allow.refusal.code}`)
  const caller = { ip: '127.0.0.1' }
  const plan = planSession(allow, identity, caller, issuanceId, { longestStsSeconds: 43_200, localAws: true })
  if ('refusal' in plan) throw new Error(`the sample has no plan: ${plan.refusal.code}`)
  const asking = { agent: agentName(0), identity, request, caller, requestId: 'AAAAAAAAAAAA' }
  const intent = intentOf(asking, policySet, allow, plan, issuanceId, [])
  // One agent that records without end: compared with limits as ever, and they are out of its reach.
  const names = Object.keys(intent.limits ?? {})
  return {
    intent: { ...intent, limits: Object.fromEntries(names.map((name) => [name, 2_000_000_000])) },
    plan,
  }
}

/** The same intent under an id of its own. */
export const another = (intent: IntentItem): IntentItem => ({ ...intent, issuance_id: newId() })
