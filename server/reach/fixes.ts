import type { PolicyDocument, RoleDocument } from '../types.js'

/** Safe between any characters of a POSIX shell. */
const quoted = (text: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`

const document = (policy: PolicyDocument): string => quoted(JSON.stringify(policy))

/** The inline policy that docs/aws-setup.md writes. */
export const OWN_POLICY = 'writ-permissions'

export const nameOf = (roleArn: string): string => roleArn.slice(roleArn.lastIndexOf('/') + 1)

const role = (arn: string): string => `--role-name ${quoted(nameOf(arn))}`

/** Commands of the AWS CLI, for an administrator of the role's account. Each is one line. */
export const fixes = {
  create({ arn, trustPolicy, permissions, maxSessionSeconds }: RoleDocument): string {
    const [, path = '/'] = /:role(\/(?:.*\/)?)[^/]+$/.exec(arn) ?? []
    return [
      `aws iam create-role ${role(arn)} --path ${quoted(path)} --max-session-duration ${maxSessionSeconds} --assume-role-policy-document ${document(trustPolicy)}`,
      fixes.permissions({ arn, permissions }),
    ].join('\n')
  },
  trust: ({ arn, trustPolicy }: RoleDocument): string =>
    `aws iam update-assume-role-policy ${role(arn)} --policy-document ${document(trustPolicy)}`,
  session: ({ arn, maxSessionSeconds }: RoleDocument): string =>
    `aws iam update-role ${role(arn)} --max-session-duration ${maxSessionSeconds}`,
  permissions: (
    { arn, permissions }: Pick<RoleDocument, 'arn' | 'permissions'>,
    name: string = OWN_POLICY,
  ): string =>
    `aws iam put-role-policy ${role(arn)} --policy-name ${quoted(name)} --policy-document ${document(permissions)}`,
  drop: (arn: string, name: string): string =>
    `aws iam delete-role-policy ${role(arn)} --policy-name ${quoted(name)}`,
  detach: (arn: string, policyArn: string): string =>
    `aws iam detach-role-policy ${role(arn)} --policy-arn ${quoted(policyArn)}`,
  boundary: (arn: string): string => `aws iam delete-role-permissions-boundary ${role(arn)}`,
}
