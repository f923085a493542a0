import { renderPermissions } from '../policy/render.js'
import type { Allow, Identity, NeedsGrant, PolicyStatement, Refusal, Scope } from '../types.js'
import type { AssumeRoleInput } from '../types-aws.js'
import { bindNetwork, type Caller } from './network.js'
import { SESSION_POLICY_LIMIT, sessionPolicy } from './session-policy.js'

/** STS takes nothing shorter; the session policy ends shorter sessions (AssumeRole, DurationSeconds). */
const STS_SHORTEST_SECONDS = 900

/** Longest value of a session tag (IAM user guide, session tags). */
const LONGEST_TAG = 256

export interface SessionPlan {
  readonly assume: AssumeRoleInput
  readonly permissions: readonly PolicyStatement[]
  /** What a grant is pinned to: the permissions, without the fences that differ from request to request. */
  readonly permissionsSha256: string
  readonly notAfter: Date
  readonly cidrs?: readonly string[]
}

/** How long sessions may be asked for at most: 3,600 where the broker itself runs on a role, else 43,200. */
export interface PlanSettings {
  readonly longestStsSeconds: number
  readonly localAws: boolean
}

/** Everything about the session but its credentials. Pure. */
export function planSession(
  allow: Allow,
  identity: Identity,
  caller: Caller,
  issuanceId: string,
  settings: PlanSettings,
): SessionPlan | { readonly refusal: Refusal } {
  const rendered = permissionsOf(allow, identity)
  if ('refusal' in rendered) return rendered
  const network = bindNetwork(allow.network, caller, settings.localAws)
  if ('refusal' in network) return network
  const verified = verifiedHuman(identity)
  const human = verified === undefined ? undefined : tagValue(verified)
  if (human !== undefined && human.length > LONGEST_TAG) {
    return {
      refusal: { code: 'claim_unusable', detail: 'The name of the human is too long for a session tag.' },
    }
  }

  const { environment, agent } = allow
  const policy = JSON.stringify(
    sessionPolicy(rendered.statements, {
      notAfter: allow.notAfter,
      regions: environment.regions,
      ...network,
    }),
  )
  if (policy.length > SESSION_POLICY_LIMIT) {
    return {
      refusal: {
        code: 'session_policy_too_large',
        detail: `These scopes together need ${policy.length} characters of session policy; AWS takes ${SESSION_POLICY_LIMIT}.`,
      },
    }
  }
  return {
    assume: {
      roleArn: allow.roleArn,
      region: environment.regions[0] ?? 'us-east-1',
      sessionName: issuanceId,
      sourceIdentity: `${agent.name}+${issuanceId}`,
      tags: {
        'writ:agent': agent.name,
        'writ:environment': environment.name,
        'writ:issuance': issuanceId,
        ...(allow.grant === undefined ? {} : { 'writ:grant': allow.grant.id }),
        ...(human === undefined ? {} : { 'writ:human': human }),
      },
      durationSeconds: Math.min(
        Math.max(allow.durationSeconds, STS_SHORTEST_SECONDS),
        settings.longestStsSeconds,
      ),
      policy,
    },
    permissions: rendered.statements,
    permissionsSha256: rendered.sha256,
    notAfter: allow.notAfter,
    ...network,
  }
}

/** The rendered permissions for scopes in an environment, as an approver sees them. */
export function permissionsOf(
  decision: Pick<Allow | NeedsGrant, 'agent' | 'environment' | 'scopes'>,
  identity: Pick<Identity, 'claims'>,
):
  | { readonly statements: readonly PolicyStatement[]; readonly sha256: string }
  | { readonly refusal: Refusal } {
  const { agent, environment, scopes } = decision
  const rendered = renderPermissions(scopes, {
    environment: environment.name,
    account: environment.account,
    regions: environment.regions,
    agent: agent.name,
    claims: identity.claims,
  })
  if (rendered.ok) return { statements: rendered.statements, sha256: rendered.sha256 }
  return { refusal: { code: 'claim_unusable', detail: rendered.detail } }
}

/** Every action of some scopes as their documents wrote it, sorted. */
export function actionsOf(scopes: readonly Scope[]): readonly string[] {
  const actions = scopes.flatMap(({ statements }) => statements.flatMap((statement) => statement.actions))
  return [...new Set(actions)].sort()
}

/** Only what a token proved goes into AWS's trail; what the caller wrote stays in our record. */
function verifiedHuman(identity: Identity): string | undefined {
  const { onBehalfOf } = identity
  return onBehalfOf === undefined || onBehalfOf.how === 'self-claimed' ? undefined : onBehalfOf.human
}

/**
 * A name as a session tag takes it: letters, digits, spaces and `_.:/+-@` stay, every other byte of its UTF-8
 * becomes `=` and two hex digits. No two names become the same: `dependabot[bot]` is `dependabot=5Bbot=5D`.
 */
export function tagValue(name: string): string {
  return name.replace(/[^\p{L}\p{Z}\p{N}_.:/+\-@]/gu, (character) =>
    Array.from(Buffer.from(character), (byte) => `=${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(
      '',
    ),
  )
}
