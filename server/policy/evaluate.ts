import type { PolicyDocument, PolicyStatement } from '../types.js'
import {
  checkConditions,
  conditionsHold,
  globMatches,
  list,
  lookup,
  type RequestContext,
  UnsupportedPolicyError,
} from './evaluate-conditions.js'

export { globMatches, type RequestContext, UnsupportedPolicyError }

export interface Evaluation {
  readonly allowed: boolean
  /** `session-policy`: the role would allow it, the session policy does not. */
  readonly why: 'allowed' | 'explicit-deny' | 'implicit-deny' | 'session-policy'
  /** The statement that decided; absent for what nothing allows. */
  readonly statement?: PolicyStatement
}

interface Question {
  /** The role's inline policies. */
  readonly identityPolicies: readonly PolicyDocument[]
  /** Narrows, never widens. */
  readonly sessionPolicy?: PolicyDocument | undefined
  /** `service:Action`. */
  readonly action: string
  /** A full ARN, or `*` for actions that know no resource. */
  readonly resource: string
  readonly context: RequestContext
}

/**
 * May a session do this? Role policies ∩ session policy; an explicit Deny in either wins.
 * Throws UnsupportedPolicyError. IAM User Guide, "Policy evaluation logic".
 */
export function evaluate(question: Question): Evaluation {
  const { identityPolicies, sessionPolicy, action, resource } = question
  const all = sessionPolicy === undefined ? identityPolicies : [...identityPolicies, sessionPolicy]
  for (const document of all) assertSupported(document, 'permissions')
  const context = lookup(question.context)
  const applies = (statement: PolicyStatement): boolean =>
    matchesAction(statement, action) &&
    list(statement.Resource).some((pattern) => globMatches(pattern, resource)) &&
    conditionsHold(statement, context)
  const role = weigh(identityPolicies, applies)
  if (sessionPolicy === undefined || role.why === 'explicit-deny') return role
  const session = weigh([sessionPolicy], applies)
  if (session.why === 'explicit-deny') return session
  return session.allowed || !role.allowed ? role : { allowed: false, why: 'session-policy' }
}

export interface TrustEvaluation extends Evaluation {
  /** A statement names the principal itself, not only its account: inside one account that is permission enough. */
  readonly named: boolean
}

/**
 * Does a role's trust policy let this principal in? `principalArn` is a user's or a role's ARN (for a
 * session, its role's). Throws UnsupportedPolicyError. IAM User Guide, "AWS JSON policy elements: Principal".
 */
export function evaluateTrust(question: {
  readonly trustPolicy: PolicyDocument
  readonly principalArn: string
  readonly action: string
  readonly context: RequestContext
}): TrustEvaluation {
  const { trustPolicy, principalArn, action } = question
  assertSupported(trustPolicy, 'trust')
  const context = lookup(question.context)
  const account = principalArn.split(':')[4] ?? ''
  const names = (statement: PolicyStatement): boolean =>
    principals(statement).some((principal) => principal === '*' || principal === principalArn)
  const entrusts = (statement: PolicyStatement): boolean =>
    names(statement) ||
    principals(statement).some((one) => one === account || one === `arn:aws:iam::${account}:root`)
  const applies = (statement: PolicyStatement): boolean =>
    matchesAction(statement, action) && entrusts(statement) && conditionsHold(statement, context)
  const verdict = weigh([trustPolicy], applies)
  const named = trustPolicy.Statement.some((one) => one.Effect === 'Allow' && names(one) && applies(one))
  return { ...verdict, named: verdict.allowed && named }
}

function weigh(documents: readonly PolicyDocument[], applies: (one: PolicyStatement) => boolean): Evaluation {
  const statements = documents.flatMap((document) => document.Statement).filter(applies)
  const deny = statements.find((statement) => statement.Effect === 'Deny')
  if (deny !== undefined) return { allowed: false, why: 'explicit-deny', statement: deny }
  const allow = statements.find((statement) => statement.Effect === 'Allow')
  if (allow !== undefined) return { allowed: true, why: 'allowed', statement: allow }
  return { allowed: false, why: 'implicit-deny' }
}

const matchesAction = (statement: PolicyStatement, action: string): boolean =>
  list(statement.Action).some((pattern) => globMatches(pattern.toLowerCase(), action.toLowerCase()))

const principals = ({ Principal }: PolicyStatement): readonly string[] =>
  typeof Principal === 'string' ? [Principal] : list(Principal?.AWS)

// --- what is supported ------------------------------------------------------------------------------

const KNOWN = new Set(['Sid', 'Effect', 'Principal', 'Action', 'Resource', 'Condition'])

/**
 * Checks a whole document before anything in it counts, so that a flaw in a Deny is never skipped because
 * another part of it did not match. Throws UnsupportedPolicyError, which names the flaw.
 */
export function assertSupported(document: PolicyDocument, kind: 'permissions' | 'trust'): void {
  const refuse = (what: string): never => {
    throw new UnsupportedPolicyError(what)
  }
  const version = document.Version
  if (version !== undefined && version !== '2012-10-17' && version !== '2008-10-17')
    refuse(`policy version ${version} is unknown`)
  for (const statement of document.Statement) {
    for (const key of Object.keys(statement)) if (!KNOWN.has(key)) refuse(`${key} is not supported`)
    const { Effect, Action, Resource, Principal, Condition } = statement
    if (Effect !== 'Allow' && Effect !== 'Deny') refuse('Effect must be Allow or Deny')
    if (list(Action).length === 0) refuse('a statement needs an Action')
    for (const one of list(Action))
      if (!/^(\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+)$/.test(one)) refuse(`${one} is not an action`)
    if (kind === 'trust') {
      if (Resource !== undefined) refuse('a trust policy has no Resource')
      if (Principal === undefined) refuse('a trust policy needs a Principal')
      for (const one of principals(statement))
        if (one !== '*' && /[*?]/.test(one)) refuse(`${one} is not a principal`)
    } else {
      if (Principal !== undefined) refuse('a permissions policy has no Principal')
      if (list(Resource).length === 0) refuse('a statement needs a Resource')
      for (const one of list(Resource))
        if (one !== '*' && !/^arn(:[^:]*){4}:./.test(one)) refuse(`${one} is not an ARN`)
    }
    const texts = [...list(Resource), ...principals(statement)]
    texts.push(...checkConditions(Condition ?? {}))
    for (const text of texts) if (text.includes('${')) refuse(`policy variable in ${text} is not supported`)
  }
}
