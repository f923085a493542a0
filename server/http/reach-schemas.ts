import { z } from 'zod'
import { ERRORS } from '../errors.js'
import type { Diagnosis } from '../reach/doctor.js'
import type { Never } from '../reach/never.js'
import type { Permission } from '../reach/permissions.js'
import type { Reach, ReachedEnvironment, ReachedScope } from '../reach/reach.js'
import type { Refusal } from '../types.js'
import { environmentName, instant } from './schemas.js'

export const reachQuery = z.strictObject({ environment: environmentName.optional() })

const way = z
  .enum(['alone', 'grant', 'never'])
  .describe('In principle: by itself, with humans who approve, or not at all')
const refusal = z
  .strictObject({ code: z.string(), detail: z.string(), next: z.string() })
  .describe('Why it is not there now, or never')
const had = {
  way,
  approvals: z.number().int().describe('Different humans that it takes'),
  now: z.boolean().describe('Whether it is there at this moment: stops, limits and live grants counted'),
  grant: z.string().optional().describe('The live grant that it is there on'),
  refusal: refusal.optional(),
}
const never = z.strictObject({ code: z.string(), because: z.string(), actions: z.array(z.string()) })

export const reachAnswer = z.strictObject({
  agent: z.string(),
  status: z.string(),
  policy_digest: z.string(),
  at: instant,
  environments: z.array(
    z.strictObject({
      environment: z.string(),
      tier: z.string(),
      account: z.string(),
      regions: z.array(z.string()),
      roles: z.strictObject({ read: z.string().optional(), write: z.string().optional() }),
      bound_to: z
        .string()
        .optional()
        .describe('The network that sessions work from: CIDR blocks, or `caller`'),
      scopes: z.array(z.strictObject({ scope: z.string(), levels: z.array(z.string()), ...had })),
      permissions: z.array(
        z.strictObject({
          action: z.string(),
          levels: z.array(z.string()),
          resources: z.array(z.string()).describe('`{claim.NAME}` stands for a claim of the token'),
          more_resources: z.number().int(),
          conditions: z.record(z.string(), z.unknown()).optional().describe('As IAM writes them'),
          scopes: z.array(z.string()),
          ...had,
        }),
      ),
      never: z.array(never).describe('Red lines and deletes of the same services that no scope reaches'),
      left_out: z.strictObject({
        permissions: z.number().int().describe('Permissions beyond what this answer holds'),
        others: z.number().int().describe('Further actions of the same services that no scope reaches'),
      }),
    }),
  ),
  red_lines: z.array(never).describe('What no agent gets anywhere; documents of the policy may add to it'),
})

const refusalView = (one: Refusal | undefined) =>
  one === undefined ? {} : { refusal: { code: one.code, detail: one.detail, next: ERRORS[one.code].next } }

const hadView = ({ way, approvals, now, grant, refusal }: ReachedScope | Permission) => ({
  way,
  approvals,
  now,
  ...(grant === undefined ? {} : { grant }),
  ...refusalView(refusal),
})

const neverView = ({ code, because, actions }: Never) => ({ code, because, actions: [...actions] })

export const reachView = (reach: Reach, at: Date): z.output<typeof reachAnswer> => ({
  agent: reach.agent,
  status: reach.status,
  policy_digest: reach.policyDigest,
  at: at.toISOString(),
  environments: reach.environments.map(placeView),
  red_lines: reach.redLines.map(neverView),
})

function placeView({ environment, place, scopes, permissions, never, leftOut }: ReachedEnvironment) {
  const { roles, network } = place
  return {
    environment: environment.name,
    tier: environment.tier,
    account: environment.account,
    regions: [...environment.regions],
    roles: {
      ...(roles.read === undefined ? {} : { read: roles.read }),
      ...(roles.write === undefined ? {} : { write: roles.write }),
    },
    ...(network === undefined
      ? {}
      : { bound_to: network.kind === 'caller' ? 'caller' : network.cidrs.join(' ') }),
    scopes: scopes.map((one) => ({
      scope: one.scope.name,
      levels: [...one.scope.levels].sort(),
      ...hadView(one),
    })),
    permissions: permissions.map((one) => ({
      action: one.action,
      levels: [...one.levels],
      resources: [...one.resources],
      more_resources: one.moreResources,
      ...(Object.keys(one.conditions).length === 0 ? {} : { conditions: { ...one.conditions } }),
      scopes: [...one.scopes],
      ...hadView(one),
    })),
    never: never.map(neverView),
    left_out: { ...leftOut },
  }
}

export const doctorAnswer = z.strictObject({
  at: instant,
  policy_digest: z.string(),
  broker: z.string().describe('Who the broker is at AWS'),
  checked: z.number().int().describe('Roles that were compared'),
  clean: z.boolean().describe('No finding but notes'),
  findings: z.array(
    z.strictObject({
      severity: z
        .enum(['error', 'warning', 'note'])
        .describe('error: something fails, or somebody gets in; warning: more is open than policy needs'),
      code: z.string(),
      role: z.string(),
      sentence: z.string(),
      fix: z.string().optional().describe('Commands of the AWS CLI for the account of the role'),
    }),
  ),
  next: z.string().nullable().describe('Goes into `after`; null when every role was compared'),
})

export const doctorView = (
  diagnosis: Diagnosis,
  about: { at: Date; policyDigest: string; broker: string },
) => ({
  at: about.at.toISOString(),
  policy_digest: about.policyDigest,
  broker: about.broker,
  checked: diagnosis.checked,
  clean: diagnosis.clean,
  findings: diagnosis.findings.map((one) => ({ ...one })),
  next: diagnosis.next ?? null,
})
