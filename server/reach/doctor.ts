import { WritError } from '../errors.js'
import { roleDocuments } from '../policy/roles.js'
import type { Agent, PolicyDocument, PolicySet, RoleDocument } from '../types.js'
import type { Iam } from '../types-aws.js'
import { loadDocumentData } from './data.js'
import { type Read, readDocument } from './documents.js'
import { type Finding, findingsOf, type RealRole } from './findings.js'
import { fixes } from './fixes.js'

export interface DoctorDeps {
  readonly iam: Iam
  /** Who the broker is at AWS, from GetCallerIdentity. */
  readonly brokerArn: string
  /** Whether a Deny of an inline policy is one that the broker writes, by the policy's name and its Sid. */
  readonly isOwnDeny: (policyName: string, sid: string) => boolean
  readonly now: () => Date
}

export interface DoctorQuestion {
  readonly environment?: string | undefined
  readonly agent?: string | undefined
  /** Roles whose ARN comes after this one. */
  readonly after?: string | undefined
  readonly limit: number
}

export interface Diagnosis {
  readonly checked: number
  /** No finding but notes. */
  readonly clean: boolean
  readonly findings: readonly Finding[]
  /** Where to go on; undefined when every role was looked at. */
  readonly next?: string
}

/** IAM takes few calls a second of an account, and the denies of a stop must not wait behind these. */
const AT_ONCE = 4
/** After this no further role is begun, so that an answer is there before the caller gives up. */
const LONGEST_MS = 20_000

interface Known {
  readonly environment: string
  readonly agents: readonly Agent[]
}

/**
 * Compares every role that policy names with what IAM has, a page at a time, by ARN. What IAM does not answer is a
 * finding: nothing is thrown for it.
 */
export async function diagnose(
  deps: DoctorDeps,
  policySet: PolicySet,
  question: DoctorQuestion,
): Promise<Diagnosis> {
  const roles = rolesOf(policySet)
  const wanted = [...roles]
    .filter(
      ([arn, { environment, agents }]) =>
        (question.environment === undefined || environment === question.environment) &&
        (question.agent === undefined || agents.some(({ name }) => name === question.agent)) &&
        (question.after === undefined || arn > question.after),
    )
    .map(([arn]) => arn)
    .sort()
  const page = wanted.slice(0, question.limit)
  // Only those on these roles: the documents of 10,000 agents take a second.
  const concerned = new Map(
    page.flatMap((arn) => (roles.get(arn)?.agents ?? []).map((agent) => [agent.name, agent] as const)),
  )
  const documents = new Map(
    roleDocuments({ ...policySet, agents: concerned }, trusted(deps.brokerArn)).map((one) => [one.arn, one]),
  )
  const findings: (readonly Finding[])[] = page.map(() => [])
  const began = Date.now()
  let at = 0
  const work = async (): Promise<void> => {
    for (;;) {
      if (at >= page.length || Date.now() - began > LONGEST_MS) return
      const n = at++
      const [document, known] = [documents.get(page[n] ?? ''), roles.get(page[n] ?? '')]
      if (document !== undefined && known !== undefined)
        findings[n] = await examine(deps, policySet, document, known)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  const checked = page.slice(0, at)
  const all = [...findings.flat(), ...unknownRights(checked, findings.flat())]
  const last = checked.at(-1)
  return {
    checked: checked.length,
    clean: all.every(({ severity }) => severity === 'note'),
    findings: all,
    ...(checked.length < wanted.length && last !== undefined ? { next: last } : {}),
  }
}

/** As a trust policy names it; a session's ARN is no principal that outlives it. */
const trusted = (brokerArn: string): string =>
  brokerArn.replace(/^arn:([^:]+):sts::(\d{12}):assumed-role\/([^/]+)\/.+$/, 'arn:$1:iam::$2:role/$3')

function rolesOf(policySet: PolicySet): ReadonlyMap<string, Known> {
  const roles = new Map<string, { readonly environment: string; readonly agents: Agent[] }>()
  for (const agent of policySet.agents.values())
    for (const place of agent.environments.values())
      for (const arn of [place.roles.read, place.roles.write]) {
        if (arn === undefined) continue
        const known = roles.get(arn)
        if (known === undefined) roles.set(arn, { environment: place.environment, agents: [agent] })
        else if (!known.agents.includes(agent)) known.agents.push(agent)
      }
  return roles
}

async function examine(
  deps: DoctorDeps,
  policySet: PolicySet,
  role: RoleDocument,
  { agents }: Known,
): Promise<readonly Finding[]> {
  const failed: Finding[] = []
  const asked = async <T>(what: string, call: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await call()
    } catch (error) {
      const why = error instanceof WritError ? `${error.message} (${error.code})` : 'something unexpected.'
      failed.push({
        severity: 'error',
        code: 'iam_failed',
        role: role.arn,
        sentence: `IAM did not tell ${what}: ${why}`,
        fix: `Let the broker read roles in account ${role.arn.split(':')[4]}: iam:GetRole, iam:ListRolePolicies, iam:GetRolePolicy, iam:ListAttachedRolePolicies.`,
      })
      return undefined
    }
  }
  const { iam } = deps
  const found = await asked('what the role is', async () => ({ role: await iam.role(role.arn) }))
  if (found === undefined) return failed
  if (found.role === undefined) {
    const sentence = `There is no such role: every session of ${agents[0]?.name ?? 'its agents'} on it fails.`
    return [{ severity: 'error', code: 'role_missing', role: role.arn, sentence, fix: fixes.create(role) }]
  }
  // IAM finds roles by name alone, and STS by the whole ARN.
  if (found.role.arn !== role.arn) {
    const sentence = `The role of this name is ${found.role.arn}, under another path: every session on it fails.`
    const fix = `Write that ARN in the agent documents, or make this one: names are unique in an account.`
    return [{ severity: 'error', code: 'role_missing', role: role.arn, sentence, fix }]
  }
  const [names, attached] = await Promise.all([
    asked('its inline policies', () => iam.inlinePolicies(role.arn)),
    asked('its managed policies', () => iam.attachedPolicies(role.arn)),
  ])
  const policies: { readonly name: string; readonly read: Read }[] = []
  for (const name of names ?? []) {
    const text = await asked(`the inline policy ${name}`, () => iam.inlinePolicy(role.arn, name))
    // Gone since it was listed, or not told: then its finding says so.
    if (text !== undefined) policies.push({ name, read: readDocument(text, 'permissions') })
  }
  const { trustPolicy, maxSessionSeconds, permissionsBoundary } = found.role
  const real: RealRole = {
    trust: readDocument(trustPolicy, 'trust'),
    maxSessionSeconds,
    ...(permissionsBoundary === undefined ? {} : { boundary: permissionsBoundary }),
    policies,
    attached: attached ?? [],
  }
  const environment = policySet.environments.get(role.environment)
  const documents: PolicyDocument[] = [role.permissions]
  for (const { read } of policies) if (read.ok) documents.push(read.document)
  const findings = findingsOf({
    role,
    real,
    agents: agents.map(({ name }) => name).sort(),
    region: environment?.regions[0] ?? 'us-east-1',
    needsGrant: role.kind === 'write' && environment?.tier === 'production',
    brokerArn: deps.brokerArn,
    now: deps.now(),
    data: await loadDocumentData(documents),
    isOwnDeny: deps.isOwnDeny,
  })
  // With policies unread, what the role allows is not known: no drift is made up from half of it.
  const whole = failed.length === 0
  return [...failed, ...findings.filter(({ code }) => whole || !code.startsWith('permissions_'))]
}

/** Reading cannot show a right to write; a deny that is there does. */
function unknownRights(checked: readonly string[], findings: readonly Finding[]): readonly Finding[] {
  const accountOf = (arn: string): string => arn.split(':')[4] ?? ''
  const shown = new Set(
    findings.filter(({ code }) => code === 'deny_in_force').map(({ role }) => accountOf(role)),
  )
  const accounts = [...new Set(checked.map(accountOf))].filter((account) => !shown.has(account))
  return accounts.map((account) => ({
    severity: 'note',
    code: 'deny_rights_unknown',
    role: `arn:aws:iam::${account}:role/*`,
    sentence: `Whether the broker may write denies in account ${account} cannot be seen by reading: it takes iam:PutRolePolicy and iam:DeleteRolePolicy.`,
    fix: 'docs/containment.md says what the broker may do there; `writ drill` shows that it can.',
  }))
}
