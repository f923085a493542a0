import { judgeCall, toldToDie } from './calls.js'
import type { InputProblem, Place } from './files.js'
import { Findings } from './findings.js'
import type { IssuanceBook, KnownIssuance } from './issuances.js'
import { type Domain, type Marks, marksOf } from './join.js'
import { callerOf, judgeMint } from './mints.js'
import { readRecord, type TrailEvent } from './record.js'
import { roleKey } from './roles.js'
import { SeenEvents } from './seen.js'
import { countCall, newUsage, type Usage } from './usage.js'

export interface ReconcileSettings {
  /** ARNs of every role that Writ hands out; those of the issuances are added. */
  readonly roles: Iterable<string>
  /** Names of the agents of the policy set; those of the issuances are added. */
  readonly agents: Iterable<string>
  /** Milliseconds; only calls from `since` on and before `until` are judged. */
  readonly since?: number
  readonly until?: number
}

/** What was seen, before it is turned into a report. */
export interface Seen {
  records: number
  insights: number
  duplicates: number
  /** Not between `since` and `until`. */
  outsidePeriod: number
  first?: number
  last?: number
  unreadable: number
  readonly problems: InputProblem[]
  readonly usage: Map<string, Usage>
  /** Issuances whose AssumeRole is in the logs. */
  readonly minted: Set<string>
  /** Who made sessions on Writ's roles: the broker, and nobody else. */
  readonly minters: Map<string, number>
  /** Services, as in `s3`, of which there is any data event. */
  readonly dataServices: Set<string>
  /** Accounts whose logs there are records of. */
  readonly accounts: Set<string>
}

interface Unplaced {
  readonly roleId: string
  readonly event: TrailEvent
  readonly place: Place
  /** Further calls of the same session. */
  more: number
}

/** More are counted, not kept. */
const MOST_PROBLEMS = 200

/**
 * Compares CloudTrail with the record, one record at a time and in any order. Memory grows with the issuances
 * and what is found, and by 32 to 64 bytes with each call on Writ's roles.
 */
export class Reconciliation {
  readonly seen: Seen = {
    records: 0,
    insights: 0,
    duplicates: 0,
    outsidePeriod: 0,
    unreadable: 0,
    problems: [],
    usage: new Map(),
    minted: new Set(),
    minters: new Map(),
    dataServices: new Set(),
    accounts: new Set(),
  }
  readonly findings = new Findings()
  readonly book: IssuanceBook
  readonly domain: Domain
  readonly #settings: ReconcileSettings
  readonly #events = new SeenEvents()
  readonly #calls = new SeenEvents()
  /** Role ids (`AROA…`) of Writ's roles, learnt from what names both. */
  readonly #roleIds = new Set<string>()
  /** Calls that name a role only by its id: whose they are is known at the end. */
  readonly #unplaced = new Map<string, Unplaced>()

  constructor(book: IssuanceBook, settings: ReconcileSettings) {
    this.book = book
    this.#settings = settings
    const roles = new Set([...book.byId.values()].map((issuance) => issuance.roleKey))
    for (const arn of settings.roles) roles.add(roleKey(arn) ?? arn)
    this.domain = {
      roles,
      accounts: new Set([...roles].map((key) => key.split('/')[0] ?? key)),
      agents: new Set([...settings.agents, ...book.agents]),
    }
  }

  problem(problem: InputProblem): void {
    this.seen.unreadable++
    if (this.seen.problems.length < MOST_PROBLEMS) this.seen.problems.push(problem)
  }

  /** One parsed JSON value that should be a CloudTrail record. Never throws. */
  take(value: unknown, place: Place): void {
    const { seen } = this
    seen.records++
    const read = readRecord(value)
    if (read.kind === 'unreadable') this.problem({ ...place, problem: read.problem })
    else if (read.kind === 'insight') seen.insights++
    else this.#inPeriod(read.event, place)
  }

  #inPeriod(event: TrailEvent, place: Place): void {
    const { seen } = this
    const { since, until } = this.#settings
    if ((since !== undefined && event.at < since) || (until !== undefined && event.at >= until)) {
      seen.outsidePeriod++
      return
    }
    seen.first = Math.min(seen.first ?? event.at, event.at)
    seen.last = Math.max(seen.last ?? event.at, event.at)
    if (event.recipient !== undefined) seen.accounts.add(event.recipient)
    if (event.data) seen.dataServices.add(event.source.split('.')[0] ?? event.source)
    this.#judge(event, place)
  }

  #judge(event: TrailEvent, place: Place): void {
    const { mint } = event
    const marks = marksOf(event, this.book, this.domain)
    const onOurs = mint !== undefined && this.domain.roles.has(roleKey(mint.roleArn) ?? '')
    const caller = marks.byKey ?? marks.byName
    const roleId =
      marks.roleKeys.length === 0 ? /^(AROA\w+):/.exec(event.who.principalId ?? '')?.[1] : undefined
    const concerns =
      onOurs ||
      caller !== undefined ||
      marks.ours !== undefined ||
      marks.claimed !== undefined ||
      roleId !== undefined
    if (!concerns) return
    if (!this.#events.add(event.eventId)) {
      this.seen.duplicates++
      return
    }
    // The same call in the log of another account is looked at again, since it may say other things, and counted once.
    const fresh = event.sharedEventId === undefined || this.#calls.add(event.sharedEventId)
    if (onOurs) this.#mint(event, place, fresh)
    if (caller !== undefined) {
      judgeCall(event, marks, caller, this.findings, place)
      if (fresh) this.#count(caller, event)
    } else if (marks.ours !== undefined) this.#unrecorded(event, marks, place)
    else if (marks.claimed !== undefined) this.#chained(event, marks, marks.claimed, place)
    else if (roleId !== undefined && !onOurs) this.#keep(roleId, event, place)
    const prefix = /^(AROA\w+):/.exec(event.who.principalId ?? '')?.[1]
    if (marks.ours !== undefined && prefix !== undefined) this.#roleIds.add(prefix)
  }

  #mint(event: TrailEvent, place: Place, fresh: boolean): void {
    const { mint } = event
    if (mint === undefined) return
    const issuance = judgeMint(event, mint, this.book, this.findings, place)
    if (issuance !== undefined) this.seen.minted.add(issuance.id)
    if (event.errorCode !== undefined) return
    if (mint.roleId !== undefined) this.#roleIds.add(mint.roleId)
    const caller = callerOf(event)
    if (fresh) this.seen.minters.set(caller, (this.seen.minters.get(caller) ?? 0) + 1)
  }

  #unrecorded(event: TrailEvent, { ours, session, claimed, bySource }: Marks, place: Place): void {
    const { who } = event
    const detail =
      bySource === undefined
        ? 'The record has neither the access key nor the name of the session.'
        : `The record has neither its key nor its name; its source identity leads to issuance ${bySource.id}.`
    const about = {
      agent: claimed?.agent,
      role: who.roleArn ?? ours,
      session,
      access_key_id: who.accessKeyId,
    }
    this.findings.add('unrecorded_call', { detail, ...about }, event, place)
  }

  /** The source identity outlives the change to another role (STS, "source identity"). */
  #chained(
    event: TrailEvent,
    marks: Marks,
    claimed: { agent: string; issuance: string },
    place: Place,
  ): void {
    const { who } = event
    const known = marks.bySource !== undefined
    const detail = known
      ? `The session was made with the credentials of issuance ${claimed.issuance}.`
      : `The source identity names issuance ${claimed.issuance}, which the record does not have.`
    this.findings.add(
      known ? 'chained' : 'unrecorded_call',
      {
        detail,
        issuance: known ? claimed.issuance : undefined,
        agent: claimed.agent,
        role: who.roleArn ?? who.arn,
        session: marks.session,
        access_key_id: who.accessKeyId,
      },
      event,
      place,
    )
  }

  /** In another account's log a session is only `AROA…:name`, of type AWSAccount. */
  #keep(roleId: string, event: TrailEvent, place: Place): void {
    if (event.who.accountId !== undefined && !this.domain.accounts.has(event.who.accountId)) return
    const session = event.who.principalId ?? roleId
    const same = this.#unplaced.get(session)
    if (same === undefined) this.#unplaced.set(session, { roleId, event, place, more: 0 })
    else same.more++
  }

  #count(issuance: KnownIssuance, event: TrailEvent): void {
    const { id } = issuance
    let usage = this.seen.usage.get(id)
    if (usage === undefined) {
      usage = newUsage()
      this.seen.usage.set(id, usage)
    }
    countCall(usage, event, toldToDie(issuance, event.at) !== undefined)
  }

  /** To be called once, after the last record: judges what only the whole of the logs could place. */
  finish(): void {
    for (const { roleId, event, place, more } of this.#unplaced.values()) {
      if (!this.#roleIds.has(roleId)) continue
      const detail = `A call in another account by the role with the id ${roleId}, which is Writ's${more === 0 ? '' : `, and ${more} more of this session`}; the record has no issuance of the name.`
      const session = event.who.principalId?.split(':')[1]
      this.findings.add('unrecorded_call', { detail, session }, event, place)
    }
    this.#unplaced.clear()
  }
}
