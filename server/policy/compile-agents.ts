import ipaddr from 'ipaddr.js'
import type {
  Agent,
  AgentEnvironment,
  Environment,
  IdentityMatch,
  NetworkBinding,
  RoleKind,
  Scope,
} from '../types.js'
import { tightened } from './compile-environments.js'
import { tightenedLimits } from './compile-limits.js'
import { frozenMap } from './freeze.js'
import type { Parsed } from './parse.js'
import { suggest } from './problems.js'
import type { Report } from './report.js'
import { accountIn } from './resources.js'
import type { Values } from './schema.js'
import { toMatcher } from './schema-matcher.js'
import { TIERS } from './tiers.js'

/** What agents refer to. `broken` holds `kind name` of documents that failed on their own account. */
export interface Surroundings {
  readonly environments: ReadonlyMap<string, Environment>
  readonly scopes: ReadonlyMap<string, Scope>
  readonly broken: ReadonlySet<string>
}

export function compileAgent(document: Parsed<'agent'>, around: Surroundings, report: Report): Agent {
  const { value } = document
  const places: [string, AgentEnvironment][] = []
  for (const [name, written] of Object.entries(value.environments)) {
    const environment = around.environments.get(name)
    if (environment === undefined) {
      if (!around.broken.has(`environment ${name}`)) {
        report(
          document,
          ['environments', name],
          'environment_unknown',
          `No environment document is called "${name}".${suggest(name, around.environments.keys())}`,
          'key',
        )
      }
      continue
    }
    places.push([name, compilePlace(document, environment, written, around, report)])
  }
  const { owner } = value
  return {
    name: value.agent,
    describe: value.describe ?? '',
    owner:
      owner.team === undefined
        ? { kind: 'human', name: owner.human ?? '' }
        : { kind: 'team', name: owner.team },
    status: value.status ?? 'active',
    identity: compileIdentity(value.identity),
    environments: frozenMap(places),
  }
}

export const compileIdentity = (identity: Values['operator' | 'operators']['identity']): IdentityMatch => ({
  issuer: identity.issuer,
  claims: frozenMap(Object.entries(identity.claims).map(([name, one]) => [name, toMatcher(one)] as const)),
})

type Written = Values['agent']['environments'][string]

function compilePlace(
  document: Parsed<'agent'>,
  environment: Environment,
  written: Written,
  around: Surroundings,
  report: Report,
): AgentEnvironment {
  const base = ['environments', environment.name]
  checkRoles(document, base, environment, written.roles, report)
  written.scopes.forEach((name, n) => {
    const at = [...base, 'scopes', n]
    const scope = around.scopes.get(name)
    if (scope === undefined) {
      if (!around.broken.has(`scope ${name}`)) {
        report(
          document,
          at,
          'scope_unknown',
          `No scope document is called "${name}".${suggest(name, around.scopes.keys())}`,
        )
      }
    } else checkScope(document, at, environment, written.roles, scope, around, report)
  })
  const network =
    written.bind === undefined ? undefined : compileNetwork(document, base, written.bind, report)
  const { read, write } = written.roles
  return {
    environment: environment.name,
    roles: { ...(read === undefined ? {} : { read }), ...(write === undefined ? {} : { write }) },
    scopes: [...written.scopes].sort(),
    ...(network === undefined ? {} : { network }),
    maxSessionSeconds: tightened(
      document,
      [...base, 'max_session'],
      written.max_session,
      environment.maxSessionSeconds,
      `the environment ${environment.name}`,
      report,
    ),
    limits: tightenedLimits(document, [...base, 'limits'], written.limits, environment, report),
  }
}

const KINDS: readonly RoleKind[] = ['read', 'write']

function checkRoles(
  document: Parsed<'agent'>,
  base: readonly PropertyKey[],
  environment: Environment,
  roles: Written['roles'],
  report: Report,
): void {
  for (const kind of KINDS) {
    const account = roles[kind]?.split(':')[4]
    if (account === undefined || account === environment.account) continue
    report(
      document,
      [...base, 'roles', kind],
      'role_account',
      `This role is in account ${account}, but ${environment.name} is ${environment.account}.`,
    )
  }
}

function checkScope(
  document: Parsed<'agent'>,
  at: readonly PropertyKey[],
  environment: Environment,
  roles: Written['roles'],
  scope: Scope,
  around: Surroundings,
  report: Report,
): void {
  if (scope.destroys && !environment.allowDelete) {
    const optIn = TIERS[environment.tier].deletes === 'opt-in'
    const next = optIn
      ? 'Its document would have to say "allow_delete: true".'
      : 'No document can change that.'
    report(
      document,
      at,
      'delete_not_allowed',
      `The scope ${scope.name} deletes, and ${environment.name} (${environment.tier}) allows that to nobody. ${next}`,
    )
  }
  if (roles[scope.kind] === undefined) {
    report(
      document,
      at,
      'role_missing',
      `${scope.name} is a ${scope.kind} scope, and there is no ${scope.kind} role for ${environment.name}.`,
    )
  }
  for (const resource of scope.statements.flatMap((statement) => statement.resources)) {
    const account = accountIn(resource)
    if (account === undefined || account === environment.account) continue
    const other = [...around.environments.values()].find((one) => one.account === account)
    if (other === undefined) continue
    report(
      document,
      at,
      'account_foreign',
      `${scope.name} names account ${account}, which is ${other.name}, not ${environment.name}. Use {account}.`,
    )
    return
  }
}

function compileNetwork(
  document: Parsed<'agent'>,
  base: readonly PropertyKey[],
  bind: NonNullable<Written['bind']>,
  report: Report,
): NetworkBinding {
  if (bind.network === 'caller') return { kind: 'caller' }
  bind.network.forEach((block, n) => {
    const at = [...base, 'bind', 'network', n]
    if (!ipaddr.isValidCIDR(block) || /^\d+\.\d+\/|^\d+\/|^0\d/.test(block)) {
      report(document, at, 'network_invalid', `"${block}" is not a CIDR block such as 203.0.113.0/24.`)
    } else if (block.endsWith('/0')) {
      report(document, at, 'network_invalid', `"${block}" is every address, so it binds to nothing.`)
    }
  })
  return { kind: 'cidrs', cidrs: [...bind.network].sort() }
}

/** A role serves one environment and one kind: shared, it would carry a read session into writing, or across. */
export function checkRoleUse(documents: readonly Parsed<'agent'>[], report: Report): void {
  const uses = new Map<string, { environment: string; kind: RoleKind; agent: string }>()
  for (const document of documents) {
    for (const [environment, { roles }] of Object.entries(document.value.environments)) {
      for (const kind of KINDS) {
        const arn = roles[kind]
        if (arn === undefined) continue
        const known = uses.get(arn.toLowerCase())
        if (known === undefined) uses.set(arn.toLowerCase(), { environment, kind, agent: document.name })
        else if (known.environment !== environment || known.kind !== kind) {
          report(
            document,
            ['environments', environment, 'roles', kind],
            'role_conflict',
            `This role is already the ${known.kind} role of ${known.agent} in ${known.environment}; a role has one environment and one kind.`,
          )
        }
      }
    }
  }
}
