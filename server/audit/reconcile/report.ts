import type { PolicySet } from '../../types.js'
import type { InputProblem } from './files.js'
import type { Finding } from './findings.js'
import type { KnownIssuance } from './issuances.js'
import { type ActionMatches, narrow, type Suggestion } from './narrow.js'
import type { Reconciliation } from './reconcile.js'
import { newUsage, type UsageView, viewUsage } from './usage.js'

/** `undelivered`: intended, failed or abandoned. `not_covered`: its time is outside that of the logs. */
export type IssuanceUse = 'used' | 'idle' | 'undelivered' | 'not_covered'

export interface IssuanceReport extends UsageView {
  readonly issuance: string
  readonly use: IssuanceUse
  readonly state: KnownIssuance['state']
  readonly agent: string
  readonly environment: string
  readonly role: string
  readonly scopes: readonly string[]
  readonly at: string
  readonly end: string | null
  /** When a stop or a revocation told it to die, if one did while it lived. */
  readonly stopped: string | null
  /** When IAM had the Deny. */
  readonly denied_since: string | null
  /** Whether its AssumeRole is in the logs. */
  readonly mint_seen: boolean
}

export interface Report {
  /** `alarm` whenever there is one; `unreadable` when there is none and something could not be read. */
  readonly verdict: 'clean' | 'alarm' | 'unreadable'
  readonly files: number
  readonly digest_files: number
  readonly skipped: readonly string[]
  readonly records: number
  readonly duplicates: number
  readonly insights: number
  readonly outside_period: number
  /** Of the records judged. */
  readonly period: { readonly first: string; readonly last: string } | null
  readonly unreadable: number
  /** The first 200 of them. */
  readonly problems: readonly InputProblem[]
  readonly roles: number
  /** Accounts with sessions in the period and without a single record of their own log. */
  readonly accounts_missing: readonly string[]
  readonly made_by: Readonly<Record<string, number>>
  readonly findings: readonly Finding[]
  readonly issuances: readonly IssuanceReport[]
  readonly suggestions: readonly Suggestion[]
}

export interface ReportInput {
  readonly files: number
  readonly digestFiles: number
  readonly skipped: readonly string[]
  readonly policySet: Pick<PolicySet, 'agents' | 'scopes'>
  readonly matches: ActionMatches
}

/** The report on a reconciliation that is finished. */
export function report(reconciliation: Reconciliation, input: ReportInput): Report {
  const { seen, book, domain } = reconciliation
  // Reading nothing shows nothing: a mistyped folder must not pass.
  const judged = seen.records - seen.insights - seen.outsidePeriod
  if (judged === 0 && seen.unreadable === 0) {
    reconciliation.problem({ file: 'all files', problem: 'there is no record to judge' })
  }
  const { first, last } = seen
  const findings = reconciliation.findings.list()
  const all = [...book.byId.values()].sort((a, b) => a.at - b.at)
  // CloudTrail cuts its instants to whole seconds: a session's first call may seem to be before its issuance.
  const within = new Set(
    all.filter((one) => seen.usage.has(one.id) || seen.minted.has(one.id) || overlaps(one, first, last)),
  )
  const issued = [...within].filter((one) => one.state === 'issued')
  return {
    verdict: findings.some((one) => one.alarm) ? 'alarm' : seen.unreadable > 0 ? 'unreadable' : 'clean',
    files: input.files,
    digest_files: input.digestFiles,
    skipped: input.skipped,
    records: seen.records,
    duplicates: seen.duplicates,
    insights: seen.insights,
    outside_period: seen.outsidePeriod,
    period:
      first === undefined || last === undefined
        ? null
        : { first: new Date(first).toISOString(), last: new Date(last).toISOString() },
    unreadable: seen.unreadable,
    problems: seen.problems,
    roles: domain.roles.size,
    accounts_missing: [...new Set(issued.map((one) => one.roleKey.split('/')[0] ?? ''))]
      .filter((account) => !seen.accounts.has(account))
      .sort(),
    made_by: Object.fromEntries(seen.minters),
    findings,
    issuances: all.map((one) => ({
      issuance: one.id,
      use: useOf(one, reconciliation, within.has(one)),
      state: one.state,
      agent: one.agent,
      environment: one.environment,
      role: one.role,
      scopes: one.scopes,
      at: new Date(one.at).toISOString(),
      end: instant(one.end),
      stopped: instant(stoppedAt(one)),
      denied_since: instant(one.deniedAt),
      mint_seen: seen.minted.has(one.id),
      ...viewUsage(seen.usage.get(one.id) ?? newUsage()),
    })),
    suggestions: narrow({
      policySet: input.policySet,
      issuances: [...within],
      usage: seen.usage,
      dataServices: seen.dataServices,
      matches: input.matches,
    }),
  }
}

const instant = (at: number | undefined): string | null =>
  at === undefined ? null : new Date(at).toISOString()

function stoppedAt({ stop, revoked }: KnownIssuance): number | undefined {
  const all = [stop?.at, revoked?.at].filter((at) => at !== undefined)
  return all.length === 0 ? undefined : Math.min(...all)
}

const overlaps = (one: KnownIssuance, first: number | undefined, last: number | undefined): boolean =>
  first !== undefined && last !== undefined && one.at <= last && (one.end ?? one.at) >= first

function useOf(one: KnownIssuance, { seen }: Reconciliation, within: boolean): IssuanceUse {
  if (one.state !== 'issued') return 'undelivered'
  if (seen.usage.has(one.id)) return 'used'
  return within ? 'idle' : 'not_covered'
}
