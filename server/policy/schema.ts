import { z } from 'zod'
import { ALGORITHMS, PRESETS, type PresetName } from './presets.js'
import {
  absolutePath,
  agentName,
  duration,
  environmentName,
  mapping,
  oneOrMore,
  readable,
  roleArn,
  scopeName,
  secureUrl,
  unique,
} from './schema-fields.js'
import { claimName, claims } from './schema-matcher.js'
import { operatorSchema, operatorsSchema } from './schema-people.js'
import { LIMITS, MOST_ATTEMPTS, MOST_LIMIT } from './tiers.js'

/** Every document that a policy folder may hold. This is the one source of checks, JSON Schema and docs/policy.md. */

const sessionLimits = (what: string) =>
  mapping({
    read: duration.optional().describe('Longest session on the read role, such as `30m`.'),
    write: duration.optional().describe('Longest session on the write role.'),
  }).describe(what)

const approvalCount = z
  .int({ error: 'must be a whole number' })
  .min(1, { error: 'must be at least 1' })
  .max(10, { error: 'must be at most 10' })

const whole = (most: number) =>
  z
    .int({ error: 'must be a whole number' })
    .min(1, { error: 'must be at least 1' })
    .max(most, { error: `must be at most ${most}` })
    .optional()

type Said = Readonly<Record<keyof typeof LIMITS, string>>
const saidOf = (say: (usual: number) => string): Said => ({
  issuances_per_minute: say(LIMITS.issuances_per_minute),
  live_sessions: say(LIMITS.live_sessions),
  scopes_per_hour: say(LIMITS.scopes_per_hour),
  denials_per_hour: say(LIMITS.denials_per_hour),
})
const usualLimits = saidOf((usual) => `; ${usual} when left out`)
const unsaid = saidOf(() => '')

const paceLimits = (what: string, usual: Said) =>
  mapping({
    issuances_per_minute: whole(MOST_LIMIT).describe(
      `Sessions begun within a minute${usual.issuances_per_minute}.`,
    ),
    live_sessions: whole(MOST_LIMIT).describe(`Sessions that are not over${usual.live_sessions}.`),
    scopes_per_hour: whole(MOST_LIMIT).describe(
      `Different scopes that sessions were begun with within an hour${usual.scopes_per_hour}.`,
    ),
    denials_per_hour: whole(MOST_LIMIT).describe(
      `Denials within an hour; repeats of one within seconds count once${usual.denials_per_hour}.`,
    ),
  }).describe(what)

export const environmentSchema = mapping({
  environment: environmentName.describe('Name of the environment.'),
  describe: readable(200).optional().describe('What it is for, for humans.'),
  tier: z
    .enum(['sandbox', 'development', 'staging', 'production'])
    .describe('What may happen here at all; see the table of tiers.'),
  account: z
    .string()
    .regex(/^\d{12}$/, { error: 'must be the twelve digits of an AWS account' })
    .describe('AWS account, twelve digits in quotes.'),
  regions: unique(
    z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, { error: 'must be an AWS region such as eu-west-1' }),
  ).describe('Regions of this environment; sessions are denied every other one.'),
  max_session: sessionLimits("Tightens the tier's longest sessions.").optional(),
  approvals: mapping({
    write: approvalCount
      .optional()
      .describe(
        'Humans who must approve a write: at least 1 in production; in staging it counts for promotions.',
      ),
    delete: approvalCount
      .optional()
      .describe('Humans who must approve a delete: at least 2, in production only.'),
  })
    .optional()
    .describe('Raises how many different humans must approve.'),
  allow_delete: z
    .literal(true, { error: 'must be true, or be left out' })
    .optional()
    .describe('Production only: deleting scopes exist here, each with a grant by two.'),
  cool_down: duration
    .optional()
    .describe('How long after a denial the same agent may not ask again: 1m to 24h, 10m when left out.'),
  break_glass: mapping({
    operators: unique(agentName)
      .max(10, { error: 'must be few: at most 10' })
      .describe('Approvers of this environment, by name.'),
    max: duration.optional().describe('Longest life of such a grant: 1m to 1h, 1h when left out.'),
  })
    .optional()
    .describe(
      'Production only: whose approval alone is enough in an emergency. Owners and whoever the agent acts for stay barred.',
    ),
  limits: paceLimits('How fast each agent may go here; over it, 429.', usualLimits).optional(),
  stop_after: mapping({
    over_limit: whole(MOST_ATTEMPTS).describe('Refusals because the agent went too fast.'),
    red_lines: whole(MOST_ATTEMPTS).describe(
      'Attempts at what no agent may ever have; in production, at deleting where nobody may.',
    ),
  })
    .optional()
    .describe(
      'So many attempts within an hour stop the agent everywhere, by themselves; one person releases it. Off when left out.',
    ),
}).describe('A place: one AWS account with a tier.')

const conditions = z
  .record(z.string(), z.record(z.string(), z.union([z.string(), oneOrMore(z.string())])))
  .describe('Conditions as IAM writes them: operator → key → value or values. No policy variables.')

export const scopeSchema = mapping({
  scope: scopeName.describe('Name of the scope, such as `orders:write`. The name decides nothing.'),
  describe: readable(200).describe('What it lets an agent do, in the words an approver reads.'),
  allow: oneOrMore(
    mapping({
      actions: unique(z.string()).describe('`service:Action`, with `*` and `?` in the action only.'),
      resources: unique(z.string()).describe(
        'ARNs with `{environment}`, `{account}`, `{region}`, `{agent}`, `{claim.NAME}`. `*` only for actions that know no resource.',
      ),
      when: conditions.optional(),
    }),
  ).describe('Statements; each allows its actions on its resources.'),
  promotion: z.boolean().optional().describe('Needs a human in staging too.'),
  approvals: approvalCount
    .optional()
    .describe('Write scopes only: at least so many humans must approve, in production and in staging.'),
}).describe('A named permission. Its access level is computed from its actions.')

const bind = mapping({
  network: z
    .union([z.literal('caller'), unique(z.string())])
    .describe('`caller`: the address the broker sees. A list: these CIDR blocks.'),
}).describe('Ties sessions to a network.')

const agentEnvironment = mapping({
  roles: mapping({
    read: roleArn.optional().describe('Role for read scopes.'),
    write: roleArn.optional().describe('Role for write scopes; another one than for reading.'),
  }).describe("IAM roles in the environment's account."),
  scopes: unique(scopeName).describe('Scopes the agent may ask for here.'),
  bind: bind.optional(),
  max_session: sessionLimits("Tightens the environment's longest sessions.").optional(),
  limits: paceLimits('Tightens how fast this agent may go here.', unsaid).optional(),
})

const exactlyOne = (value: object): boolean => Object.keys(value).length === 1

export const agentSchema = mapping({
  agent: agentName.describe('Name of the agent.'),
  describe: readable(200).optional().describe('What it does, for humans.'),
  owner: mapping({
    team: agentName.optional().describe('Team that owns it.'),
    human: readable(128).optional().describe('Human who owns it.'),
  })
    .refine(exactlyOne, { error: 'must have exactly one of team and human' })
    .describe('Who answers for it; the owner never approves its production writes.'),
  status: z.enum(['active', 'stopped']).optional().describe('`active` when left out.'),
  identity: mapping({
    issuer: readable(512).describe('Exactly as in the token; needs an issuer document for agents.'),
    audience: readable(512).optional().describe('For the reader: must equal that of the issuer document.'),
    claims,
  }).describe('Which tokens are this agent.'),
  environments: z
    .record(environmentName, agentEnvironment)
    .describe('Where it may go: environment → roles and scopes.'),
}).describe('A workload with an identity of its own.')

export const issuerSchema = mapping({
  issuer: secureUrl.describe('Exactly the `iss` of its tokens, to the last slash.'),
  for: z.enum(['agents', 'operators']).describe('Which side its tokens open. One document each.'),
  audience: readable(512).describe('The one `aud` its tokens must have.'),
  preset: z
    .enum(Object.keys(PRESETS) as [PresetName, ...PresetName[]])
    .optional()
    .describe('Defaults for algorithms, lifetimes and the human claim; what the document says wins.'),
  algorithms: unique(z.enum(ALGORITHMS))
    .optional()
    .describe('Signature algorithms its tokens may use. Asymmetric only.'),
  jwks: secureUrl.optional().describe('Fixed key set; without it, OIDC discovery at the issuer.'),
  max_token_age: duration
    .optional()
    .describe('Oldest token accepted, from `iat`; 1h unless the preset says less, at most 24h.'),
  max_token_life: duration
    .optional()
    .describe('Longest `exp` minus `iat`; 24h unless the preset says less, at most 24h.'),
  human: mapping({
    claim: claimName.describe('Claim that names the human the agent acts for.'),
    how: z
      .enum(['verified', 'issuer-asserted'])
      .describe("`verified` only where the issuer puts it there after that human's own sign-in."),
  })
    .optional()
    .describe('Where the human behind an agent is named.'),
  sign_in: mapping({
    client_id: readable(256).describe('The client that the issuer knows the console as.'),
    client_secret_file: absolutePath
      .optional()
      .describe('File with the secret of the client, on one line. Without it, a public client with PKCE.'),
    scopes: unique(
      z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/, {
        error: 'must be a scope of the issuer such as openid, without spaces',
      }),
    )
      .optional()
      .describe('Scopes to ask the issuer for; `[openid]` when left out.'),
  })
    .optional()
    .describe('For operators only: how they sign in to the console here.'),
}).describe('An OIDC issuer whose tokens are believed, for one side.')

export const redLineSchema = mapping({
  red_line: z.string().describe('`service:Action`, with `*` and `?` in the action only.'),
  because: readable(200).describe('Why, in the words of the message that refuses it.'),
}).describe('An action that no agent session may hold, on top of the built-in ones. Nothing takes one away.')

export const webhookSchema = mapping({
  webhook: agentName.describe('Name of the webhook. Its place in the log is kept under this name.'),
  describe: readable(200).optional().describe('Who receives it, for humans.'),
  url: secureUrl.describe('Where to send: https, port 443 or 1024 and above. No secret belongs in it.'),
  secret_file: absolutePath.describe(
    'File with one line `whsec_…`, or two while the secret changes. Read at every delivery.',
  ),
  ca_file: absolutePath
    .optional()
    .describe('Certificates (PEM) to believe for this receiver, in place of the public ones.'),
  kinds: unique(
    z.string().regex(/^[a-z_.]*\*?$/, { error: 'must be a kind of entry, or begin like some and end in *' }),
  ).describe(
    'Kinds of entries to send, such as `issuance.denied`; `grant.*` is all that begin with `grant.`.',
  ),
  personal: z
    .literal(true, { error: 'must be true, or be left out' })
    .optional()
    .describe('Sends personal data (humans, addresses, reasons) along.'),
  local: z
    .literal(true, { error: 'must be true, or be left out' })
    .optional()
    .describe('The receiver is on this machine; local mode only, and http will do.'),
}).describe('A receiver that is told of entries in the log.')

export const SCHEMAS = {
  environment: environmentSchema,
  scope: scopeSchema,
  agent: agentSchema,
  issuer: issuerSchema,
  operator: operatorSchema,
  operators: operatorsSchema,
  red_line: redLineSchema,
  webhook: webhookSchema,
} as const

export type Kind = keyof typeof SCHEMAS
export type Values = { [K in Kind]: z.infer<(typeof SCHEMAS)[K]> }

export const KINDS = Object.keys(SCHEMAS) as readonly Kind[]
