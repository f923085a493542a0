import { type Answer, AwsFault, queryAnswer } from './answer.js'
import { authorize, callerContext } from './authorize.js'
import { checkInlineSize, checkTrustSize, type PolicyText, parsePolicy } from './policy-text.js'
import { type Call, constraint, invalid } from './request.js'
import { encode } from './signature.js'
import type { State, StoredRole } from './state.js'
import { el, type Xml } from './xml.js'

interface IamCall {
  readonly state: State
  readonly call: Call
  readonly parameters: ReadonlyMap<string, string>
}

/** What an action answers with; undefined for the ones that only acknowledge. */
type Action = (iam: IamCall) => readonly Xml[] | undefined

const ACTIONS: ReadonlyMap<string, Action> = new Map<string, Action>([
  ['GetRole', getRole],
  ['ListRoles', listRoles],
  ['GetRolePolicy', getRolePolicy],
  ['PutRolePolicy', putRolePolicy],
  ['DeleteRolePolicy', deleteRolePolicy],
  ['ListRolePolicies', listRolePolicies],
  ['ListAttachedRolePolicies', listAttachedRolePolicies],
  ['UpdateAssumeRolePolicy', updateAssumeRolePolicy],
])

export function answerIam(state: State, call: Call, parameters: ReadonlyMap<string, string>): Answer {
  const name = parameters.get('Action') ?? ''
  const action = ACTIONS.get(name)
  if (action === undefined)
    throw new AwsFault('InvalidAction', 400, `Local AWS has no action ${name} for iam`)
  return queryAnswer('iam', name, call.requestId, action({ state, call, parameters }))
}

/** What IAM takes in a document: names in other scripts are escaped. IAM API, "PutRolePolicy". */
const DOCUMENT = /^[\t\n\r -\u00ff]+$/

export const ACCOUNT_PATH = /^\/accounts\/(\d{12})\/?$/

/**
 * The account a call means. Real IAM takes it from the credentials; the broker's stand for every account
 * here, so the endpoint `…/accounts/<account>` can say which.
 */
function accountOf({ call }: IamCall): string | undefined {
  if (call.caller.kind === 'session') return call.caller.account
  return ACCOUNT_PATH.exec(call.raw.path)?.[1]
}

function required({ parameters }: IamCall, name: string, longest: number, pattern?: RegExp): string {
  const value = parameters.get(name)
  const field = name.charAt(0).toLowerCase() + name.slice(1)
  if (value === undefined || value === '') throw constraint(field, 'not be null')
  if (value.length > longest) throw constraint(field, `have length less than or equal to ${longest}`)
  if (pattern !== undefined && !pattern.test(value))
    throw constraint(field, `satisfy regular expression pattern: ${pattern.source}`)
  return value
}

const noSuchEntity = (what: string): AwsFault => new AwsFault('NoSuchEntity', 404, `${what} cannot be found.`)

/** The role that RoleName means, if the caller may do this to it. */
function authorizedRole(iam: IamCall): StoredRole {
  const { state, call, parameters } = iam
  const name = required(iam, 'RoleName', 64, /^[\w+=,.@-]+$/)
  const account = accountOf(iam)
  const found = [...state.roles.values()].filter(
    (role) => role.name === name && (account ?? role.account) === role.account,
  )
  const own = found.find((role) => role.account === call.caller.account)
  const role = account === undefined && own !== undefined ? own : found[0]
  const action = `iam:${parameters.get('Action')}`
  const context = callerContext(state, call.caller, { region: call.claim.region, sourceIp: call.sourceIp })
  const resource = role?.arn ?? `arn:aws:iam::${account ?? call.caller.account}:role/${name}`
  authorize(call.caller, { action, resource, context })
  if (role === undefined) throw noSuchEntity(`The role with name ${name}`)
  if (own === undefined && found.length > 1)
    throw invalid(`Several accounts have a role named ${name}: use the endpoint …/accounts/<account>`)
  return role
}

function policyOf(iam: IamCall, role: StoredRole): { readonly name: string; readonly policy: PolicyText } {
  const name = required(iam, 'PolicyName', 128, /^[\w+=,.@-]+$/)
  const policy = role.policies.get(name)
  if (policy === undefined) throw noSuchEntity(`The role policy with name ${name}`)
  return { name, policy }
}

const describeRole = (role: StoredRole, tag: 'Role' | 'member'): Xml =>
  el(
    tag,
    el('Path', role.path),
    el('RoleName', role.name),
    el('RoleId', role.id),
    el('Arn', role.arn),
    el('CreateDate', role.createdAt.toISOString()),
    // RFC 3986 encoded, as IAM returns every document.
    el('AssumeRolePolicyDocument', encode(role.trustPolicy.text)),
    el('MaxSessionDuration', role.maxSessionSeconds),
  )

function getRole(iam: IamCall): readonly Xml[] {
  return [describeRole(authorizedRole(iam), 'Role')]
}

function listRoles(iam: IamCall): readonly Xml[] {
  const { state, call, parameters } = iam
  const account = accountOf(iam)
  const context = callerContext(state, call.caller, { region: call.claim.region, sourceIp: call.sourceIp })
  authorize(call.caller, {
    action: 'iam:ListRoles',
    resource: `arn:aws:iam::${account ?? call.caller.account}:role/`,
    context,
  })
  const prefix = parameters.get('PathPrefix') ?? '/'
  const roles = [...state.roles.values()]
    .filter((role) => (account ?? role.account) === role.account && role.path.startsWith(prefix))
    .sort((a, b) => (a.arn < b.arn ? -1 : 1))
  const { shown, rest } = page(iam, roles)
  return [el('Roles', ...shown.map((role) => describeRole(role, 'member'))), ...rest]
}

function page<T>(
  { parameters }: IamCall,
  all: readonly T[],
): { readonly shown: readonly T[]; readonly rest: readonly Xml[] } {
  const size = Number(parameters.get('MaxItems') ?? '100')
  const from = Number(parameters.get('Marker') ?? '0')
  if (!(Number.isInteger(size) && size >= 1 && size <= 1000)) throw constraint('maxItems', 'be 1 to 1000')
  if (!(Number.isInteger(from) && from >= 0)) throw invalid('Invalid Marker.')
  const more = from + size < all.length
  const rest = [el('IsTruncated', String(more)), ...(more ? [el('Marker', from + size)] : [])]
  return { shown: all.slice(from, from + size), rest }
}

function getRolePolicy(iam: IamCall): readonly Xml[] {
  const role = authorizedRole(iam)
  const { name, policy } = policyOf(iam, role)
  return [el('RoleName', role.name), el('PolicyName', name), el('PolicyDocument', encode(policy.text))]
}

function listRolePolicies(iam: IamCall): readonly Xml[] {
  const { shown, rest } = page(iam, [...authorizedRole(iam).policies.keys()].sort())
  return [el('PolicyNames', ...shown.map((name) => el('member', name))), ...rest]
}

/** Local AWS has no managed policies, so none is ever attached. */
function listAttachedRolePolicies(iam: IamCall): readonly Xml[] {
  authorizedRole(iam)
  const { rest } = page(iam, [])
  return [el('AttachedPolicies'), ...rest]
}

function putRolePolicy(iam: IamCall): undefined {
  const role = authorizedRole(iam)
  const name = required(iam, 'PolicyName', 128, /^[\w+=,.@-]+$/)
  const policy = parsePolicy(required(iam, 'PolicyDocument', 131_072, DOCUMENT), 'permissions')
  const others = [...role.policies].filter(([key]) => key !== name).map(([, other]) => other)
  checkInlineSize(role.name, [policy, ...others])
  role.policies.set(name, policy)
}

function deleteRolePolicy(iam: IamCall): undefined {
  const role = authorizedRole(iam)
  role.policies.delete(policyOf(iam, role).name)
}

function updateAssumeRolePolicy(iam: IamCall): undefined {
  const role = authorizedRole(iam)
  const policy = parsePolicy(required(iam, 'PolicyDocument', 131_072, DOCUMENT), 'trust')
  checkTrustSize(policy)
  role.trustPolicy = policy
}
