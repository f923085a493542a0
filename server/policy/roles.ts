import type { PolicyDocument, PolicySet, PolicyStatement, RoleDocument, RoleKind, Scope } from '../types.js'
import { mergeStatements } from './merge.js'
import { renderStatements } from './render.js'

/** Room for every session the policy may allow; STS clamps chained sessions to an hour anyway. */
const SHORTEST_MAX_SESSION_SECONDS = 3600

interface RoleDraft {
  readonly arn: string
  readonly environment: string
  readonly kind: RoleKind
  readonly agents: Set<string>
  readonly statements: PolicyStatement[]
  maxSessionSeconds: number
}

/**
 * Every role that the policy set names, as it should be in IAM, sorted by ARN. `brokerPrincipalArn` is who may
 * assume them. A role holds what all its agents' scopes may ever need; each session is narrowed further.
 */
export function roleDocuments(policySet: PolicySet, brokerPrincipalArn: string): readonly RoleDocument[] {
  const drafts = new Map<string, RoleDraft>()
  for (const agent of policySet.agents.values()) {
    for (const place of agent.environments.values()) {
      const environment = policySet.environments.get(place.environment)
      if (environment === undefined) continue
      const scopes = place.scopes.flatMap((name) => policySet.scopes.get(name) ?? [])
      for (const kind of ['read', 'write'] as const) {
        const arn = place.roles[kind]
        if (arn === undefined) continue
        const draft = drafts.get(arn) ?? {
          arn,
          environment: environment.name,
          kind,
          agents: new Set<string>(),
          statements: [],
          maxSessionSeconds: SHORTEST_MAX_SESSION_SECONDS,
        }
        drafts.set(arn, draft)
        draft.agents.add(agent.name)
        draft.maxSessionSeconds = Math.max(draft.maxSessionSeconds, environment.maxSessionSeconds[kind])
        const rendered = renderStatements(scopesOf(kind, scopes), {
          environment: environment.name,
          account: environment.account,
          regions: environment.regions,
          agent: agent.name,
          // The role is for every token of the agent; the session policy puts the claim's value in.
          claim: () => '*',
        })
        if (rendered.ok) draft.statements.push(...rendered.statements)
      }
    }
  }
  return [...drafts.values()]
    .sort((a, b) => (a.arn < b.arn ? -1 : 1))
    .map((draft) => ({
      arn: draft.arn,
      environment: draft.environment,
      kind: draft.kind,
      trustPolicy: trustPolicy(draft, policySet, brokerPrincipalArn),
      permissions: permissions(draft.statements),
      maxSessionSeconds: draft.maxSessionSeconds,
    }))
}

/** A write role reads too: one request may mix both kinds, and its session runs on one role. */
const scopesOf = (kind: RoleKind, scopes: readonly Scope[]): readonly Scope[] =>
  kind === 'write' ? scopes : scopes.filter((scope) => scope.kind === 'read')

function permissions(statements: readonly PolicyStatement[]): PolicyDocument {
  // IAM takes no empty policy; a role without any scope of its kind may do nothing.
  const nothing = { Effect: 'Deny', Action: '*', Resource: '*' } as const
  return {
    Version: '2012-10-17',
    Statement: statements.length === 0 ? [nothing] : mergeStatements(statements),
  }
}

/**
 * The tags are what the broker says of a session, so IAM itself refuses one for another agent or environment,
 * and a production write that names no grant.
 */
function trustPolicy(draft: RoleDraft, policySet: PolicySet, brokerPrincipalArn: string): PolicyDocument {
  const agents = [...draft.agents].sort()
  const [only, ...more] = agents
  const needsGrant =
    draft.kind === 'write' && policySet.environments.get(draft.environment)?.tier === 'production'
  return {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: brokerPrincipalArn },
        Action: ['sts:AssumeRole', 'sts:SetSourceIdentity', 'sts:TagSession'],
        Condition: {
          StringEquals: {
            'aws:RequestTag/writ:agent': only !== undefined && more.length === 0 ? only : agents,
            'aws:RequestTag/writ:environment': draft.environment,
          },
          ...(needsGrant ? { Null: { 'aws:RequestTag/writ:grant': 'false' } } : {}),
        },
      },
    ],
  }
}
