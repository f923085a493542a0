import { WritError } from '../errors.js'
import type { AssumeRole, AwsCredentials } from '../types-aws.js'

/** As long as a chained session may last (AssumeRole, DurationSeconds): STS may be hard to reach in an incident. */
const SECONDS = 3_600

/** All that containment and `writ doctor` need of a role, whatever else the containment role may. */
const POLICY = JSON.stringify({
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Allow',
      Action: [
        'iam:GetRole',
        'iam:ListRolePolicies',
        'iam:GetRolePolicy',
        'iam:PutRolePolicy',
        'iam:DeleteRolePolicy',
        'iam:ListAttachedRolePolicies',
      ],
      Resource: '*',
    },
  ],
})

/** IAM is one a partition, and signed for one region of it (AWS General Reference, "IAM endpoints and quotas"). */
export const partitionRegion = (arn: string): string => REGIONS[arn.split(':')[1] ?? ''] ?? 'us-east-1'

const REGIONS: Readonly<Record<string, string>> = { 'aws-cn': 'cn-north-1', 'aws-us-gov': 'us-gov-west-1' }

/**
 * Credentials of the containment role of one account. The SDK keeps them and asks again shortly before they end. Throws
 * `WritError` iam_unavailable when the role cannot be assumed, and whatever else STS failed with.
 */
export function containmentCredentials(
  assume: AssumeRole,
  template: string,
  account: string,
): () => Promise<Omit<AwsCredentials, 'expiresAt'> & { readonly expiration: Date }> {
  const roleArn = template.replaceAll('{account}', account)
  return async () => {
    try {
      const { credentials } = await assume({
        roleArn,
        region: partitionRegion(roleArn),
        sessionName: 'writ-containment',
        sourceIdentity: 'writ-containment',
        tags: {},
        durationSeconds: SECONDS,
        policy: POLICY,
      })
      const { expiresAt, ...keys } = credentials
      return { ...keys, expiration: expiresAt }
    } catch (error) {
      if (!(error instanceof WritError) || error.code !== 'aws_refused') throw error
      const out = new WritError('iam_unavailable', `The containment role ${roleArn} cannot be assumed.`)
      out.cause = error
      throw out
    }
  }
}
