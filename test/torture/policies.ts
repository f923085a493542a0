import { UNHINDERED, writeFiles } from '../../bench/policies.js'

export const AGENTS = ['ant', 'bee', 'cat', 'dog', 'elk', 'fox'] as const
export const AGENT_AUDIENCE = 'https://writ.torture.test'
export const OPERATOR_AUDIENCE = 'https://writ.torture.test/operators'
export const OPERATOR = 'olga'

/** Development, where agents read freely, and production, where each write needs a grant by the operator. */
export async function writePolicies(folder: string, issuer: string): Promise<void> {
  const place = (agent: string, name: string, account: string) => `  ${name}:
    roles:
      read: "arn:aws:iam::${account}:role/writ/${agent}-read"
      write: "arn:aws:iam::${account}:role/writ/${agent}-write"
    scopes: [things:read, things:write]
`
  await writeFiles(folder, {
    'issuers/agents.yaml': issuerFile(issuer, 'agents', AGENT_AUDIENCE),
    'issuers/operators.yaml': issuerFile(issuer, 'operators', OPERATOR_AUDIENCE),
    'environments/development.yaml': environmentFile('development', '222233334444'),
    'environments/production.yaml': environmentFile('production', '111122223333'),
    'scopes/read.yaml': scopeFile('things:read', 's3:GetObject'),
    'scopes/write.yaml': scopeFile('things:write', 's3:PutObject'),
    'operators/olga.yaml': `operator: ${OPERATOR}
identity:
  issuer: ${issuer}
  claims: { sub: "operator:${OPERATOR}" }
roles: [approver, operator]
teams: [platform]
approves: [production]
`,
    ...Object.fromEntries(
      AGENTS.map((agent) => [
        `agents/${agent}.yaml`,
        `agent: ${agent}
describe: An agent that never stops asking
owner: { team: animals }
identity:
  issuer: ${issuer}
  audience: ${AGENT_AUDIENCE}
  claims: { sub: "agent:${agent}" }
environments:
${place(agent, 'development', '222233334444')}${place(agent, 'production', '111122223333')}`,
      ]),
    ),
  })
}

const issuerFile = (issuer: string, side: string, audience: string): string => `issuer: ${issuer}
for: ${side}
audience: ${audience}
algorithms: [ES256]
max_token_age: 12h
max_token_life: 12h
`

const environmentFile = (name: string, account: string): string => `environment: ${name}
tier: ${name}
account: "${account}"
regions: [eu-west-1]
${UNHINDERED}`

const scopeFile = (name: string, action: string): string => `scope: ${name}
describe: What the agents are after
allow:
  - actions: [${action}]
    resources: ["arn:aws:s3:::things-{environment}/*"]
`
