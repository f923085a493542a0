import type {
  Agent,
  AgentEnvironment,
  Environment,
  GrantFact,
  Identity,
  Limits,
  PolicySet,
  Scope,
  Tier,
} from '../../server/types.js'

const LONGEST = { read: 3600, write: 900 }

/** What an environment has whose document says nothing of it. */
export const LIMITS: Limits = {
  issuancesPerMinute: 60,
  liveSessions: 100,
  scopesPerHour: 50,
  denialsPerHour: 120,
}

export function environment(tier: Tier, change: Partial<Environment> = {}): Environment {
  return {
    name: tier,
    tier,
    account: '111122223333',
    regions: ['eu-west-1'],
    maxSessionSeconds: LONGEST,
    approvals: { write: tier === 'production' ? 1 : 0, delete: tier === 'production' ? 2 : 0 },
    allowDelete: false,
    coolDownSeconds: 600,
    limits: LIMITS,
    ...change,
  }
}

export function scope(name: string, level: 'read' | 'write' | 'delete', change: Partial<Scope> = {}): Scope {
  return {
    name,
    describe: name,
    statements: [{ actions: ['s3:GetObject'], resources: ['arn:aws:s3:::orders/*'], conditions: {} }],
    levels: new Set(level === 'delete' ? ['write', 'delete'] : [level]),
    kind: level === 'read' ? 'read' : 'write',
    destroys: level === 'delete',
    promotion: false,
    ...change,
  }
}

export const SCOPES = [scope('read', 'read'), scope('write', 'write'), scope('purge', 'delete')]

export function place(name: string, change: Partial<AgentEnvironment> = {}): AgentEnvironment {
  return {
    environment: name,
    roles: {
      read: `arn:aws:iam::111122223333:role/${name}-read`,
      write: `arn:aws:iam::111122223333:role/${name}-write`,
    },
    scopes: SCOPES.map((one) => one.name),
    maxSessionSeconds: LONGEST,
    limits: LIMITS,
    ...change,
  }
}

export function policySet(
  change: { environments?: Environment[]; scopes?: Scope[]; agent?: Partial<Agent> } = {},
): PolicySet {
  const environments =
    change.environments ??
    (['sandbox', 'development', 'staging', 'production'] as const).map((tier) => environment(tier))
  const scopes = change.scopes ?? SCOPES
  const agent: Agent = {
    name: 'bot',
    describe: '',
    owner: { kind: 'team', name: 'orders' },
    status: 'active',
    identity: { issuer: 'https://issuer.example.com', claims: new Map() },
    environments: new Map(
      environments.map((one) => [one.name, place(one.name, { scopes: scopes.map((each) => each.name) })]),
    ),
    ...change.agent,
  }
  return {
    digest: 'sha256:one',
    environments: new Map(environments.map((one) => [one.name, one])),
    scopes: new Map(scopes.map((one) => [one.name, one])),
    agents: new Map([['bot', agent]]),
    operators: new Map(),
    issuers: [],
    webhooks: new Map(),
    redLineAt: () => undefined,
    agentsMatching: () => [agent],
    operatorsMatching: () => [],
    operatorByName: () => undefined,
  }
}

export const NOW = new Date('2026-11-21T12:00:00.500Z')

export function grantFact(change: Partial<GrantFact> = {}): GrantFact {
  return {
    id: 'grant0000001',
    agent: 'bot',
    environment: 'production',
    scopes: ['write'],
    policyDigest: 'sha256:one',
    permissionsSha256: 'permissions',
    uses: 0,
    maxUses: 1,
    notBefore: new Date(NOW.getTime() - 1000),
    expiresAt: new Date(NOW.getTime() + 3_600_000),
    maxSessionSeconds: 900,
    approvals: { signed: 1, byToken: 0, breakGlass: false },
    ...change,
  }
}

export function identity(change: Partial<Identity> = {}): Identity {
  return {
    issuer: 'https://issuer.example.com',
    subject: 'agent:bot',
    audience: 'https://writ.example.com',
    claims: {},
    issuedAt: NOW,
    expiresAt: new Date(NOW.getTime() + 600_000),
    ...change,
  }
}
