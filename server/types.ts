/**
 * The vocabulary every part shares. Imports nothing, does nothing.
 *
 * Units: every `…Seconds` is whole seconds, every instant a `Date` or, on the wire, ISO 8601 in UTC.
 */

// --- places, people, permissions -------------------------------------------------------------------

/** What may happen in an environment at all. */
export type Tier = 'sandbox' | 'development' | 'staging' | 'production'

/**
 * Computed from a scope's actions, never declared. The first six are AWS's own levels (Service
 * Authorization Reference); `delete` is ours: a write whose verb destroys.
 */
export type AccessLevel = 'read' | 'list' | 'tagging' | 'write' | 'delete' | 'permissions-management'

/** Which of an agent's two roles in an environment a session runs on. */
export type RoleKind = 'read' | 'write'

/** How a claim value is compared. Never a regular expression: an alternation escapes its anchors. */
export type Matcher =
  | { readonly kind: 'equals'; readonly value: string }
  | { readonly kind: 'in'; readonly values: readonly string[] }
  /** Ends at a delimiter, so `repo:acme/` cannot match `repo:acme-evil/`. */
  | { readonly kind: 'prefix'; readonly value: string }
  /** The claim is a list of text that has this one, as groups and roles are. */
  | { readonly kind: 'has'; readonly value: string }

/** Who a token must come from and what it must claim. Every matcher has to hold. */
export interface IdentityMatch {
  readonly issuer: string
  readonly claims: ReadonlyMap<string, Matcher>
}

/** The issuer of tokens for trying Writ out on one machine. `.invalid` never resolves (RFC 2606): nobody else can be it. */
export const LOCAL_ISSUER = 'https://local.writ.invalid'

/** The human an agent acts for, with how we know. */
export interface OnBehalfOf {
  readonly human: string
  /** `self-claimed` is recorded and shown as such; it never authorises anything. */
  readonly how: 'verified' | 'issuer-asserted' | 'self-claimed'
}

/** An OIDC issuer whose tokens we verify. */
export interface TrustedIssuer {
  readonly issuer: string
  /** Exactly this audience and no other: a token also meant for someone else can be replayed by them. */
  readonly audience: string
  /** An issuer entry serves one side only, so no agent's token verifies on an operator's route. */
  readonly for: 'agents' | 'operators'
  readonly algorithms: readonly string[]
  /** Fixed key set URL; absent means OIDC discovery at the issuer. */
  readonly jwksUri?: string
  /** Longest accepted age of a token, from `iat`. */
  readonly maxTokenAgeSeconds: number
  /** Longest accepted life of a token, `exp` minus `iat`. */
  readonly maxTokenLifeSeconds: number
  /** Claim that names the human an agent acts for. */
  readonly human?: { readonly claim: string; readonly how: 'verified' | 'issuer-asserted' }
  /** How humans sign in to the console here (OpenID Connect Core section 3.1); only for operators. */
  readonly signIn?: SignIn
}

export interface SignIn {
  readonly clientId: string
  /** Absolute path of a file with the client's secret; absent for a public client, which has PKCE alone. */
  readonly clientSecretFile?: string
  /** Has `openid`. */
  readonly scopes: readonly string[]
}

export interface Environment {
  readonly name: string
  readonly tier: Tier
  /** Twelve digits. */
  readonly account: string
  /** Never empty; sessions are denied every other region. */
  readonly regions: readonly string[]
  readonly maxSessionSeconds: Readonly<Record<RoleKind, number>>
  /** How many different humans must approve; 0 means none is needed in this tier. In staging `write` counts promotions. */
  readonly approvals: { readonly write: number; readonly delete: number }
  /** Whether delete-level scopes exist here at all. */
  readonly allowDelete: boolean
  /** How long after a denial the same agent may not ask for the same again. */
  readonly coolDownSeconds: number
  /** The named few who may decide alone in an emergency; production only. */
  readonly breakGlass?: {
    readonly operators: ReadonlySet<string>
    /** Longest life of such a grant; never over an hour. */
    readonly maxSeconds: number
  }
  readonly limits: Limits
  readonly stopAfter?: StopAfter
}

/** How fast an agent may go in an environment. */
export interface Limits {
  readonly issuancesPerMinute: number
  readonly liveSessions: number
  readonly scopesPerHour: number
  readonly denialsPerHour: number
}

/** So many attempts within an hour stop the agent by themselves. */
export interface StopAfter {
  readonly overLimit?: number
  readonly redLines?: number
}

/** Conditions as IAM writes them: operator → key → values. */
export type Conditions = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

export interface ScopeStatement {
  /** `service:Action`, wildcards only as the document wrote them, sorted. */
  readonly actions: readonly string[]
  /** ARN templates: literal text and `{environment}`, `{account}`, `{region}`, `{agent}`, `{claim.NAME}`. */
  readonly resources: readonly string[]
  readonly conditions: Conditions
}

export interface Scope {
  readonly name: string
  readonly describe: string
  readonly statements: readonly ScopeStatement[]
  /** Every level its actions have, computed from IAM data. */
  readonly levels: ReadonlySet<AccessLevel>
  /** `read` when every action only reads or lists, else `write`. */
  readonly kind: RoleKind
  /** Whether any action destroys. */
  readonly destroys: boolean
  /** Needs a human in staging too. */
  readonly promotion: boolean
  /** At least so many humans, wherever writing with this scope needs any: in production, and in staging too. */
  readonly approvals?: number
}

export type Owner =
  | { readonly kind: 'team'; readonly name: string }
  | { readonly kind: 'human'; readonly name: string }

/** `caller` binds to the address the broker sees; a list binds to those CIDR blocks. */
export type NetworkBinding =
  | { readonly kind: 'caller' }
  | { readonly kind: 'cidrs'; readonly cidrs: readonly string[] }

export interface AgentEnvironment {
  readonly environment: string
  readonly roles: { readonly read?: string; readonly write?: string }
  readonly scopes: readonly string[]
  readonly network?: NetworkBinding
  /** Already no longer than the environment's. */
  readonly maxSessionSeconds: Readonly<Record<RoleKind, number>>
  /** Already no higher than the environment's. */
  readonly limits: Limits
}

export interface Agent {
  readonly name: string
  readonly describe: string
  readonly owner: Owner
  readonly status: 'active' | 'stopped'
  readonly identity: IdentityMatch
  readonly environments: ReadonlyMap<string, AgentEnvironment>
}

/**
 * What an operator may do: `operator` revokes and withdraws, `approver` decides, `security` reads the record, `admin`
 * looks after people's keys and sessions and decides nothing by that.
 */
export type OperatorRole = 'operator' | 'approver' | 'security' | 'admin'

export interface Operator {
  readonly name: string
  readonly identity: IdentityMatch
  readonly roles: ReadonlySet<OperatorRole>
  readonly teams: ReadonlySet<string>
  /** Other names this person appears under in agents' tokens and owners; `name` is always among them. */
  readonly alsoKnownAs: ReadonlySet<string>
  /** Environments this person may approve for. */
  readonly approves: ReadonlySet<string>
  /**
   * Environment → the scopes that may be approved there, by name or, ending in `:*`, by how they begin. An environment
   * that is not in it: every scope. `mayApprove` reads it; nothing else should.
   */
  readonly approvesScopes?: ReadonlyMap<string, ReadonlySet<string>>
}

/** A receiver that is told of entries in the log, by the Standard Webhooks specification. */
export interface Webhook {
  readonly name: string
  readonly url: string
  /** Absolute path of a file with one or two lines `whsec_…`. */
  readonly secretFile: string
  /** Absolute path of certificates (PEM) to believe for this receiver, in place of the public ones. */
  readonly caFile?: string
  /** Kinds of entries; a trailing `*` stands for whatever begins so. */
  readonly kinds: readonly string[]
  /** Whether personal data is sent along. */
  readonly personal: boolean
  /** Leads to this machine, in local mode only. */
  readonly local: boolean
}

/** The compiled policy: immutable, with a digest that names it. Built only by `policy/compile.ts`. */
export interface PolicySet {
  /** `sha256:` and 64 hex digits over the canonical form of all documents. */
  readonly digest: string
  readonly environments: ReadonlyMap<string, Environment>
  readonly scopes: ReadonlyMap<string, Scope>
  readonly agents: ReadonlyMap<string, Agent>
  /** Those with a document of their own; whom a document for a group lets in, only `operatorsMatching` knows. */
  readonly operators: ReadonlyMap<string, Operator>
  readonly issuers: readonly TrustedIssuer[]
  readonly webhooks: ReadonlyMap<string, Webhook>
  /** The red-line action that an unknown scope's name spells, as in `iam:CreateUser` asked for as a scope. */
  readonly redLineAt: (scope: string) => string | undefined
  /** All agents (or operators) whose matchers hold for a verified identity: none, one, or an ambiguity. */
  readonly agentsMatching: (identity: Identity) => readonly Agent[]
  readonly operatorsMatching: (identity: Identity) => readonly Operator[]
  /** Without a token there are no claims: only who has a document of their own. */
  readonly operatorByName: (name: string) => Operator | undefined
}

// --- who is calling ----------------------------------------------------------------------------------

/** What a verified JWT says. Holds no token and no signature, so it may be recorded. */
export interface Identity {
  readonly issuer: string
  readonly subject: string
  readonly audience: string
  /** Deeply frozen, objects without a prototype. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly issuedAt: Date
  readonly expiresAt: Date
  /** When the human behind the token last authenticated (`auth_time`), where the issuer says so. */
  readonly authenticatedAt?: Date
  readonly onBehalfOf?: OnBehalfOf
}

// --- deciding ----------------------------------------------------------------------------------------

/** What an agent asks for, already shape-checked. */
export interface CredentialRequest {
  readonly environment: string
  /** Sorted, without repeats, never empty. */
  readonly scopes: readonly string[]
  readonly ttlSeconds?: number
  readonly reason: string
  readonly ticket?: string
  /** The caller's own label for a separate session; part of the cache key, never of an AWS name. */
  readonly session?: string
}

/** A grant as the database holds it now. */
export interface GrantFact {
  readonly id: string
  readonly agent: string
  readonly environment: string
  readonly scopes: readonly string[]
  readonly policyDigest: string
  readonly permissionsSha256: string
  readonly uses: number
  readonly maxUses: number
  readonly notBefore: Date
  readonly expiresAt: Date
  readonly revokedAt?: Date
  readonly maxSessionSeconds: number
  readonly approvals: ProvenApprovals
}

/** How many different humans' approvals of a grant hold, now that they have been checked again. */
export interface ProvenApprovals {
  /** With a key of their own. */
  readonly signed: number
  /** With a fresh token alone, which in production counts for nothing. */
  readonly byToken: number
  /** One of the signed ones breaks the glass: it lifts the number that is needed. */
  readonly breakGlass: boolean
}

/** Everything a decision may know that is not policy. */
export interface Facts {
  /** Grants for this agent and environment, of any state, newest first. */
  readonly grants: readonly GrantFact[]
  /** The engaged stop that holds for this agent here, or for the human behind it. */
  readonly stop?: string
  /** Absent where nothing is counted: what a decision would be in principle. */
  readonly pace?: Pace
  /** The live session that would be handed out again, if there is one. */
  readonly liveSession?: { readonly issuanceId: string; readonly grantId?: string }
}

/** How fast an agent has gone in an environment, as the database counts it. */
export interface Pace {
  /** Sessions begun in the last minute. */
  readonly issued: number
  /** Sessions that are not over. */
  readonly live: number
  /** Denials in the last hour; repeats of one within seconds count once. */
  readonly denied: number
  /** Scopes that sessions were begun with in the last hour. */
  readonly scopes: readonly string[]
}

/** Codes a decision can answer with; `errors.ts` has the sentence and the next step of each. */
export type RefusalCode =
  | 'agent_stopped'
  | 'environment_unknown'
  | 'scope_unknown'
  | 'role_missing'
  | 'delete_not_allowed'
  | 'red_line'
  | 'over_limit'
  | 'grant_required'
  | 'grant_not_yet_valid'
  | 'grant_expired'
  | 'grant_revoked'
  | 'grant_used_up'
  | 'grant_stale'
  | 'grant_unproven'
  | 'claim_unusable'
  | 'network_unknown'
  | 'session_policy_too_large'

export interface Refusal {
  readonly code: RefusalCode
  /** One sentence a human understands. */
  readonly detail: string
  /** With over_limit: when to try again. */
  readonly retryAfterSeconds?: number
}

export interface Allow {
  readonly outcome: 'allow'
  readonly agent: Agent
  readonly environment: Environment
  readonly scopes: readonly Scope[]
  readonly roleKind: RoleKind
  readonly roleArn: string
  readonly durationSeconds: number
  /** The instant at which the session must be over, whatever its duration says. */
  readonly notAfter: Date
  readonly grant?: GrantFact
  /** Approvals this needed; 0 when no human had to be asked. */
  readonly approvalsNeeded: number
  readonly network?: NetworkBinding
}

export interface Deny {
  readonly outcome: 'deny'
  readonly refusal: Refusal
}

export interface NeedsGrant {
  readonly outcome: 'needs-grant'
  readonly refusal: Refusal
  readonly agent: Agent
  readonly environment: Environment
  readonly scopes: readonly Scope[]
  readonly roleArn: string
  readonly approvalsNeeded: number
  readonly maxSessionSeconds: number
}

export type Decision = Allow | Deny | NeedsGrant

// --- IAM -----------------------------------------------------------------------------------------------

/** An IAM policy document in the subset Writ reads and writes. */
export interface PolicyDocument {
  readonly Version?: string
  readonly Statement: readonly PolicyStatement[]
}

export interface PolicyStatement {
  readonly Sid?: string
  readonly Effect: 'Allow' | 'Deny'
  readonly Principal?: '*' | Readonly<Record<string, string | readonly string[]>>
  readonly Action: string | readonly string[]
  /** Absent in trust policies. */
  readonly Resource?: string | readonly string[]
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>
}

/** A role as it should be in IAM: what `writ policy roles` prints and local AWS runs on. */
export interface RoleDocument {
  readonly arn: string
  readonly environment: string
  readonly kind: RoleKind
  readonly trustPolicy: PolicyDocument
  readonly permissions: PolicyDocument
  readonly maxSessionSeconds: number
}
