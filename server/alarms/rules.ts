import type { AlarmName } from '../audit/bodies/alarms.js'

/** An entry as the rules see it. Instants are milliseconds since 1970, by the database's clock. */
export interface SeenEntry {
  readonly index: number
  readonly kind: string
  readonly at: number
  readonly agent?: string
  readonly environment?: string
  readonly code?: string
  /** Of an outcome: its intent's. */
  readonly tier?: string
  /** Salted hash of agent and network. */
  readonly network?: string
  readonly break_glass?: boolean
  readonly stop?: string
  readonly stops?: string
  readonly role_arn?: string
  readonly unwritten?: number
}

/** What is known of an agent before a stretch of entries. */
export interface KnownAgent {
  /** Where it had a session. */
  readonly environments: readonly string[]
  /** Of the networks in the stretch, those it was seen from before. */
  readonly networks: readonly string[]
  /** How many it was seen from at all. */
  readonly networks_known: number
  /** When it last got a session, to the hour; absent when it never did. */
  readonly active?: number
  /** When it was denied last, newest first; as many as a burst takes, or all within its time. */
  readonly denials: readonly number[]
  /** When the last burst was that may still keep the next one quiet. */
  readonly burst?: number
}

export interface Facts {
  readonly entries: readonly SeenEntry[]
  readonly agents: Readonly<Record<string, KnownAgent>>
}

export interface Alarm {
  /** The same for the same cause, whoever looks, however often. */
  readonly key: string
  readonly alarm: AlarmName
  /** Index of the entry. */
  readonly cause: number
  /** How long after that entry there was reason for it. */
  readonly after_seconds?: number
  /** What the alarm says beside whom and what it is about, which is its cause's to say. */
  readonly details: Readonly<Record<string, unknown>>
}

/** Something to remember of an agent. */
export interface Learned {
  readonly agent: string
  readonly what: 'environment' | 'network' | 'activity'
  readonly value: string
  readonly at: number
}

export const BURST = { denials: 10, within_seconds: 300, quiet_seconds: 900 } as const
const SILENT_DAYS = 30
const DAY_MS = 86_400_000
/** Who is busy is written down once an hour, not at every session. */
const ACTIVE_EVERY_MS = 3_600_000
export const LATE_SECONDS = 60

/** What a stretch of entries raises, and what is known after it. Pure: any division into stretches gives the same. */
export function judge({ entries, agents }: Facts): {
  readonly alarms: readonly Alarm[]
  readonly learned: readonly Learned[]
} {
  const alarms: Alarm[] = []
  const learned: Learned[] = []
  const memory = new Map<string, Memory>()
  const raise = (entry: SeenEntry, alarm: AlarmName, details: Alarm['details'] = {}, key = '') =>
    alarms.push({ key: `${alarm}/${key === '' ? entry.index : key}`, alarm, cause: entry.index, details })
  for (const entry of entries) {
    if (entry.kind === 'stop.engaged') raise(entry, 'stop', said({ stop: entry.stop, stops: entry.stops }))
    if (entry.kind === 'deny.failed') {
      const { role_arn, unwritten, code } = entry
      raise(entry, 'deny-failed', said({ role_arn, unwritten, failed_with: code }))
    }
    if (entry.kind === 'grant.created' && entry.break_glass === true) raise(entry, 'break-glass')
    const { agent } = entry
    if (agent === undefined) continue
    const known = memory.get(agent) ?? remember(agents[agent])
    memory.set(agent, known)
    const learn = (what: Learned['what'], value: string) => learned.push({ agent, what, value, at: entry.at })

    if (entry.network !== undefined && !known.networks.has(entry.network)) {
      // From somewhere it has to come for the first time.
      if (known.networksKnown > 0)
        raise(entry, 'new-network', { networks_known: known.networksKnown }, `${agent}/${entry.network}`)
      known.networks.add(entry.network)
      known.networksKnown++
      learn('network', entry.network)
    }
    if (entry.kind === 'issuance.denied' || entry.kind === 'grant_request.refused') {
      if (crossesRedLine(entry)) raise(entry, 'red-line-attempt', { refused_with: entry.code })
      if (bursts(known, entry.at)) {
        const { denials, within_seconds } = BURST
        raise(entry, 'denied-burst', { denials, within_seconds })
      }
    }
    const { environment } = entry
    if (entry.kind === 'issuance.issued' && entry.tier === 'production' && environment !== undefined) {
      if (!known.environments.has(environment)) {
        raise(entry, 'first-production-access', { tier: 'production' }, `${agent}/${environment}`)
        known.environments.add(environment)
        learn('environment', environment)
      }
    }
    if (entry.kind === 'issuance.issued' || entry.kind === 'issuance.delivered') {
      const silentMs = known.active === undefined ? 0 : entry.at - known.active
      if (silentMs >= SILENT_DAYS * DAY_MS)
        raise(entry, 'silent-agent', { silent_days: Math.floor(silentMs / DAY_MS) })
      if (known.active === undefined || silentMs >= ACTIVE_EVERY_MS) {
        known.active = entry.at
        learn('activity', '')
      }
    }
  }
  return { alarms, learned }
}

/**
 * The first entry that no checkpoint has, where it has waited for too long: once for each place at which publishing
 * stands still.
 */
export const lateAlarm = (origin: string, { index }: { readonly index: number }): Alarm => ({
  key: `checkpoint-late/${origin}/${index}`,
  alarm: 'checkpoint-late',
  cause: index,
  after_seconds: LATE_SECONDS,
  details: { origin },
})

interface Memory {
  readonly environments: Set<string>
  readonly networks: Set<string>
  networksKnown: number
  active: number | undefined
  denials: readonly number[]
  burst: number | undefined
}

const remember = (known: KnownAgent | undefined): Memory => ({
  environments: new Set(known?.environments),
  networks: new Set(known?.networks),
  networksKnown: known?.networks_known ?? 0,
  active: known?.active,
  denials: [...(known?.denials ?? [])].reverse(),
  burst: known?.burst,
})

/** Leaves out what is undefined. */
const said = (details: Alarm['details']): Alarm['details'] =>
  Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined))

const crossesRedLine = ({ code, tier }: SeenEntry): boolean =>
  code === 'red_line' || (code === 'delete_not_allowed' && tier === 'production')

/** Counts a denial, and says whether it makes a burst that nobody was told of a short while ago. */
function bursts(known: Memory, at: number): boolean {
  known.denials = [...known.denials, at].slice(-BURST.denials)
  const [oldest] = known.denials
  if (known.denials.length < BURST.denials || oldest === undefined) return false
  if (at - oldest > BURST.within_seconds * 1000) return false
  if (known.burst !== undefined && at - known.burst < BURST.quiet_seconds * 1000) return false
  known.burst = at
  return true
}
