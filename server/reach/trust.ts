import { evaluateTrust, type RequestContext } from '../policy/evaluate.js'
import { list } from '../policy/evaluate-conditions.js'
import type { PolicyDocument, RoleDocument } from '../types.js'
import { sessionContext } from './session-context.js'
import { lowered } from './witness.js'

export interface TrustSubject {
  readonly role: RoleDocument
  /** Those whose sessions run on it. */
  readonly agents: readonly string[]
  readonly region: string
  /** Whether only a session that names a grant may be minted. */
  readonly needsGrant: boolean
  /** As GetCallerIdentity says it: a user's, a role's or a session's ARN. */
  readonly brokerArn: string
  readonly now: Date
}

export interface TrustFlaw {
  readonly code:
    | 'trust_refuses_broker'
    | 'trust_admits_others'
    | 'trust_agent_unchecked'
    | 'trust_environment_unchecked'
    | 'trust_grant_unchecked'
  readonly sentence: string
}

const CALLS = ['sts:AssumeRole', 'sts:SetSourceIdentity', 'sts:TagSession'] as const
/** No agent and no environment can be called so (policy documents take lower case only). */
const NOBODY = 'NOBODY'

/** What is wrong with who may assume a role, found by asking the evaluator, not by reading the text. */
export function trustFlaws(trustPolicy: PolicyDocument, subject: TrustSubject): readonly TrustFlaw[] {
  const { agents, role, needsGrant } = subject
  const broker = brokerPrincipal(trustPolicy, subject.brokerArn)
  const admits = (action: string, change: Tags, principalArn = broker): boolean => {
    try {
      const context = requestContext(subject, change, principalArn)
      return evaluateTrust({ trustPolicy, principalArn, action, context }).allowed
    } catch {
      return false
    }
  }
  const honest = agents.map((agent) => ({ agent, grant: needsGrant ? 'grant0000001' : undefined }))
  const flaws: TrustFlaw[] = []
  for (const action of CALLS) {
    const refused = honest.filter((tags) => !admits(action, tags)).map(({ agent }) => agent)
    if (refused.length > 0)
      flaws.push({
        code: 'trust_refuses_broker',
        sentence: `The broker may not ${action} here for ${some(refused)}: every session on this role fails.`,
      })
  }
  const entered = (change: Tags): boolean =>
    // A plain session without any tag needs AssumeRole alone.
    admits('sts:AssumeRole', change) && (change.untagged === true || admits('sts:TagSession', change))
  const [first] = honest
  if (first !== undefined) {
    const enters = (...some: readonly Tags[]): boolean => [...some, { untagged: true }].some(entered)
    if (enters({ ...first, agent: NOBODY }, { ...first, agent: undefined }))
      flaws.push({
        code: 'trust_agent_unchecked',
        sentence: `A session for another agent than ${some(agents)} can be minted on it: no condition holds aws:RequestTag/writ:agent to them.`,
      })
    if (enters({ ...first, environment: NOBODY }, { ...first, environment: null }))
      flaws.push({
        code: 'trust_environment_unchecked',
        sentence: `A session for another environment than ${role.environment} can be minted on it: no condition holds aws:RequestTag/writ:environment to it.`,
      })
    if (needsGrant && enters({ ...first, grant: undefined }))
      flaws.push({
        code: 'trust_grant_unchecked',
        sentence:
          'A write in production can be minted that names no grant: the condition "Null": {"aws:RequestTag/writ:grant": "false"} is missing.',
      })
  }
  const others = othersIn(trustPolicy, broker).filter(
    ({ principalArn }) =>
      principalArn === undefined ||
      [{ untagged: true }, ...honest].some((tags) => admits('sts:AssumeRole', tags, principalArn)),
  )
  if (others.length > 0)
    flaws.push({
      code: 'trust_admits_others',
      sentence: `Others than the broker can assume it: ${some(others.map(({ said }) => said))}. Their sessions are in no record of Writ.`,
    })
  return flaws
}

interface Tags {
  readonly agent?: string | undefined
  readonly grant?: string | undefined
  /** Null for none; the role's otherwise. */
  readonly environment?: string | null
  readonly untagged?: boolean
}

function requestContext(subject: TrustSubject, tags: Tags, principalArn: string): RequestContext {
  const { role, region, now } = subject
  const { agent, grant, environment = role.environment, untagged = false } = tags
  const given: Record<string, string | null | undefined> = untagged
    ? {}
    : {
        'writ:agent': agent,
        'writ:environment': environment,
        'writ:issuance': '000000000000',
        'writ:grant': grant,
      }
  const named = Object.entries(given).filter((one): one is [string, string] => typeof one[1] === 'string')
  const known = sessionContext({ roleArn: role.arn, agent: agent ?? '', environment: '', region, now })
  // Of the session that is to be minted, nothing is there yet.
  const caller = Object.entries(known).filter(
    ([key]) => !/^aws:(principal|tokenissuetime|sourceidentity)/.test(key),
  )
  return {
    ...Object.fromEntries(caller),
    ...lowered({
      'aws:PrincipalArn': [principalArn],
      'aws:PrincipalAccount': [principalArn.split(':')[4] ?? ''],
      'sts:RoleSessionName': ['000000000000'],
      ...(untagged ? {} : { 'sts:SourceIdentity': [`${agent ?? 'nobody'}+000000000000`] }),
      'aws:TagKeys': named.map(([key]) => key),
      ...Object.fromEntries(named.map(([key, value]) => [`aws:RequestTag/${key}`, [value]])),
    }),
  }
}

/**
 * Who the broker is, as a trust policy names it. A session's ARN leaves the path of its role out; the principal
 * of that account and name in the policy has it.
 */
export function brokerPrincipal(trustPolicy: PolicyDocument, brokerArn: string): string {
  const [, partition, account, name] =
    /^arn:([^:]+):sts::(\d{12}):assumed-role\/([^/]+)\/.+$/.exec(brokerArn) ?? []
  if (name === undefined) return brokerArn
  const begins = `arn:${partition}:iam::${account}:role/`
  const named = trustPolicy.Statement.flatMap(({ Principal }) =>
    typeof Principal === 'string' ? [] : list(Principal?.AWS),
  )
  return named.find((one) => one.startsWith(begins) && one.split('/').at(-1) === name) ?? `${begins}${name}`
}

/** Everybody else that an Allow names. Without an ARN to ask about, being named is enough to be told. */
function othersIn(
  { Statement }: PolicyDocument,
  broker: string,
): readonly { readonly said: string; readonly principalArn?: string }[] {
  const found = new Map<string, { said: string; principalArn?: string }>()
  for (const { Effect, Principal } of Statement) {
    if (Effect !== 'Allow' || Principal === undefined) continue
    const kinds = typeof Principal === 'string' ? { AWS: Principal } : Principal
    for (const [kind, value] of Object.entries(kinds))
      for (const one of list(value)) {
        if (kind !== 'AWS') found.set(one, { said: `${kind.toLowerCase()} ${one}` })
        else if (one !== broker) found.set(one, someone(one, broker))
      }
  }
  return [...found.values()]
}

function someone(principal: string, broker: string): { said: string; principalArn?: string } {
  const brokers = broker.split(':')[4] ?? ''
  if (principal === '*') return { said: 'everybody', principalArn: `arn:aws:iam::${brokers}:user/${NOBODY}` }
  const account = /^(\d{12})$|^arn:[^:]+:iam::(\d{12}):root$/.exec(principal)
  const number = account?.[1] ?? account?.[2]
  if (number === undefined) return { said: principal, principalArn: principal }
  return {
    said: `whoever account ${number} lets`,
    principalArn: `arn:aws:iam::${number}:user/${NOBODY}`,
  }
}

function some(all: readonly string[]): string {
  const shown = all.slice(0, 4).join(', ')
  return all.length > 4 ? `${shown} and ${all.length - 4} more` : shown
}
