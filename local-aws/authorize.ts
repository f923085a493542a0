import { evaluate, type RequestContext, UnsupportedPolicyError } from '../server/policy/evaluate.js'
import { AwsFault } from './answer.js'
import { parsePolicy } from './policy-text.js'
import type { Caller, State } from './state.js'

/** What a condition may ask about a request besides who makes it. */
export interface Circumstances {
  readonly region: string
  readonly sourceIp: string
  readonly resourceAccount?: string | undefined
}

/** ISO 8601 in whole seconds, as AWS puts times into a request's context. */
const seconds = (at: Date): string => `${at.toISOString().slice(0, 19)}Z`

/** IAM User Guide, "AWS global condition context keys". */
export function callerContext(state: State, caller: Caller, circumstances: Circumstances): RequestContext {
  const context: Record<string, readonly string[]> = {
    'aws:CurrentTime': [seconds(state.now())],
    'aws:EpochTime': [String(Math.floor(state.now().getTime() / 1000))],
    'aws:SourceIp': [circumstances.sourceIp],
    'aws:RequestedRegion': [circumstances.region],
    'aws:ViaAWSService': ['false'],
    // Loopback stands in for TLS: policies that demand it must behave here as they do on AWS.
    'aws:SecureTransport': ['true'],
    'aws:userid': [caller.userId],
    'aws:PrincipalAccount': [caller.account],
  }
  if (circumstances.resourceAccount !== undefined)
    context['aws:ResourceAccount'] = [circumstances.resourceAccount]
  if (caller.kind === 'broker') return { ...context, 'aws:PrincipalArn': [caller.arn] }
  const { session, role } = caller
  context['aws:PrincipalArn'] = [role.arn]
  context['aws:TokenIssueTime'] = [seconds(session.issuedAt)]
  if (session.sourceIdentity !== undefined) context['aws:SourceIdentity'] = [session.sourceIdentity]
  for (const [key, value] of Object.entries(session.tags)) context[`aws:PrincipalTag/${key}`] = [value]
  return context
}

interface Attempt {
  readonly action: string
  readonly resource: string
  readonly context: RequestContext
  /** The role's trust policy already names the caller: only a deny or the session policy can still refuse. */
  readonly permittedElsewhere?: boolean
}

const ANYTHING = { Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] } as const

/** Undefined when the caller may; else the sentence AWS would say. */
export function refusalOf(caller: Caller, attempt: Attempt): string | undefined {
  if (caller.kind === 'broker') return undefined
  const { action, resource, context } = attempt
  const policies = [...caller.role.policies.values()].map((policy) => policy.document)
  const identityPolicies = attempt.permittedElsewhere ? [...policies, ANYTHING] : policies
  const { policy } = caller.session
  const sessionPolicy = policy === undefined ? undefined : parsePolicy(policy, 'permissions').document
  const because = reason({ identityPolicies, sessionPolicy, action, resource, context })
  if (because === undefined) return undefined
  return `User: ${caller.arn} is not authorized to perform: ${action} on resource: "${resource}" ${because}`
}

function reason(question: Parameters<typeof evaluate>[0]): string | undefined {
  try {
    const { why } = evaluate(question)
    if (why === 'allowed') return undefined
    if (why === 'explicit-deny') return 'with an explicit deny'
    const kind = why === 'session-policy' ? 'session' : 'identity-based'
    return `because no ${kind} policy allows the ${question.action} action`
  } catch (error) {
    // What cannot be evaluated is refused, and says what it stumbled on.
    if (error instanceof UnsupportedPolicyError)
      return `because a policy cannot be evaluated: ${error.message}`
    throw error
  }
}

/** Throws AccessDenied unless the caller may. */
export function authorize(caller: Caller, attempt: Attempt): void {
  const refusal = refusalOf(caller, attempt)
  if (refusal !== undefined) throw new AwsFault('AccessDenied', 403, refusal)
}
