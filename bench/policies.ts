import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { LoadResult } from '../server/policy/load.js'
import { formatProblem } from '../server/policy/problems.js'
import { type Identity, LOCAL_ISSUER, type PolicySet } from '../server/types.js'

/** In the order of their accounts. */
const PLACES = [
  { name: 'development', account: '222233334444' },
  { name: 'staging', account: '333344445555' },
  { name: 'production', account: '111122223333' },
] as const

const TEAMS = 20

/** Agents that ask without a pause are what is measured here, and what is stopped elsewhere. One line of an environment. */
export const UNHINDERED =
  'limits: { issuances_per_minute: 100000, live_sessions: 100000, scopes_per_hour: 100000, denials_per_hour: 100000 }\n'

export const AUDIENCE = 'https://writ.localhost'

export const agentName = (n: number): string => `agent-${String(n).padStart(5, '0')}`

/** What a token of the agent claims: one claim that is its own, one that many share. */
export const claimsOf = (n: number): Readonly<Record<string, string>> => ({
  repository_id: String(100_000 + n),
  event_name: 'push',
})

/** What a verified token of the agent says. */
export function identityOf(n: number): Identity {
  const now = new Date()
  return {
    issuer: LOCAL_ISSUER,
    subject: agentName(n),
    audience: AUDIENCE,
    claims: { sub: agentName(n), ...claimsOf(n) },
    issuedAt: now,
    expiresAt: new Date(now.getTime() + 900_000),
  }
}

/** The two scopes of an agent's team. */
export const scopesOf = (n: number): readonly [read: string, write: string] => [
  `team-${n % TEAMS}:read`,
  `team-${n % TEAMS}:write`,
]

/** A policy set of so many agents, each in three environments: file name → YAML, one document a file. */
export function policyFiles(agents: number): Readonly<Record<string, string>> {
  const files: Record<string, string> = {
    'issuer.yaml': `issuer: ${LOCAL_ISSUER}
for: agents
audience: ${AUDIENCE}
algorithms: [ES256]
max_token_age: 12h
max_token_life: 12h
`,
  }
  for (const { name, account } of PLACES) {
    files[`environments/${name}.yaml`] = `environment: ${name}
tier: ${name}
account: "${account}"
regions: [eu-west-1]
${UNHINDERED}`
  }
  for (let team = 0; team < TEAMS; team++) {
    files[`scopes/team-${team}-read.yaml`] = `scope: team-${team}:read
describe: Read and list what the team owns
allow:
  - actions: [s3:ListBucket]
    resources: ["arn:aws:s3:::team-${team}-{environment}"]
  - actions: [s3:GetObject]
    resources: ["arn:aws:s3:::team-${team}-{environment}/*"]
`
    files[`scopes/team-${team}-write.yaml`] = `scope: team-${team}:write
describe: Add and change what the team owns
allow:
  - actions: [s3:PutObject]
    resources: ["arn:aws:s3:::team-${team}-{environment}/*"]
`
  }
  for (let n = 0; n < agents; n++) files[`agents/${agentName(n)}.yaml`] = agentFile(n)
  return files
}

function agentFile(n: number): string {
  const name = agentName(n)
  const places = PLACES.map(
    (place) => `  ${place.name}:
    roles:
      read: "arn:aws:iam::${place.account}:role/writ/${name}-read"
      write: "arn:aws:iam::${place.account}:role/writ/${name}-write"
    scopes: [${scopesOf(n).join(', ')}]
`,
  )
  return `agent: ${name}
describe: An agent of a generated set
owner: { team: team-${n % TEAMS} }
identity:
  issuer: ${LOCAL_ISSUER}
  audience: ${AUDIENCE}
  claims: { repository_id: "${claimsOf(n).repository_id}", event_name: { in: [push, workflow_dispatch] } }
environments:
${places.join('')}`
}

export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }
}

/** The set that was loaded; throws with its problems when there is none. */
export function setOf(loaded: LoadResult): PolicySet {
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'))
  return loaded.policySet
}
