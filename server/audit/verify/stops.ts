import { equal, instant, number, text } from './compare.js'
import type { LogEntry } from './entry.js'
import type { Keys } from './keys.js'

interface Stop {
  readonly engaged: LogEntry
  readonly leaf: string
  readonly needed: number
  readonly signers: Set<string>
}

interface Session {
  readonly agent: string
  readonly environment: string
  readonly account: string
  /** In lower case; absent where it is not known. */
  readonly human?: string
  readonly notAfter: number
}

/** How many sessions are held before looking for those that are over. */
const LOOK_AT = 50_000

/**
 * Stops: each released by as many different people as it takes, each with a signature over just that stop, and nothing
 * of it let out in between. A session that was being minted as the stop came is recorded as issued, and handed to nobody.
 *
 * Of a human's stop the log names the agents; the human only where the personal part is there.
 */
export class Stops {
  readonly #keys: Keys
  readonly #engaged = new Map<string, Stop>()
  readonly #released = new Set<string>()
  /** `kind:name` in lower case, of everything that is stopped → the stops on it. */
  readonly #stopped = new Map<string, Set<string>>()
  readonly #sessions = new Map<string, Session>()
  #lookAt = LOOK_AT

  constructor(keys: Keys) {
    this.#keys = keys
  }

  /** What is wrong with an entry, as the end of a sentence; undefined when nothing is. */
  check(entry: LogEntry, leaf: Buffer, personal: string | undefined): string | undefined {
    switch (entry.kind) {
      case 'stop.engaged':
        return this.#engage(entry, leaf, personal)
      case 'stop.release_signed':
        return this.#sign(entry)
      case 'stop.released':
        return this.#release(entry)
      case 'issuance.intended': {
        const session = sessionOf(entry, personal)
        this.#hold(entry, session)
        return this.#holds(session) ? 'is of what was stopped' : undefined
      }
      case 'issuance.delivered': {
        const session = this.#sessions.get(text(entry.issuance_id))
        return session !== undefined && this.#holds(session) ? 'hands out what was stopped' : undefined
      }
      case 'grant_request.opened':
      case 'grant.created':
        return this.#holds(sessionOf(entry, personal)) ? 'is for what was stopped' : undefined
      default:
        return undefined
    }
  }

  #engage(entry: LogEntry, leaf: Buffer, personal: string | undefined): string | undefined {
    const id = text(entry.stop)
    if (id === '' || this.#engaged.has(id) || this.#released.has(id)) return 'engages no stop, or one again'
    // What a human stopped takes two, whatever the entry says.
    const needed = entry.operator === undefined ? 1 : 2
    if (number(entry.approvals_needed) !== needed) return 'is released by more or fewer people than it takes'
    if (needed === 1 && entry.stops !== 'agent') return 'is no stop that comes by itself'
    this.#engaged.set(id, { engaged: entry, leaf: leaf.toString('hex'), needed, signers: new Set() })
    for (const key of keysOf(entry, personal)) {
      const on = this.#stopped.get(key) ?? new Set()
      this.#stopped.set(key, on.add(id))
    }
    return undefined
  }

  #sign(entry: LogEntry): string | undefined {
    const stop = this.#engaged.get(text(entry.stop))
    if (stop === undefined) return 'is for no stop that is engaged'
    const operator = text(entry.operator)
    // Capital letters make nobody somebody else.
    const name = operator.toLowerCase()
    if (name === '' || stop.signers.has(name)) return 'is by nobody, or by somebody who had signed already'
    const { engaged, leaf, needed } = stop
    if (!(instant(entry.at) >= instant(engaged.cutoff))) return 'came before what was being minted was over'
    const signed = this.#keys.signed(entry, operator)
    if ('why' in signed) return signed.why
    const { document } = signed
    if (document.type !== 'writ.release.v1') return 'is signed for something else'
    const { origin, rp_id, nonce, issued_at, expires_at, ...said } = document
    const released = {
      type: 'writ.release.v1',
      operator,
      stop: engaged.stop,
      stops: engaged.stops,
      name: engaged.stops === 'human' ? null : text(engaged.name),
      stop_leaf: leaf,
      approvals_needed: needed,
    }
    if (!equal(said, released)) return 'is signed for another stop'
    stop.signers.add(name)
    return undefined
  }

  #release(entry: LogEntry): string | undefined {
    const id = text(entry.stop)
    const stop = this.#engaged.get(id)
    if (stop === undefined) return 'releases no stop that is engaged'
    const { engaged, signers, needed } = stop
    if (!equal(entry.stops, engaged.stops) || !equal(entry.name, engaged.name))
      return 'releases something else than was stopped'
    const by = Array.isArray(entry.released_by) ? entry.released_by.map((one) => text(one).toLowerCase()) : []
    if (by.length !== signers.size || !by.every((one) => signers.has(one)) || new Set(by).size !== by.length)
      return 'names others than signed'
    if (!(signers.size >= needed)) return 'has fewer signatures than it takes'
    this.#engaged.delete(id)
    this.#released.add(id)
    for (const [key, on] of this.#stopped) {
      on.delete(id)
      if (on.size === 0) this.#stopped.delete(key)
    }
    return undefined
  }

  #holds({ agent, environment, account, human }: Session): boolean {
    if (this.#stopped.size === 0) return false
    const keys = [`agent:${agent}`, `environment:${environment}`, `account:${account}`, 'everything:']
    return [...keys, ...(human === undefined ? [] : [`human:${human}`])].some((key) => this.#stopped.has(key))
  }

  #hold(entry: LogEntry, session: Session): void {
    if (this.#sessions.size >= this.#lookAt) {
      const now = instant(entry.at)
      for (const [id, { notAfter }] of this.#sessions) if (notAfter < now) this.#sessions.delete(id)
      this.#lookAt = Math.max(LOOK_AT, this.#sessions.size * 2)
    }
    this.#sessions.set(text(entry.issuance_id), session)
  }
}

/** All that a stop is on. A human's other names are nowhere in the log. */
function keysOf(entry: LogEntry, personal: string | undefined): readonly string[] {
  const agents = Array.isArray(entry.agents)
    ? entry.agents.map((one) => `agent:${text(one).toLowerCase()}`)
    : []
  if (entry.stops !== 'human') return [`${text(entry.stops)}:${text(entry.name).toLowerCase()}`, ...agents]
  const human = humanIn(personal)
  return human === undefined ? agents : [`human:${human}`, ...agents]
}

function sessionOf(entry: LogEntry, personal: string | undefined): Session {
  const human = humanIn(personal)
  return {
    agent: text(entry.agent).toLowerCase(),
    environment: text(entry.environment).toLowerCase(),
    account: text(entry.role_arn).split(':')[4] ?? '',
    notAfter: instant(entry.not_after),
    ...(human === undefined ? {} : { human }),
  }
}

function humanIn(personal: string | undefined): string | undefined {
  if (personal === undefined) return undefined
  try {
    const value: unknown = JSON.parse(personal)
    const { human } = value as { readonly human?: unknown }
    return typeof human === 'string' ? human.toLowerCase() : undefined
  } catch {
    return undefined
  }
}
