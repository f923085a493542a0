import { z } from 'zod'
import { type Contained, Containment } from './containment.js'
import { roleKey } from './roles.js'

/** The database writes `+00:00` and microseconds, the broker `Z`. */
const instant = z.iso.datetime({ offset: true })

/** An item of GET /v1/issuances; what else it says is not looked at. */
const issuanceItem = z.object({
  issuance: z.string().min(1),
  at: instant,
  state: z.enum(['intended', 'issued', 'failed', 'abandoned']),
  agent: z.string().min(1),
  environment: z.string().min(1),
  role: z.string().refine((arn) => roleKey(arn) !== undefined, 'not the ARN of a role'),
  scopes: z.array(z.string()),
  human: z.string().nullish(),
  human_how: z.string().nullish(),
  grant: z.string().nullish(),
  access_key_id: z.string().nullish(),
  expires_at: instant.nullish(),
  not_after: instant.nullish(),
})

/** An item of GET /v1/events, of the kinds that say more about a session. */
const eventItem = z.object({
  index: z.number(),
  body: z.looseObject({ kind: z.string(), at: instant }),
  /** A policy that names the caller's address lies beside the body; unknown here once it is erased. */
  personal: z.looseObject({ session_policy: z.string().optional() }).nullish(),
})
const intendedBody = z.looseObject({
  issuance_id: z.string(),
  not_after: instant.optional(),
  session_policy: z.string().optional(),
})

export interface KnownIssuance extends Contained {
  readonly id: string
  readonly at: number
  readonly state: 'intended' | 'issued' | 'failed' | 'abandoned'
  readonly agent: string
  readonly environment: string
  readonly role: string
  readonly roleKey: string
  readonly scopes: readonly string[]
  readonly grant?: string
  readonly accessKeyId?: string
  /** The earlier of what the session policy ends and what STS ends; unknown for what was never issued. */
  readonly end?: number
  /** CIDR blocks of the session policy; absent when it has none or nothing is known of them. */
  readonly cidrs?: readonly string[]
}

/** The record, as far as CloudTrail is compared with it. */
export interface IssuanceBook {
  readonly byId: ReadonlyMap<string, KnownIssuance>
  readonly byKey: ReadonlyMap<string, KnownIssuance>
  readonly agents: ReadonlySet<string>
}

/** Collects issuances and events in any order; `add` answers what is wrong with an item, or undefined. */
export class BookBuilder {
  readonly #items = new Map<string, z.infer<typeof issuanceItem>>()
  readonly #more = new Map<string, { notAfter?: number; cidrs?: readonly string[] }>()
  readonly #containment: Containment

  /** `namesOf`: every name under which a human may appear. */
  constructor(namesOf: (human: string) => readonly string[] = (human) => [human]) {
    this.#containment = new Containment(namesOf)
  }

  add(item: unknown): string | undefined {
    if (typeof item === 'object' && item !== null && 'body' in item) return this.#addEvent(item)
    const read = issuanceItem.safeParse(item)
    if (!read.success) return sayIssue('an issuance', read.error)
    const before = this.#items.get(read.data.issuance)
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(read.data)) {
      return `issuance ${read.data.issuance} is there twice, and differently`
    }
    this.#items.set(read.data.issuance, read.data)
    return undefined
  }

  #addEvent(item: object): string | undefined {
    const read = eventItem.safeParse(item)
    if (!read.success) return sayIssue('an event', read.error)
    const { body, personal } = read.data
    if (body.kind === 'issuance.intended') {
      const intended = intendedBody.safeParse(body)
      if (!intended.success) return sayIssue('an event issuance.intended', intended.error)
      const { issuance_id, not_after, session_policy = personal?.session_policy } = intended.data
      const cidrs = session_policy === undefined ? undefined : boundTo(session_policy)
      this.#more.set(issuance_id, {
        ...(not_after === undefined ? {} : { notAfter: Date.parse(not_after) }),
        ...(cidrs === undefined ? {} : { cidrs }),
      })
      return undefined
    }
    const wrong = this.#containment.add(body, personal ?? undefined)
    return wrong === undefined ? undefined : sayIssue(`an event ${body.kind}`, wrong)
  }

  /** Answers a problem where two issuances claim one access key: AWS never hands a key out twice. */
  build(): { readonly book: IssuanceBook; readonly problems: readonly string[] } {
    const byId = new Map<string, KnownIssuance>()
    const byKey = new Map<string, KnownIssuance>()
    const problems: string[] = []
    for (const item of this.#items.values()) {
      const known = this.#known(item)
      byId.set(known.id, known)
      if (known.accessKeyId === undefined) continue
      const other = byKey.get(known.accessKeyId)
      if (other === undefined) byKey.set(known.accessKeyId, known)
      else
        problems.push(`issuances ${other.id} and ${known.id} have the same access key ${known.accessKeyId}`)
    }
    const agents = new Set([...byId.values()].map(({ agent }) => agent))
    return { book: { byId, byKey, agents }, problems }
  }

  #known(item: z.infer<typeof issuanceItem>): KnownIssuance {
    const more = this.#more.get(item.issuance)
    const ends = [
      more?.notAfter,
      ...[item.not_after, item.expires_at].map((one) => (one ? Date.parse(one) : undefined)),
    ].filter((one) => one !== undefined)
    const session = {
      id: item.issuance,
      at: Date.parse(item.at),
      agent: item.agent,
      environment: item.environment,
      roleKey: roleKey(item.role) ?? item.role,
      ...(item.grant ? { grant: item.grant } : {}),
      ...(ends.length === 0 ? {} : { end: Math.min(...ends) }),
    }
    const tagged = item.human_how !== 'self-claimed'
    return {
      ...session,
      state: item.state,
      role: item.role,
      scopes: item.scopes,
      ...(item.access_key_id ? { accessKeyId: item.access_key_id } : {}),
      ...(more?.cidrs === undefined ? {} : { cidrs: more.cidrs }),
      ...this.#containment.of({ ...session, tagged, ...(item.human ? { human: item.human } : {}) }),
    }
  }
}

const policyShape = z.object({
  Statement: z.array(
    z.looseObject({
      Effect: z.string(),
      Condition: z
        .record(z.string(), z.record(z.string(), z.union([z.string(), z.array(z.string())])))
        .optional(),
    }),
  ),
})

/** The CIDR blocks that the fence of a session policy names; undefined where there is none. */
function boundTo(sessionPolicy: string): readonly string[] | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(sessionPolicy)
  } catch {
    return undefined
  }
  const read = policyShape.safeParse(parsed)
  if (!read.success) return undefined
  for (const { Effect, Condition } of read.data.Statement) {
    const fence = Effect === 'Deny' ? Condition?.NotIpAddress?.['aws:SourceIp'] : undefined
    if (fence !== undefined) return typeof fence === 'string' ? [fence] : fence
  }
  return undefined
}

const sayIssue = (what: string, { issues }: z.ZodError): string => {
  const [first] = issues
  return `it is not ${what}: ${first?.path.join('.') || 'the whole'}: ${first?.message ?? 'unreadable'}`
}
