import type { IamData } from '../policy/iam-data.js'
import { duration as sayDuration } from '../policy/tiers.js'
import { compare, type Drift, type NamedPolicy, serves } from './compare.js'
import type { Read } from './documents.js'
import { fixes } from './fixes.js'
import { sessionContext } from './session-context.js'
import { type TrustSubject, trustFlaws } from './trust.js'

export type Severity = 'error' | 'warning' | 'note'

export type FindingCode =
  | ReturnType<typeof trustFlaws>[number]['code']
  | 'role_missing'
  | 'trust_unreadable'
  | 'session_too_short'
  | 'session_too_long'
  | 'permissions_narrower'
  | 'permissions_wider'
  | 'policy_unreadable'
  | 'policy_of_others'
  | 'managed_attached'
  | 'boundary_set'
  | 'deny_in_force'
  | 'deny_rights_unknown'
  | 'iam_failed'

/** One thing about one role. `error`: something fails, or somebody gets in; `warning`: more is open than needed. */
export interface Finding {
  readonly severity: Severity
  readonly code: FindingCode
  readonly role: string
  readonly sentence: string
  /** A command, or what to do; absent where nothing has to be done. */
  readonly fix?: string
}

/** A role as IAM has it, as far as it could be read. */
export interface RealRole {
  readonly trust: Read
  readonly maxSessionSeconds: number
  readonly boundary?: string
  readonly policies: readonly { readonly name: string; readonly read: Read }[]
  readonly attached: readonly string[]
}

/** Differences told of one role in each direction; the rest is counted. */
const MOST_DRIFTS = 6
const MOST_ACTIONS = 6

export interface RoleSubject extends TrustSubject {
  readonly real: RealRole
  readonly data: IamData
  /** Whether a Deny of an inline policy is one that Writ writes. */
  readonly isOwnDeny: (policyName: string, sid: string) => boolean
}

/** Everything that is to be said of a role that exists. Pure. */
export function findingsOf(subject: RoleSubject): readonly Finding[] {
  const { real, role } = subject
  const say = (severity: Severity, code: FindingCode, sentence: string, fix?: string): Finding => ({
    severity,
    code,
    role: role.arn,
    sentence,
    ...(fix === undefined ? {} : { fix }),
  })
  const found: Finding[] = []
  if (real.trust.ok)
    for (const { code, sentence } of trustFlaws(real.trust.document, subject))
      found.push(say('error', code, sentence, fixes.trust(role)))
  else {
    const sentence = `Its trust policy cannot be evaluated here: ${real.trust.why}.`
    found.push(say('error', 'trust_unreadable', sentence, fixes.trust(role)))
  }
  const [has, wants] = [real.maxSessionSeconds, role.maxSessionSeconds]
  if (has < wants)
    found.push(
      say(
        'error',
        'session_too_short',
        `Sessions of ${sayDuration(wants)} are allowed by policy; the role takes at most ${sayDuration(has)}, and AWS refuses longer ones.`,
        fixes.session(role),
      ),
    )
  if (has > wants)
    found.push(
      say(
        'warning',
        'session_too_long',
        `The role takes sessions of ${sayDuration(has)}; policy needs no more than ${sayDuration(wants)}.`,
        fixes.session(role),
      ),
    )
  for (const arn of real.attached)
    found.push(
      say(
        'warning',
        'managed_attached',
        `The managed policy ${arn} is attached: what it allows is beside what policy says, and was not compared.`,
        fixes.detach(role.arn, arn),
      ),
    )
  if (real.boundary !== undefined)
    found.push(
      say(
        'note',
        'boundary_set',
        `The permissions boundary ${real.boundary} narrows the role: what it leaves out fails, and it was not compared.`,
      ),
    )
  return [...found, ...permissionFindings(subject, say)]
}

type Say = (severity: Severity, code: FindingCode, sentence: string, fix?: string) => Finding

function permissionFindings(subject: RoleSubject, say: Say): readonly Finding[] {
  const { real, role, data, isOwnDeny } = subject
  const found: Finding[] = []
  const readable: NamedPolicy[] = []
  for (const { name, read } of real.policies) {
    if (!read.ok) {
      const sentence = `The inline policy ${name} cannot be evaluated here: ${read.why}. What it allows or denies was not compared.`
      found.push(say('warning', 'policy_unreadable', sentence, fixes.drop(role.arn, name)))
      continue
    }
    const { Statement } = read.document
    // Only a Deny: an Allow that calls itself ours is looked at like any other.
    const theirs = Statement.filter(({ Effect, Sid = '' }) => Effect !== 'Deny' || !isOwnDeny(name, Sid))
    if (theirs.length > 0) readable.push({ name, document: { ...read.document, Statement: theirs } })
    if (theirs.length < Statement.length) {
      const sentence = `A deny of Writ's is in force (inline policy ${name}). It goes by itself when the sessions it ends are over.`
      found.push(say('note', 'deny_in_force', sentence))
    }
  }
  const base = sessionContext({
    roleArn: role.arn,
    agent: subject.agents[0] ?? '',
    environment: role.environment,
    region: subject.region,
    now: subject.now,
  })
  const drifts = compare(role.permissions, readable, data, base)
  const ours = readable.filter(({ document }) => serves(document, role.permissions, data, base))
  const own = ours[0]?.name
  for (const kind of ['narrower', 'wider'] as const) {
    const all = drifts.filter((drift) => drift.kind === kind)
    for (const drift of all.slice(0, MOST_DRIFTS)) {
      const others = drift.policies.filter((name) => ours.every((one) => one.name !== name))
      const fix =
        others.length > 0
          ? others.map((name) => fixes.drop(role.arn, name)).join('\n')
          : fixes.permissions(role, own)
      found.push(
        kind === 'narrower'
          ? say('error', 'permissions_narrower', narrower(drift), fix)
          : say('warning', 'permissions_wider', wider(drift), fix),
      )
    }
    if (all.length > MOST_DRIFTS) {
      const sentence = `And ${all.length - MOST_DRIFTS} more differences of this kind.`
      const code = kind === 'narrower' ? 'permissions_narrower' : 'permissions_wider'
      const severity = kind === 'narrower' ? 'error' : 'warning'
      found.push(say(severity, code, sentence, fixes.permissions(role, own)))
    }
  }
  const told = new Set(drifts.flatMap(({ policies }) => policies))
  for (const { name } of readable)
    if (!ours.some((one) => one.name === name) && !told.has(name) && role.permissions.Statement.some(allows))
      found.push(
        say(
          'note',
          'policy_of_others',
          `The inline policy ${name} is not of Writ's policy, and changes nothing for its sessions.`,
        ),
      )
  return found
}

const allows = ({ Effect }: { readonly Effect: string }): boolean => Effect === 'Allow'

const what = ({ actions, resource, when }: Drift): string => {
  const shown = actions.slice(0, MOST_ACTIONS).map((one) => (one === '*' ? 'every action' : one))
  const more = actions.length > MOST_ACTIONS ? ` and ${actions.length - MOST_ACTIONS} more` : ''
  return `${shown.join(', ')}${more} on ${resource}${when === undefined ? '' : ` when ${when}`}`
}

const narrower = (drift: Drift): string =>
  `Policy allows ${what(drift)}; the role does not${drift.policies.length === 0 ? '' : ` (denied by the inline policy ${drift.policies.join(', ')})`}. AWS refuses it to every session.`

const wider = (drift: Drift): string =>
  `The role allows ${what(drift)}; policy does not${drift.policies.length === 0 ? '' : ` (inline policy ${drift.policies.join(', ')})`}. Only the session policy keeps agents from it.`
