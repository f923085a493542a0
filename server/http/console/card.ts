import type { Mark, Reach } from '../../../web/pages/request.js'
import { mayApprove } from '../../decision/may-approve.js'
import type { GrantRequestView } from '../../grants/types.js'
import type { Agent, Environment, Operator, PolicySet, PolicyStatement, Scope } from '../../types.js'

/** What a new agent is: nobody knows yet how it behaves. */
const NEW_DAYS = 7
const DAY_MS = 86_400_000

/**
 * Splits what is asked for into what the agent could do anyhow and what it could not. Compares patterns as text, so
 * an overlap that it cannot see counts as new: it may show too much as added, never too little.
 */
export function additions(
  base: readonly PolicyStatement[],
  asked: readonly PolicyStatement[],
): { readonly adds: readonly Reach[]; readonly already: readonly Reach[] } {
  const adds: Reach[] = []
  const already: Reach[] = []
  for (const statement of asked) {
    const conditions = statement.Condition
    const groups = new Map<
      string,
      { actions: string[]; fresh: readonly string[]; known: readonly string[] }
    >()
    for (const action of listOf(statement.Action)) {
      const resources = listOf(statement.Resource)
      const fresh = resources.filter((resource) => !covered(base, action, resource, conditions))
      const known = resources.filter((resource) => !fresh.includes(resource))
      const key = JSON.stringify(fresh)
      const group = groups.get(key) ?? { actions: [], fresh, known }
      group.actions.push(action)
      groups.set(key, group)
    }
    for (const { actions, fresh, known } of groups.values()) {
      if (fresh.length > 0) adds.push({ actions, resources: fresh, conditions })
      if (known.length > 0) already.push({ actions, resources: known, conditions })
    }
  }
  return { adds, already }
}

const listOf = (value: string | readonly string[] | undefined): readonly string[] =>
  value === undefined ? [] : typeof value === 'string' ? [value] : value

const conditionText = (conditions: PolicyStatement['Condition']): string => JSON.stringify(conditions ?? {})

function covered(
  base: readonly PolicyStatement[],
  action: string,
  resource: string,
  conditions: PolicyStatement['Condition'],
): boolean {
  return base.some(
    (statement) =>
      statement.Effect === 'Allow' &&
      // What holds without conditions holds under any; other conditions are not weighed against each other.
      (conditionText(statement.Condition) === '{}' ||
        conditionText(statement.Condition) === conditionText(conditions)) &&
      listOf(statement.Action).some((pattern) => wider(pattern.toLowerCase(), action.toLowerCase())) &&
      listOf(statement.Resource).some((pattern) => wider(pattern, resource)),
  )
}

/** Whether every text that `narrow` matches is one that `pattern` matches. Both with `*` and `?` as in IAM. */
function wider(pattern: string, narrow: string): boolean {
  let rows = [true, ...Array.from(narrow, () => false)]
  for (const wanted of pattern) {
    const next = [wanted === '*' && rows[0] === true]
    for (let n = 1; n <= narrow.length; n++) {
      const given = narrow[n - 1]
      next.push(
        wanted === '*'
          ? rows[n] === true || next[n - 1] === true
          : // A `*` of the narrow one stands for many characters, which a `?` is not.
            rows[n - 1] === true && (wanted === given || (wanted === '?' && given !== '*')),
      )
    }
    rows = next
  }
  return rows[narrow.length] === true
}

/** What the record says of an agent, as far as marks need it. */
export interface Known {
  /** Of its first issuance anywhere. */
  readonly firstAt: Date | undefined
  readonly beenThere: boolean
}

/** What should make a human stop and look twice. */
export function marksOf(
  request: Pick<GrantRequestView, 'agent' | 'environment' | 'permissions' | 'on_behalf_of' | 'policy_digest'>,
  scopes: readonly Scope[],
  policySet: Pick<PolicySet, 'digest'>,
  known: Known,
  now: Date,
): readonly Mark[] {
  const marks: Mark[] = []
  const add = (tone: Mark['tone'], title: string, text: string) => marks.push({ tone, title, text })
  const destroyers = scopes.filter((scope) => scope.destroys).map(({ name }) => name)
  if (destroyers.length > 0) add('danger', 'deletes', `${destroyers.join(', ')} can destroy what is there.`)
  const managers = scopes
    .filter((scope) => scope.levels.has('permissions-management'))
    .map(({ name }) => name)
  if (managers.length > 0) add('danger', 'permissions', `${managers.join(', ')} can change who may do what.`)
  const broad = [...new Set(request.permissions.flatMap(({ Resource }) => listOf(Resource).filter(isBroad)))]
  if (broad.length > 0) add('danger', 'wildcard', `Reaches every resource of a kind: ${broad.join(', ')}`)
  const actions = [
    ...new Set(
      request.permissions.flatMap(({ Action }) => listOf(Action).filter((action) => /[*?]/.test(action))),
    ),
  ]
  if (actions.length > 0) add('warn', 'action pattern', `Actions by pattern: ${actions.join(', ')}`)
  if (known.firstAt === undefined) add('warn', 'new agent', `${request.agent} was never issued anything.`)
  else if (now.getTime() - known.firstAt.getTime() < NEW_DAYS * DAY_MS)
    add('warn', 'new agent', `${request.agent} was first issued something less than ${NEW_DAYS} days ago.`)
  if (!known.beenThere && known.firstAt !== undefined)
    add('warn', 'first time here', `${request.agent} was never issued anything in ${request.environment}.`)
  if (request.on_behalf_of?.how === 'self-claimed')
    add('warn', 'self-claimed human', 'Only the agent says for whom it acts: do not decide by that name.')
  if (request.policy_digest !== policySet.digest)
    add('danger', 'policy changed', 'The policy changed since this was asked for: it can only be denied.')
  return marks
}

/** `*`, a name that begins with a wildcard, or a part of a name where the account already ended. */
function isBroad(resource: string): boolean {
  const [, , , region, account, ...rest] = resource.split(':')
  if (rest.length === 0) return /[*?]/.test(resource)
  const path = rest.join(':')
  // S3 has neither region nor account, and no kind before the name.
  const name = region === '' && account === '' ? path : path.replace(/^[A-Za-z-]+[:/]/, '')
  return /[*?]/.test(name.split(/[:/]/)[0] ?? '')
}

export interface Objection {
  readonly code: string
  readonly text: string
  readonly mayDeny: boolean
}

/** Why this operator may not approve, as the server would answer: so that it is said before anybody signs. */
export function objectionTo(
  request: Pick<
    GrantRequestView,
    'agent' | 'environment' | 'scopes' | 'on_behalf_of' | 'decisions' | 'policy_digest'
  >,
  operator: Operator,
  policySet: Pick<PolicySet, 'digest'>,
  agent: Agent | undefined,
  environment: Environment | undefined,
  keys: number,
): Objection | undefined {
  const { name, roles } = operator
  if (request.decisions.some((decision) => decision.operator === name))
    return {
      code: 'already_decided',
      text: 'You have decided on this. Another approver has to.',
      mayDeny: false,
    }
  if (!roles.has('approver'))
    return {
      code: 'approver_not_allowed',
      text: 'You may read this. Deciding takes the role approver.',
      mayDeny: false,
    }
  if (!mayApprove(operator, request.environment, request.scopes)) {
    const text = `You do not approve ${request.scopes.join(', ')} for ${request.environment}. Somebody whose operator document does has to decide.`
    return { code: 'approver_not_allowed', text, mayDeny: false }
  }
  if (keys === 0) {
    const text = 'You have no key to sign with. Enrol a passkey under “Your keys” first.'
    return { code: 'key_unknown', text, mayDeny: false }
  }
  const names = new Set([name, ...operator.alsoKnownAs])
  const human = request.on_behalf_of?.human
  if (human !== undefined && names.has(human)) {
    const text = 'The agent acts for you here. Somebody else has to approve; you may deny.'
    return { code: 'approver_is_beneficiary', text, mayDeny: true }
  }
  if (environment?.tier === 'production' && agent !== undefined) {
    const { kind, name: owner } = agent.owner
    const owns = kind === 'team' ? operator.teams.has(owner) : names.has(owner)
    if (owns) {
      const text = `The agent belongs to ${kind === 'team' ? `your team, ${owner}` : 'you'}. Somebody outside has to approve; you may deny.`
      return { code: kind === 'team' ? 'approver_is_owner' : 'approver_is_beneficiary', text, mayDeny: true }
    }
  }
  if (request.policy_digest !== policySet.digest) {
    const text = 'The policy changed since this was asked for. The agent has to ask again; you may deny.'
    return { code: 'grant_stale', text, mayDeny: true }
  }
  return undefined
}
