import { randomBytes } from 'node:crypto'
import { evaluateTrust, type RequestContext } from '../server/policy/evaluate.js'
import { type Answer, AwsFault, queryAnswer } from './answer.js'
import { callerContext, refusalOf } from './authorize.js'
import { parsePolicy } from './policy-text.js'
import { type Call, invalid } from './request.js'
import { awsId, type Caller, keepSession, type Session, type State, type StoredRole } from './state.js'
import { type AssumeRoleParameters, packedPolicySize, readAssumeRole } from './sts-limits.js'
import { el } from './xml.js'

export function answerSts(state: State, call: Call, parameters: ReadonlyMap<string, string>): Answer {
  const action = parameters.get('Action') ?? ''
  if (action === 'AssumeRole') return assumeRole(state, call, readAssumeRole(parameters))
  if (action === 'GetCallerIdentity') return callerIdentity(call)
  throw new AwsFault('InvalidAction', 400, `Local AWS has no action ${action} for sts`)
}

/** Succeeds with any valid credentials, whatever policies say: it proves nothing about what they may do. */
function callerIdentity({ caller, requestId }: Call): Answer {
  const about = [el('Arn', caller.arn), el('UserId', caller.userId), el('Account', caller.account)]
  return queryAnswer('sts', 'GetCallerIdentity', requestId, about)
}

const CHAINED_SECONDS = 3600

function assumeRole(state: State, call: Call, asked: AssumeRoleParameters): Answer {
  if (asked.policy !== undefined) parsePolicy(asked.policy, 'permissions')
  const { caller } = call
  const inherited = caller.kind === 'session' ? caller.session.sourceIdentity : undefined
  const sourceIdentity = asked.sourceIdentity ?? inherited
  const role = mayAssume(state, call, { ...asked, sourceIdentity }, inherited)
  const chained = caller.kind === 'session' || caller.arn.includes(':role/')
  if (chained && asked.durationSeconds > CHAINED_SECONDS)
    throw invalid(
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining',
    )
  if (asked.durationSeconds > role.maxSessionSeconds)
    throw invalid('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.')
  const packed = packedPolicySize(asked.policy, asked.tags)
  const session = mint(state, role, asked, sourceIdentity)
  return queryAnswer('sts', 'AssumeRole', call.requestId, [
    el(
      'Credentials',
      el('AccessKeyId', session.accessKeyId),
      el('SecretAccessKey', session.secretAccessKey),
      el('SessionToken', session.sessionToken),
      el('Expiration', session.expiresAt.toISOString().replace(/\.\d+Z$/, 'Z')),
    ),
    el(
      'AssumedRoleUser',
      el('AssumedRoleId', `${role.id}:${session.name}`),
      el('Arn', `arn:aws:sts::${role.account}:assumed-role/${role.name}/${session.name}`),
    ),
    el('PackedPolicySize', packed),
    ...(sourceIdentity === undefined ? [] : [el('SourceIdentity', sourceIdentity)]),
  ])
}

/** Throws AccessDenied, with the same sentence for a role that does not exist and one that refuses. */
function mayAssume(
  state: State,
  call: Call,
  asked: AssumeRoleParameters,
  inherited: string | undefined,
): StoredRole {
  const { caller } = call
  const denied = (action: string): AwsFault =>
    new AwsFault(
      'AccessDenied',
      403,
      `User: ${caller.arn} is not authorized to perform: ${action} on resource: ${asked.roleArn}`,
    )
  const role = state.roles.get(asked.roleArn)
  if (role === undefined) throw denied('sts:AssumeRole')
  // Set once, a source identity follows every later session unchanged.
  if (inherited !== undefined && inherited !== asked.sourceIdentity) throw denied('sts:SetSourceIdentity')
  const context = trustContext(state, call, asked, role)
  const actions = ['sts:AssumeRole']
  if (Object.keys(asked.tags).length > 0) actions.push('sts:TagSession')
  if (asked.sourceIdentity !== undefined) actions.push('sts:SetSourceIdentity')
  for (const action of actions) if (!admits(role, caller, action, context)) throw denied(action)
  return role
}

function admits(role: StoredRole, caller: Caller, action: string, context: RequestContext): boolean {
  const principalArn = caller.kind === 'broker' ? caller.arn : caller.role.arn
  const trust = evaluateTrust({ trustPolicy: role.trustPolicy.document, principalArn, action, context })
  // Across accounts the caller's own policies must allow it too; inside one, being named is enough.
  const permittedElsewhere = trust.named && caller.account === role.account
  return (
    trust.allowed &&
    refusalOf(caller, { action, resource: role.arn, context, permittedElsewhere }) === undefined
  )
}

function trustContext(
  state: State,
  call: Call,
  asked: AssumeRoleParameters,
  role: StoredRole,
): RequestContext {
  const { region } = call.claim
  const context: Record<string, readonly string[]> = {
    ...callerContext(state, call.caller, { region, sourceIp: call.sourceIp, resourceAccount: role.account }),
    'sts:RoleSessionName': [asked.sessionName],
    'aws:TagKeys': Object.keys(asked.tags),
  }
  if (asked.sourceIdentity !== undefined) context['sts:SourceIdentity'] = [asked.sourceIdentity]
  if (asked.externalId !== undefined) context['sts:ExternalId'] = [asked.externalId]
  for (const [key, value] of Object.entries(asked.tags)) context[`aws:RequestTag/${key}`] = [value]
  return context
}

function mint(
  state: State,
  role: StoredRole,
  asked: AssumeRoleParameters,
  sourceIdentity: string | undefined,
): Session {
  const issuedAt = state.now()
  const session: Session = {
    accessKeyId: awsId('ASIA', 16),
    secretAccessKey: randomBytes(30).toString('base64'),
    sessionToken: `IQoJb3JpZ2luX2Vj${randomBytes(192).toString('base64')}`,
    roleArn: role.arn,
    name: asked.sessionName,
    sourceIdentity,
    tags: asked.tags,
    policy: asked.policy,
    issuedAt,
    expiresAt: new Date(Math.floor(issuedAt.getTime() / 1000) * 1000 + asked.durationSeconds * 1000),
  }
  keepSession(state, session)
  return session
}
