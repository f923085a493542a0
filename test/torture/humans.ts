import { setTimeout as delay } from 'node:timers/promises'
import type { SoftwareKey } from '../../cli/software-key.js'
import { challengeOf } from '../../server/audit/proofs/document.js'
import type { TestIssuer } from '../support/issuer.js'
import { type Sent as Answered, createClient } from './http.js'
import type { Ledger } from './ledger.js'
import { OPERATOR, OPERATOR_AUDIENCE } from './policies.js'
import type { Random } from './random.js'
import type { Replica } from './replica.js'

/** The operator: grants when an agent is out of grants, and takes some back at a random moment. */
export interface Humans {
  /** Resolves when the agent has been given another grant, or not. */
  readonly needed: (agent: string) => Promise<void>
  readonly granted: () => number
  /** Waits for revocations under way. */
  readonly rest: () => Promise<void>
}

type Sent = Answered | 'unsent'

const answered = (sent: Sent, status: number): sent is Exclude<Sent, string> =>
  typeof sent !== 'string' && sent.status === status

const REVOKED = 0.3
const MOST_USES = 25

export function startHumans(options: {
  readonly replicas: readonly Replica[]
  readonly issuer: TestIssuer
  readonly ledger: Ledger
  readonly random: Random
  readonly key: SoftwareKey
}): Humans {
  const { replicas, issuer, ledger, random, key } = options
  const client = createClient(6_000)
  const busy = new Map<string, Promise<void>>()
  const revoking = new Set<Promise<void>>()
  let granted = 0
  let asked = 0

  const token = async (): Promise<string> => {
    const now = new Date()
    const auth_time = Math.floor(now.getTime() / 1000)
    return issuer.sign(issuer.claims(now, { sub: `operator:${OPERATOR}`, aud: OPERATOR_AUDIENCE, auth_time }))
  }
  const post = async (path: string, body: object): Promise<Sent> => {
    const url = random.pick(replicas).url()
    return url === undefined ? ('unsent' as const) : client.post(url, path, await token(), body)
  }

  async function grant(agent: string): Promise<void> {
    const uses = Math.ceil(random.between(0, MOST_USES))
    const opened = await post('/v1/grants', {
      agent,
      environment: 'production',
      scopes: ['things:write'],
      reason: `grant ${asked++}`,
      uses,
      valid_for: 3600,
    })
    const sent = answered(opened, 202) ? await sign(String(opened.body.request_id)) : 'unsent'
    // Lost, it may exist all the same: whatever is used on it is held against the record's own limit.
    if (!answered(sent, 200)) {
      await delay(100)
      return
    }
    granted += 1
    if (random.chance(REVOKED)) {
      const revocation = revoke(String(sent.body.grant_id), random.between(0, 1_500))
      revoking.add(revocation)
      void revocation.finally(() => revoking.delete(revocation))
    }
  }

  async function sign(request: string): Promise<Sent> {
    const path = `/v1/grant-requests/${request}`
    const asked = await post(`${path}/challenge`, { decision: 'approve' })
    if (!answered(asked, 200)) return 'unsent'
    const { challenge, document } = asked.body as { challenge: string; document: string }
    return post(`${path}/decisions`, { challenge, proof: key.sign(challengeOf(document)) })
  }

  async function revoke(id: string, afterMs: number): Promise<void> {
    await delay(afterMs)
    const sent = await post(`/v1/grants/${id}/revoke`, { reason: 'changed my mind' })
    if (sent === 'unsent') return
    const told = sent !== 'lost' && sent.status === 200
    ledger.revocations.push({ grant: id, ...(told ? { answeredAt: Date.now() } : {}) })
  }

  return {
    needed: (agent) => {
      const under = busy.get(agent)
      if (under !== undefined) return under
      const made = grant(agent).finally(() => busy.delete(agent))
      busy.set(agent, made)
      return made
    },
    granted: () => granted,
    rest: async () => {
      await Promise.all(revoking)
      client.close()
    },
  }
}
