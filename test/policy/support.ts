import { compile } from '../../server/policy/compile.js'
import { parseDocuments, type SourceFile } from '../../server/policy/parse.js'
import { formatProblem, type Problem } from '../../server/policy/problems.js'
import type { Identity, PolicySet } from '../../server/types.js'

export const ISSUER = 'https://token.actions.githubusercontent.com'
export const AUDIENCE = 'https://writ.example.com'

/** A small policy set in which everything is in order, one document a name. */
export const GOOD: Readonly<Record<string, string>> = {
  'dev.yaml': `environment: dev
tier: development
account: "222233334444"
regions: [eu-west-1]
`,
  'prod.yaml': `environment: prod
tier: production
account: "111122223333"
regions: [eu-west-1]
`,
  'sandbox.yaml': `environment: sandbox
tier: sandbox
account: "444455556666"
regions: [eu-west-1]
`,
  'issuer.yaml': `issuer: ${ISSUER}
for: agents
audience: ${AUDIENCE}
preset: github-actions
`,
  'staff.yaml': `issuer: https://login.example.com
for: operators
audience: ${AUDIENCE}/operators
`,
  'read.yaml': `scope: orders:read
describe: Read orders
allow:
  - actions: [s3:GetObject]
    resources: ["arn:aws:s3:::orders-{environment}/*"]
`,
  'write.yaml': `scope: orders:write
describe: Write orders
allow:
  - actions: [s3:PutObject]
    resources: ["arn:aws:s3:::orders-{environment}/*"]
`,
  'purge.yaml': `scope: orders:purge
describe: Delete orders
allow:
  - actions: [s3:DeleteObject]
    resources: ["arn:aws:s3:::orders-{environment}/*"]
`,
  'coder.yaml': `agent: coder
owner: { team: orders }
identity:
  issuer: ${ISSUER}
  claims: { repository_id: "4711" }
environments:
  dev:
    roles:
      read: "arn:aws:iam::222233334444:role/writ/coder-read"
      write: "arn:aws:iam::222233334444:role/writ/coder-write"
    scopes: [orders:read, orders:write]
  prod:
    roles:
      read: "arn:aws:iam::111122223333:role/writ/coder-read"
      write: "arn:aws:iam::111122223333:role/writ/coder-write"
    scopes: [orders:read, orders:write]
`,
  'bob.yaml': `operator: bob
identity:
  issuer: https://login.example.com
  claims: { sub: bob }
roles: [approver]
approves: [prod]
`,
}

export const filesOf = (documents: Readonly<Record<string, string>>): SourceFile[] =>
  Object.entries(documents).map(([file, text]) => ({ file, text }))

/** The problems of the good set with some files replaced or added. */
export async function problemsWith(changes: Readonly<Record<string, string>>): Promise<readonly Problem[]> {
  const result = await compile(parseDocuments(filesOf({ ...GOOD, ...changes })))
  return result.ok ? [] : result.problems
}

/** The compiled set; throws with its problems when it does not compile. */
export async function compiled(documents: Readonly<Record<string, string>>): Promise<PolicySet> {
  const result = await compile(parseDocuments(filesOf(documents)))
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join('\n'))
  return result.policySet
}

export const identity = (claims: Readonly<Record<string, unknown>>, issuer = ISSUER): Identity => ({
  issuer,
  subject: 'subject',
  audience: AUDIENCE,
  claims,
  issuedAt: new Date(0),
  expiresAt: new Date(600_000),
})
