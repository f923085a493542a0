import type { Place } from './files.js'
import type { TrailEvent } from './record.js'

/** What is wrong, or worth a look. docs/reconcile.md explains each; a test compares. */
export const FINDINGS = {
  unrecorded_call: { alarm: true, title: "Call on one of Writ's roles without an issuance" },
  unrecorded_mint: { alarm: true, title: "Session made on one of Writ's roles without an issuance" },
  undelivered_used: { alarm: true, title: 'Call by a session that was never delivered' },
  contradiction: { alarm: true, title: 'CloudTrail contradicts the record' },
  after_end: { alarm: true, title: 'Call that succeeded outside the time of its session' },
  other_network: {
    alarm: true,
    title: 'Call that succeeded from another network than the session is bound to',
  },
  after_deny: { alarm: true, title: 'Call that succeeded although IAM had a Deny on its session' },
  chained: { alarm: true, title: 'Session made with the credentials of an agent' },
  after_stop: { alarm: false, title: 'Call that succeeded after a stop, before the Deny held' },
  after_revocation: { alarm: false, title: 'Call that succeeded after a revocation, before the Deny held' },
  refused_after_stop: { alarm: false, title: 'Refused call after a stop or a revocation' },
  mint_undelivered: { alarm: false, title: 'Session made and never delivered' },
  refused_mint: { alarm: false, title: "Refused attempt to get a session on one of Writ's roles" },
} as const satisfies Record<string, { readonly alarm: boolean; readonly title: string }>

export type FindingKind = keyof typeof FINDINGS

/** Everything of one kind about one session. */
export interface Finding {
  readonly kind: FindingKind
  readonly alarm: boolean
  readonly detail: string
  readonly issuance?: string
  readonly agent?: string
  readonly role?: string
  readonly session?: string
  readonly access_key_id?: string
  readonly events: number
  readonly first: string
  readonly last: string
  readonly calls: Readonly<Record<string, number>>
  readonly source_ips: readonly string[]
  /** A few of them, to look up. */
  readonly examples: readonly (Place & { readonly event_id: string })[]
}

export interface Subject {
  readonly detail: string
  readonly issuance?: string | undefined
  readonly agent?: string | undefined
  readonly role?: string | undefined
  readonly session?: string | undefined
  readonly access_key_id?: string | undefined
}

interface Group {
  readonly kind: FindingKind
  readonly subject: Subject
  events: number
  first: number
  last: number
  readonly calls: Map<string, number>
  readonly ips: Set<string>
  readonly examples: (Place & { event_id: string })[]
}

const MOST_EXAMPLES = 5
const MOST_IPS = 20

/** `s3.amazonaws.com` and `GetObject` → `s3:GetObject`, in CloudTrail's own words. */
export const callName = (event: Pick<TrailEvent, 'source' | 'name'>): string =>
  `${event.source.replace(/\.amazonaws\.com(\.cn)?$/, '')}:${event.name}`

/** Counts findings by what they are about, so that a thousand calls of one session are one line. */
export class Findings {
  readonly #groups = new Map<string, Group>()

  add(kind: FindingKind, subject: Subject, event: TrailEvent, place: Place): void {
    const { detail, issuance, role, session, access_key_id } = subject
    const key = JSON.stringify([kind, detail, issuance, role, session, access_key_id])
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = {
        kind,
        subject,
        events: 0,
        first: event.at,
        last: event.at,
        calls: new Map(),
        ips: new Set(),
        examples: [],
      }
      this.#groups.set(key, group)
    }
    group.events++
    group.first = Math.min(group.first, event.at)
    group.last = Math.max(group.last, event.at)
    const name = callName(event)
    group.calls.set(name, (group.calls.get(name) ?? 0) + 1)
    if (event.sourceIp !== undefined && group.ips.size < MOST_IPS) group.ips.add(event.sourceIp)
    if (group.examples.length < MOST_EXAMPLES) group.examples.push({ event_id: event.eventId, ...place })
  }

  /** Alarms first, then by time. */
  list(): readonly Finding[] {
    return [...this.#groups.values()]
      .sort((a, b) => Number(FINDINGS[b.kind].alarm) - Number(FINDINGS[a.kind].alarm) || a.first - b.first)
      .map(({ kind, subject, events, first, last, calls, ips, examples }) => ({
        kind,
        alarm: FINDINGS[kind].alarm,
        ...given(subject),
        events,
        first: new Date(first).toISOString(),
        last: new Date(last).toISOString(),
        calls: Object.fromEntries([...calls].sort(([a], [b]) => (a < b ? -1 : 1))),
        source_ips: [...ips].sort(),
        examples,
      }))
  }
}

/** Without what is undefined. */
const given = (subject: Subject): { detail: string } & { [K in keyof Subject]: string } =>
  Object.fromEntries(Object.entries(subject).filter(([, value]) => value !== undefined)) as never
