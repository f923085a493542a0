import { clean, sayInstant, table } from './output.js'

/** The answers of `/v1/agents/{id}/reach` and `/v1/doctor`. */
interface Had {
  readonly way: 'alone' | 'grant' | 'never'
  readonly approvals: number
  readonly now: boolean
  readonly grant?: string
  readonly refusal?: { readonly code: string; readonly detail: string; readonly next: string }
}

interface Never {
  readonly code: string
  readonly because: string
  readonly actions: readonly string[]
}

interface Place {
  readonly environment: string
  readonly tier: string
  readonly account: string
  readonly regions: readonly string[]
  readonly bound_to?: string
  readonly scopes: readonly (Had & { readonly scope: string })[]
  readonly permissions: readonly (Had & {
    readonly action: string
    readonly levels: readonly string[]
    readonly resources: readonly string[]
    readonly more_resources: number
    readonly conditions?: Readonly<Record<string, unknown>>
    readonly scopes: readonly string[]
  })[]
  readonly never: readonly Never[]
  readonly left_out: { readonly permissions: number; readonly others: number }
}

export interface Reach {
  readonly agent: string
  readonly status: string
  readonly policy_digest: string
  readonly at: string
  readonly environments: readonly Place[]
  readonly red_lines: readonly Never[]
}

export interface Diagnosis {
  readonly policy_digest: string
  readonly broker: string
  readonly checked: number
  readonly clean: boolean
  readonly findings: readonly {
    readonly severity: 'error' | 'warning' | 'note'
    readonly code: string
    readonly role: string
    readonly sentence: string
    readonly fix?: string
  }[]
  readonly next: string | null
}

export function showReach(reach: Reach): string {
  const head = `${clean(reach.agent)} (${clean(reach.status)}), ${sayInstant(reach.at)}, policy ${clean(reach.policy_digest)}`
  const places = reach.environments.map(showPlace)
  const lines = reach.red_lines.map(
    ({ because, actions }) => `  ${clean(actions.join(', '))}: ${clean(because)}`,
  )
  const never = ['Never, anywhere, with or without a grant:', ...lines].join('\n')
  return [head, ...(places.length === 0 ? ['No environment.'] : places), never].join('\n\n')
}

function showPlace(place: Place): string {
  const { environment, tier, account, regions, bound_to, left_out } = place
  const where = [`${tier}`, `account ${account}`, regions.join(' ')]
  if (bound_to !== undefined)
    where.push(`from ${bound_to === 'caller' ? 'the address of its caller' : bound_to}`)
  const rows = place.permissions.map((one) => [
    sayWay(one),
    one.action,
    one.levels.join(' '),
    [...one.resources, ...(one.more_resources > 0 ? [`and ${one.more_resources} more`] : [])].join(' '),
    one.scopes.join(' '),
    one.conditions === undefined ? '' : JSON.stringify(one.conditions),
  ])
  const held = new Map(
    place.scopes.flatMap(({ scope, refusal, way }) =>
      refusal === undefined || (way === 'grant' && refusal.code === 'grant_required')
        ? []
        : [[scope, `  ${clean(scope)}: ${clean(refusal.detail)} ${clean(refusal.next)} (${refusal.code})`]],
    ),
  )
  const lines = [
    clean(`${environment}: ${where.join(', ')}`),
    indented(table(['WHEN', 'ACTION', 'LEVEL', 'ON', 'SCOPES', 'IF'], rows, 'Nothing.')),
  ]
  if (held.size > 0) lines.push('  Why not:', ...[...held.values()].map((one) => `  ${one}`))
  if (left_out.permissions > 0) lines.push(`  ${left_out.permissions} more lines are left out.`)
  for (const { because, actions } of place.never)
    lines.push(`  Never, because ${clean(because)}: ${clean(shortened(actions))}`)
  if (left_out.others > 0)
    lines.push(`  Nor ${left_out.others} other actions of these services, which no scope of it has.`)
  return lines.join('\n')
}

/** The rest is in --json. */
const MOST_SHOWN = 12

const shortened = (actions: readonly string[]): string =>
  actions.length <= MOST_SHOWN
    ? actions.join(', ')
    : `${actions.slice(0, MOST_SHOWN).join(', ')} and ${actions.length - MOST_SHOWN} more`

function sayWay({ now, way, approvals, grant, refusal }: Had): string {
  if (now) return grant === undefined ? 'now' : `now, on grant ${grant}`
  if (way === 'grant') return `with a grant by ${approvals}`
  return way === 'never' ? 'never' : `not now (${refusal?.code ?? 'refused'})`
}

const indented = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')

const HEADINGS = {
  error: 'ERRORS: something fails, or somebody gets in',
  warning: 'WARNINGS: more is open than policy needs',
  note: 'Notes',
} as const

/** Grouped by how bad it is, then by role. */
export function showDiagnosis({ checked, findings, broker }: Diagnosis): string {
  const parts = (['error', 'warning', 'note'] as const).flatMap((severity) => {
    const some = findings.filter((one) => one.severity === severity)
    if (some.length === 0) return []
    const roles = [...new Set(some.map(({ role }) => role))]
    return [
      [
        HEADINGS[severity],
        ...roles.flatMap((role) => [
          clean(role),
          ...some
            .filter((one) => one.role === role)
            .flatMap(({ sentence, code, fix }) => [
              `  - ${clean(sentence)} (${clean(code)})`,
              ...(fix ?? '').split('\n').flatMap((line) => (line === '' ? [] : [`      ${clean(line)}`])),
            ]),
        ]),
      ].join('\n'),
    ]
  })
  const problems = findings.filter(({ severity }) => severity !== 'note').length
  const end = `${checked} roles compared, for the broker ${clean(broker)}: ${problems === 0 ? 'all as policy says.' : `${problems} ${problems === 1 ? 'problem' : 'problems'}.`}`
  return [...parts, end].join('\n\n')
}
