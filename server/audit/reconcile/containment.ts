import { z } from 'zod'
import { roleKey } from './roles.js'

const instant = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text))

/** What of these entries says when a session was to die. Shapes: docs/log-entries.md. */
const BODIES = {
  'grant.revoked': z.looseObject({ at: instant, grant_id: z.string() }),
  'issuance.revoked': z.looseObject({ at: instant, issuance_id: z.string() }),
  'stop.engaged': z.looseObject({
    at: instant,
    stop: z.string(),
    stops: z.enum(['agent', 'human', 'environment', 'account', 'everything']),
    name: z.string().optional(),
    agents: z.array(z.string()).optional(),
    cutoff: instant,
  }),
  'deny.written': z.looseObject({
    at: instant,
    role_arn: z.string(),
    kills: z.array(
      z.looseObject({ kind: z.string(), target: z.string().optional(), cutoff: instant.optional() }),
    ),
  }),
} as const

/** The kinds of entries that `Containment` reads. */
export const CONTAINMENT_KINDS = Object.keys(BODIES) as readonly (keyof typeof BODIES)[]

export interface Contained {
  /** The stop, if one came while it lived. */
  readonly stop?: { readonly id: string; readonly at: number }
  /** It was revoked, or its grant was. */
  readonly revoked?: { readonly by: string; readonly at: number }
  /** IAM had a Deny on this session: read back. It holds everywhere a while later. */
  readonly deniedAt?: number
}

/** What is asked about: a session as the record has it. */
export interface ContainedSubject {
  readonly id: string
  readonly at: number
  readonly agent: string
  readonly environment: string
  readonly roleKey: string
  readonly human?: string
  /** The human is in its tags: an agent's own word is not. */
  readonly tagged: boolean
  readonly grant?: string
  /** When it ends by itself. */
  readonly end?: number
}

interface Stop {
  readonly id: string
  readonly at: number
  readonly cutoff: number
}

/** Collects stops, revocations and written denies, in any order, and says what they mean for a session. */
export class Containment {
  readonly #namesOf: (human: string) => readonly string[]
  // Either is revoked once.
  readonly #grants = new Map<string, number>()
  readonly #issuances = new Map<string, number>()
  /** By what they stop, such as `agent orders-coder`. */
  readonly #stops = new Map<string, Map<string, Stop>>()
  /** By role and whom they kill. */
  readonly #denies = new Map<string, { readonly at: number; readonly cutoff: number }[]>()

  /** `namesOf`: every name under which a human may appear. */
  constructor(namesOf: (human: string) => readonly string[]) {
    this.#namesOf = namesOf
  }

  /** Answers what is wrong with an entry of these kinds, or undefined. Of other kinds it takes no notice. */
  add(body: { readonly kind: string }, personal?: Readonly<Record<string, unknown>>): z.ZodError | undefined {
    switch (body.kind) {
      case 'grant.revoked': {
        const { data, error } = BODIES[body.kind].safeParse(body)
        if (data === undefined) return error
        this.#grants.set(data.grant_id, data.at)
        break
      }
      case 'issuance.revoked': {
        const { data, error } = BODIES[body.kind].safeParse(body)
        if (data === undefined) return error
        this.#issuances.set(data.issuance_id, data.at)
        break
      }
      case 'stop.engaged': {
        const { data, error } = BODIES[body.kind].safeParse(body)
        if (data === undefined) return error
        this.#stop(data, typeof personal?.human === 'string' ? personal.human : undefined)
        break
      }
      case 'deny.written': {
        const { data, error } = BODIES[body.kind].safeParse(body)
        if (data === undefined) return error
        this.#deny(data)
        break
      }
    }
    return undefined
  }

  #stop(data: z.infer<(typeof BODIES)['stop.engaged']>, human: string | undefined): void {
    const { stop: id, stops, name = '', agents = [], at, cutoff } = data
    const keys =
      stops === 'human'
        ? [
            ...agents.map((agent) => `agent ${agent}`),
            // Of a stop whose human was erased, the agents they own are known still.
            ...(human === undefined ? [] : this.#namesOf(human)).map(humanKey),
          ]
        : [`${stops} ${name}`]
    for (const key of keys) {
      const same = this.#stops.get(key) ?? new Map<string, Stop>()
      this.#stops.set(key, same.set(id, { id, at, cutoff }))
    }
  }

  #deny({ at, role_arn, kills }: z.infer<(typeof BODIES)['deny.written']>): void {
    for (const { kind, target = '', cutoff = Number.POSITIVE_INFINITY } of kills) {
      const key = denyKey(roleKey(role_arn) ?? role_arn, kind, target)
      const same = this.#denies.get(key) ?? []
      same.push({ at, cutoff })
      this.#denies.set(key, same)
    }
  }

  of(session: ContainedSubject): Contained {
    const stops = this.#stopsOf(session)
    const [stop] = [...stops.values()].sort((a, b) => a.at - b.at)
    const revoked = this.#revoked(session)
    const deniedAt = this.#deniedAt(session, new Set([...stops.values()].map(({ cutoff }) => cutoff)))
    return {
      ...(stop === undefined ? {} : { stop: { id: stop.id, at: stop.at } }),
      ...(revoked === undefined ? {} : { revoked }),
      ...(deniedAt === undefined ? {} : { deniedAt }),
    }
  }

  /** Those that came while it lived: a stop before it was released before it. */
  #stopsOf({
    at,
    end,
    agent,
    human,
    environment,
    roleKey: role,
  }: ContainedSubject): ReadonlyMap<string, Stop> {
    const keys = [
      `agent ${agent}`,
      ...(human === undefined ? [] : [humanKey(human)]),
      `environment ${environment}`,
      `account ${role.split('/')[0] ?? ''}`,
      'everything ',
    ]
    const all = keys.flatMap((key) => [...(this.#stops.get(key) ?? [])])
    return new Map(all.filter(([, stop]) => at <= stop.at && (end === undefined || stop.at < end)))
  }

  #revoked({ id, grant }: ContainedSubject): Contained['revoked'] {
    const itself = this.#issuances.get(id)
    const ofGrant = grant === undefined ? undefined : this.#grants.get(grant)
    if (ofGrant !== undefined && (itself === undefined || ofGrant <= itself))
      return { by: `grant ${grant}`, at: ofGrant }
    return itself === undefined ? undefined : { by: `issuance ${id}`, at: itself }
  }

  #deniedAt(session: ContainedSubject, cutoffs: ReadonlySet<number>): number | undefined {
    const { id, at, agent, tagged, roleKey: role } = session
    const of = (kind: string, target: string) => this.#denies.get(denyKey(role, kind, target)) ?? []
    const before = [...of('issuance', id), ...of('agent', agent), ...of('role', '')]
    const found = [
      ...before.filter(({ cutoff }) => at < cutoff),
      // The log does not say whose a human's Deny is; its cutoff says of which stop.
      ...of('human', '').filter(({ cutoff }) => tagged && cutoffs.has(cutoff)),
    ]
    return found.length === 0 ? undefined : Math.min(...found.map((one) => one.at))
  }
}

const humanKey = (name: string): string => `human ${name.toLowerCase()}`
const denyKey = (role: string, kind: string, target: string): string => JSON.stringify([role, kind, target])
