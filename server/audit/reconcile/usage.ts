import { callName } from './findings.js'
import type { TrailEvent } from './record.js'

/** What one session, or one agent, was seen doing. */
export interface Usage {
  calls: number
  denied: number
  /** After a stop or a revocation, refused or not. */
  afterStop: number
  first?: number
  last?: number
  readonly actions: Map<string, ActionUsage>
  readonly regions: Set<string>
  readonly ips: Set<string>
}

export interface ActionUsage {
  readonly source: string
  readonly name: string
  calls: number
  denied: number
  readonly errors: Map<string, number>
}

/** Enough to look at; an agent behind a changing address must not fill the memory. */
const MOST_IPS = 100

export const newUsage = (): Usage => ({
  calls: 0,
  denied: 0,
  afterStop: 0,
  actions: new Map(),
  regions: new Set(),
  ips: new Set(),
})

/** AWS's services spell a refusal in some dozen ways: AccessDeniedException, Client.UnauthorizedOperation, … */
export const isDenied = ({ errorCode }: Pick<TrailEvent, 'errorCode'>): boolean =>
  errorCode !== undefined &&
  /access_?denied|unauthori[sz]ed|not_?authori[sz]ed|authorizationerror|forbidden/i.test(errorCode)

export function countCall(usage: Usage, event: TrailEvent, afterStop: boolean): void {
  const denied = isDenied(event) ? 1 : 0
  usage.calls++
  usage.denied += denied
  if (afterStop) usage.afterStop++
  usage.first = Math.min(usage.first ?? event.at, event.at)
  usage.last = Math.max(usage.last ?? event.at, event.at)
  if (event.region !== undefined) usage.regions.add(event.region)
  if (event.sourceIp !== undefined && usage.ips.size < MOST_IPS) usage.ips.add(event.sourceIp)
  const name = callName(event)
  let action = usage.actions.get(name)
  if (action === undefined) {
    action = { source: event.source, name: event.name, calls: 0, denied: 0, errors: new Map() }
    usage.actions.set(name, action)
  }
  action.calls++
  action.denied += denied
  if (event.errorCode !== undefined) {
    action.errors.set(event.errorCode, (action.errors.get(event.errorCode) ?? 0) + 1)
  }
}

export interface UsageView {
  readonly calls: number
  readonly denied: number
  readonly calls_after_stop: number
  readonly first: string | null
  readonly last: string | null
  /** By CloudTrail's names, such as `s3:ListObjects`. */
  readonly actions: Readonly<
    Record<
      string,
      { readonly calls: number; readonly denied: number; readonly errors: Readonly<Record<string, number>> }
    >
  >
  readonly regions: readonly string[]
  readonly source_ips: readonly string[]
}

export const viewUsage = (usage: Usage): UsageView => ({
  calls: usage.calls,
  denied: usage.denied,
  calls_after_stop: usage.afterStop,
  first: usage.first === undefined ? null : new Date(usage.first).toISOString(),
  last: usage.last === undefined ? null : new Date(usage.last).toISOString(),
  actions: Object.fromEntries(
    [...usage.actions]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { calls, denied, errors }]) => [
        name,
        { calls, denied, errors: Object.fromEntries(errors) },
      ]),
  ),
  regions: [...usage.regions].sort(),
  source_ips: [...usage.ips].sort(),
})
