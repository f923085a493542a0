import { z } from 'zod'
import { agentName, environmentName, mapping, readable, scopePattern, unique } from './schema-fields.js'
import { claimName, claims } from './schema-matcher.js'

/** Documents of the people who operate: by name, and by what their issuer says of them. */

const roles = unique(z.enum(['operator', 'approver', 'security', 'admin'])).describe(
  "`operator` revokes and stops, `approver` decides on requests, `security` reads the record, `admin` looks after people's keys and sessions.",
)

const approvesScopes = unique(scopePattern)
  .optional()
  .describe('Scopes to approve, by name or as `orders:*`; every scope when left out.')

export const operatorSchema = mapping({
  operator: agentName.describe('Name of the person.'),
  identity: mapping({
    issuer: readable(512).describe('Exactly as in the token; needs an issuer document for operators.'),
    claims,
  }).describe('Which tokens are this person.'),
  roles,
  teams: unique(agentName)
    .optional()
    .describe("Teams; an approver never decides for an agent of their own team's."),
  also_known_as: unique(readable(128))
    .optional()
    .describe('Other names of this person in tokens and owners, so that nobody approves for themselves.'),
  approves: unique(environmentName).optional().describe('Environments this person may approve for.'),
  approves_scopes: approvesScopes,
}).describe('A human who operates, approves or reviews.')

// OpenID Connect Core section 5.7: only `iss` and `sub` together identify somebody; these are for show, not unique,
// and often whatever the person likes.
const FOR_SHOW = [
  'name',
  'given_name',
  'family_name',
  'middle_name',
  'nickname',
  'preferred_username',
  'username',
]

export const operatorsSchema = mapping({
  operators: agentName.describe('Name of the group. Nobody signs in under it.'),
  describe: readable(200).optional().describe('Who they are, for humans.'),
  identity: mapping({
    issuer: readable(512).describe('Exactly as in the token; needs an issuer document for operators.'),
    claims,
  }).describe('Which tokens are of the group, such as `groups: { has: writ-approvers }`.'),
  name: mapping({
    claim: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9_]{0,31}$/, { error: 'must be 1 to 32 letters, digits and _' })
      .refine((claim) => !FOR_SHOW.includes(claim), {
        error: 'must be one person for good; people choose this one, or share it. Use sub',
      })
      .describe('Claim that tells people apart for good. `sub` is the safe one.'),
  }).describe('What each person is called: `CLAIM:VALUE`.'),
  roles,
  teams: z
    .union([
      unique(agentName),
      mapping({ claim: claimName.describe("Claim with the person's teams, a list of text.") }),
    ])
    .optional()
    .describe(
      "Teams of everybody here, or the claim that lists a person's own; required for approvers, who never decide for an agent of their own team's.",
    ),
  also_known_as: mapping({
    claims: unique(claimName).describe(
      'Claims that each hold another name of the person; all must be there.',
    ),
  })
    .optional()
    .describe('Where else the person is named, besides `sub` and `email`.'),
  approves: unique(environmentName).optional().describe('Environments these people may approve for.'),
  approves_scopes: approvesScopes,
}).describe('People who are not named one by one: whoever their issuer says belongs to a group.')
