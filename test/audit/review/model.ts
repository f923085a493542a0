import ipaddr from 'ipaddr.js'
import type { EventFilter, IssuanceFilter } from '../../../server/audit/review/filters.js'
import type { Ledger } from '../../support/ledger.js'
import { SCOPES } from './history.js'

type Json = Readonly<Record<string, unknown>>

/** An entry by what it says: body and personal part alone, no column. */
export interface Told {
  readonly idx: number
  readonly body: Json
  readonly personal: Json
}

/** The whole log as a reader of bodies would have it, and the same questions answered by going through all of it. */
export class Model {
  readonly entries: readonly Told[]
  readonly #intents = new Map<unknown, Told>()
  readonly #outcomes = new Map<unknown, Told>()
  readonly #requests = new Map<unknown, Told>()

  constructor(entries: readonly Told[]) {
    this.entries = entries
    for (const entry of entries) {
      const { kind, issuance_id, request_id } = entry.body
      if (kind === 'issuance.intended') this.#intents.set(issuance_id, entry)
      if (/^issuance\.(issued|failed|abandoned)$/.test(String(kind))) this.#outcomes.set(issuance_id, entry)
      if (kind === 'grant_request.opened') this.#requests.set(request_id, entry)
    }
  }

  static async of({ owner }: Pick<Ledger, 'owner'>): Promise<Model> {
    const rows = await owner.query<{ idx: string; body: Buffer; personal: Buffer | null }>(
      'SELECT idx, body, personal FROM writ.entry ORDER BY idx',
    )
    const parse = (text: Buffer | null) => (text === null ? {} : (JSON.parse(text.toString('utf8')) as Json))
    return new Model(
      rows.map(({ idx, body, personal }) => ({
        idx: Number(idx),
        body: parse(body),
        personal: parse(personal),
      })),
    )
  }

  /** Every value there is of a field of the bodies. */
  values(field: string): readonly string[] {
    return [
      ...new Set(this.entries.map(({ body }) => body[field]).filter((value) => typeof value === 'string')),
    ]
  }

  /** Indexes of the entries, newest first. */
  events(filter: EventFilter): readonly number[] {
    return this.entries
      .filter((entry) => this.#isEvent(entry, filter))
      .map(({ idx }) => idx)
      .reverse()
  }

  /** Indexes of the intents, newest first. */
  issuances(filter: IssuanceFilter): readonly number[] {
    return [...this.#intents.values()]
      .filter((intent) => this.#isIssuance(intent, filter))
      .map(({ idx }) => idx)
      .reverse()
  }

  #isEvent(entry: Told, filter: EventFilter): boolean {
    const { body } = entry
    const issuance = body.issuance_id
    const intent = this.#intents.get(issuance)
    return [
      is(body.kind, filter.kind),
      is(body.operator, filter.operator),
      is(issuance, filter.issuance),
      is(body.request_id, filter.request),
      is(body.grant_id, filter.grant),
      is(body.code, filter.code),
      is(body.tier, filter.tier),
      is(this.#humanOf(entry), filter.human),
      filter.role === undefined || (intent !== undefined && is(intent.body.role_arn, filter.role)),
      filter.state === undefined || (intent !== undefined && is(this.#stateOf(issuance), filter.state)),
      filter.access_key === undefined ||
        (intent !== undefined && is(this.#outcomes.get(issuance)?.body.access_key_id, filter.access_key)),
      ...common(entry, filter),
    ].every(Boolean)
  }

  #isIssuance(intent: Told, filter: IssuanceFilter): boolean {
    const { body, personal } = intent
    const outcome = this.#outcomes.get(body.issuance_id)
    return [
      is(body.tier, filter.tier),
      is(personal.human, filter.human),
      is(body.role_arn, filter.role),
      is(body.grant_id, filter.grant),
      is(this.#stateOf(body.issuance_id), filter.state),
      is(outcome?.body.access_key_id, filter.access_key),
      is(outcome?.body.code, filter.code),
      ...common(intent, filter),
    ].every(Boolean)
  }

  /** An outcome, or a decision, is about the human that was named before; who asks again names them again. */
  #humanOf({ body, personal }: Told): unknown {
    if (body.kind === 'issuance.delivered') return personal.human
    const about = this.#intents.get(body.issuance_id) ?? this.#requests.get(body.request_id)
    return personal.human ?? about?.personal.human
  }

  #stateOf(issuance: unknown): string {
    const kind = this.#outcomes.get(issuance)?.body.kind
    return kind === undefined ? 'intended' : String(kind).slice('issuance.'.length)
  }
}

const is = (said: unknown, asked: string | undefined): boolean => asked === undefined || said === asked

function common({ body, personal }: Told, filter: IssuanceFilter): readonly boolean[] {
  const scopes = SAY_SCOPES.has(String(body.kind)) ? (body.scopes as readonly string[]) : []
  // What somebody made up cannot be searched for.
  const known = scopes.every((scope) => scope in SCOPES) ? scopes : []
  const actions = known.flatMap((scope) => SCOPES[scope] ?? [])
  return [
    is(body.agent, filter.agent),
    is(body.environment, filter.environment),
    filter.scope === undefined || known.includes(filter.scope),
    filter.action === undefined || actions.some((pattern) => covers(pattern, filter.action ?? '')),
    filter.network === undefined || inside(personal.source_ip, filter.network),
    filter.since === undefined || String(body.at) >= filter.since,
    filter.until === undefined || String(body.at) < filter.until,
  ]
}

const SAY_SCOPES: ReadonlySet<string> = new Set([
  'issuance.intended',
  'issuance.denied',
  'grant_request.opened',
])

const covers = (pattern: string, action: string): boolean =>
  new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'i').test(action)

function inside(said: unknown, network: string): boolean {
  if (typeof said !== 'string') return false
  const address = ipaddr.parse(said)
  const whole = ipaddr.parse(network.split('/')[0] ?? '')
  if (address.kind() !== whole.kind()) return false
  const bits = Number(network.split('/')[1] ?? (address.kind() === 'ipv4' ? 32 : 128))
  return address.kind() === 'ipv4'
    ? (address as ipaddr.IPv4).match(whole as ipaddr.IPv4, bits)
    : (address as ipaddr.IPv6).match(whole as ipaddr.IPv6, bits)
}
