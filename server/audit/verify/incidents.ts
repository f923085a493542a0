import { equal, text } from './compare.js'
import type { LogEntry } from './entry.js'
import type { Keys } from './keys.js'

interface Incident {
  readonly agent: string
  /** Of the entry that opened it, 64 hex digits. */
  readonly leaf: string
  /** Evidence that was collected for it, with who signed over each. */
  readonly signed: Map<string, Set<string>>
}

/** Incidents: each opened on a stop, and closed once, by two different people who signed over the same evidence. */
export class Incidents {
  readonly #keys: Keys
  readonly #stops = new Set<string>()
  readonly #seen = new Set<string>()
  readonly #open = new Map<string, Incident>()

  constructor(keys: Keys) {
    this.#keys = keys
  }

  /** What is wrong with an entry, as the end of a sentence; undefined when nothing is. */
  check(entry: LogEntry, leaf: Buffer): string | undefined {
    switch (entry.kind) {
      case 'stop.engaged':
        this.#stops.add(text(entry.stop))
        return undefined
      case 'incident.opened':
        return this.#begin(entry, leaf)
      case 'incident.step':
        return this.#step(entry)
      case 'incident.close_signed':
        return this.#sign(entry)
      case 'incident.closed':
        return this.#close(entry)
      default:
        return undefined
    }
  }

  #begin(entry: LogEntry, leaf: Buffer): string | undefined {
    const [id, agent] = [text(entry.incident), text(entry.agent)]
    if (this.#seen.has(id)) return 'opens an incident again'
    if (!this.#stops.has(text(entry.stop))) return 'names a stop that is not in this log'
    this.#seen.add(id)
    this.#open.set(id, { agent, leaf: leaf.toString('hex'), signed: new Map() })
    return undefined
  }

  #step(entry: LogEntry): string | undefined {
    const incident = this.#incident(entry)
    if (incident === undefined) return NONE
    const evidence = text(entry.evidence)
    if (evidence !== '' && !incident.signed.has(evidence)) incident.signed.set(evidence, new Set())
    return undefined
  }

  #sign(entry: LogEntry): string | undefined {
    const incident = this.#incident(entry)
    if (incident === undefined) return NONE
    const operator = text(entry.operator)
    const signed = this.#keys.signed(entry, operator)
    if ('why' in signed) return signed.why
    const { document } = signed
    if (document.type !== 'writ.close.v1') return 'is signed as something else'
    const { agent, incident_leaf, evidence } = document
    const said = { operator: document.operator, incident: document.incident, agent, incident_leaf }
    const is = { operator, incident: entry.incident, agent: entry.agent, incident_leaf: incident.leaf }
    if (!equal(said, is)) return 'is signed for another incident'
    const people = incident.signed.get(evidence)
    if (people === undefined) return 'is signed over evidence that nobody collected'
    if (people.has(operator.toLowerCase())) return 'is signed by one person twice'
    people.add(operator.toLowerCase())
    return undefined
  }

  #close(entry: LogEntry): string | undefined {
    const incident = this.#incident(entry)
    if (incident === undefined) return NONE
    const people = incident.signed.get(text(entry.evidence)) ?? new Set()
    const named = Array.isArray(entry.closed_by)
      ? entry.closed_by.map((name) => text(name).toLowerCase())
      : []
    if (people.size < 2) return 'is not signed by two different people'
    if (new Set(named).size !== people.size || !named.every((name) => people.has(name)))
      return 'names others than signed'
    this.#open.delete(text(entry.incident))
    return undefined
  }

  /** Open, and on this agent. */
  #incident(entry: LogEntry): Incident | undefined {
    const incident = this.#open.get(text(entry.incident))
    return incident?.agent === entry.agent ? incident : undefined
  }
}

const NONE = 'is about no incident that is open on this agent'
