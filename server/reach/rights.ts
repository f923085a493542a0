import { sessionPolicy } from '../issuance/session-policy.js'
import { evaluate, UnsupportedPolicyError } from '../policy/evaluate.js'
import { list } from '../policy/evaluate-conditions.js'
import { expandAction, type IamAction, type IamData } from '../policy/iam-data.js'
import { renderPermissions, renderStatements } from '../policy/render.js'
import type {
  AccessLevel,
  AgentEnvironment,
  Environment,
  PolicyDocument,
  PolicyStatement,
  RoleDocument,
  Scope,
} from '../types.js'
import { sessionContext } from './session-context.js'
import { alike, contextsOf, resourcesOf } from './witness.js'

/** What one scope lets a session do: one action on one pattern of resources, under conditions. */
export interface Right {
  readonly action: string
  readonly levels: readonly AccessLevel[]
  readonly resource: string
  readonly conditions: NonNullable<PolicyStatement['Condition']>
}

export interface RightsQuestion {
  readonly agent: string
  readonly environment: Environment
  readonly place: AgentEnvironment
  readonly scope: Scope
  /** The role that a session with this scope runs on. */
  readonly role: RoleDocument
  readonly data: IamData
  /** Of the token; absent where it is not known: then `{claim.NAME}` stands in the resources. */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly now: Date
}

export type Rights =
  | { readonly ok: true; readonly rights: readonly Right[] }
  | { readonly ok: false; readonly code: 'claim_unusable'; readonly detail: string }

/**
 * What a session with this scope can do: role ∩ session policy, by the evaluator that local AWS asks. Each statement
 * is asked about in circumstances that fulfil its conditions; what the fences around a session end is not in it.
 */
export function rightsOf(question: RightsQuestion): Rights {
  const { environment, place, role, data, now } = question
  const rendered = render(question)
  if (!rendered.ok) return rendered
  const cidrs = place.network?.kind === 'cidrs' ? place.network.cidrs : undefined
  const session = sessionPolicy(rendered.statements, {
    notAfter: new Date(now.getTime() + 60_000),
    regions: environment.regions,
    ...(cidrs === undefined ? {} : { cidrs }),
  })
  const documents = { identityPolicies: [role.permissions], sessionPolicy: session }
  const both = [...role.permissions.Statement, ...session.Statement]
  const rights: Right[] = []
  for (const statement of rendered.statements) {
    const actions = reachedBy(statement, data)
    const groups = alike([...actions.keys()], both)
    for (const resource of list(statement.Resource))
      for (const group of groups)
        if (mayDo(question, documents, statement, group[0] ?? '', resource, cidrs?.[0]?.split('/')[0]))
          for (const id of group) {
            const action = actions.get(id)
            // An action that knows no resource never matches an ARN.
            if (action === undefined || (action.takesNoResource && resource !== '*')) continue
            rights.push({
              action: id,
              levels: action.levels,
              resource,
              conditions: statement.Condition ?? {},
            })
          }
  }
  return { ok: true, rights }
}

function render({ scope, agent, environment, claims }: RightsQuestion) {
  const where = {
    environment: environment.name,
    account: environment.account,
    regions: environment.regions,
    agent,
  }
  if (claims !== undefined) return renderPermissions([scope], { ...where, claims })
  const open = renderStatements([scope], { ...where, claim: (name) => `{claim.${name}}` })
  // Never: the line above fills every claim in.
  if (!open.ok) throw new Error(`the claim ${open.claim} was not filled in`)
  return open
}

function reachedBy({ Action }: PolicyStatement, data: IamData): ReadonlyMap<string, IamAction> {
  const actions = new Map<string, IamAction>()
  for (const pattern of list(Action)) {
    const expansion = expandAction(pattern, data)
    if (expansion.ok) for (const one of expansion.actions) actions.set(one.id, one)
  }
  return actions
}

/** What is so at this moment, or of every session, is not chosen to fit a condition. */
const FIXED =
  /^aws:(currenttime|epochtime|requestedregion|principalarn|principalaccount|principaltag\/writ:(agent|environment))$/

function mayDo(
  { agent, environment, role, now }: RightsQuestion,
  documents: { readonly identityPolicies: readonly PolicyDocument[]; readonly sessionPolicy: PolicyDocument },
  statement: PolicyStatement,
  action: string,
  resource: string,
  address: string | undefined,
): boolean {
  const fixed = (key: string): boolean => FIXED.test(key) || (key === 'aws:sourceip' && address !== undefined)
  const named = /^arn:[^:]*:[^:]*:([a-z0-9-]+):/.exec(resource)?.[1]
  return (named === undefined ? environment.regions : [named]).some((region) => {
    const subject = { roleArn: role.arn, agent, environment: environment.name, region, now, address }
    return contextsOf(statement, sessionContext(subject), fixed).some((context) =>
      resourcesOf(resource).some((name) => allowed({ ...documents, action, resource: name, context })),
    )
  })
}

function allowed(question: Parameters<typeof evaluate>[0]): boolean {
  try {
    return evaluate(question).allowed
  } catch (error) {
    // Circumstances of ours that do not fit some operator.
    if (error instanceof UnsupportedPolicyError) return false
    throw error
  }
}
