import type { PolicyDocument, PolicyStatement } from '../types.js'

/** Inline session policy, plaintext characters: STS AssumeRole, parameter Policy. */
export const SESSION_POLICY_LIMIT = 2048

export interface SessionLimits {
  readonly notAfter: Date
  readonly regions: readonly string[]
  /** CIDR blocks; absent means any network. */
  readonly cidrs?: readonly string[]
}

/**
 * The permissions an approver saw, and the fences around them. Each fence is a Deny, so nothing that a
 * resource policy or a wider role allows gets past it.
 *
 * Spared are calls that AWS makes for the session (`aws:ViaAWSService`): they come from AWS's own addresses
 * and regions. The end has no such exception.
 */
export function sessionPolicy(
  permissions: readonly PolicyStatement[],
  limits: SessionLimits,
): PolicyDocument {
  const everything = { Effect: 'Deny', Action: '*', Resource: '*' } as const
  const statements: PolicyStatement[] = [
    ...permissions,
    // Ends the session at its very second, also below the 900 s that STS takes at least.
    {
      ...everything,
      Condition: { DateGreaterThanEquals: { 'aws:CurrentTime': iamInstant(limits.notAfter) } },
    },
    {
      ...everything,
      Condition: {
        StringNotEquals: { 'aws:RequestedRegion': oneOrMany(limits.regions) },
        Bool: { 'aws:ViaAWSService': 'false' },
      },
    },
  ]
  if (limits.cidrs !== undefined) {
    statements.push({
      ...everything,
      Condition: {
        NotIpAddress: { 'aws:SourceIp': oneOrMany(limits.cidrs) },
        Bool: { 'aws:ViaAWSService': 'false' },
      },
    })
  }
  return { Version: '2012-10-17', Statement: statements }
}

/** ISO 8601 in UTC, whole seconds, as IAM's date conditions take it. */
function iamInstant(at: Date): string {
  return at.toISOString().replace(/\.\d{3}Z$/, 'Z')
}

function oneOrMany(values: readonly string[]): string | readonly string[] {
  const [only, ...more] = values
  return only !== undefined && more.length === 0 ? only : values
}
