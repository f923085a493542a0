import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { RecordItem } from '../audit/items.js'
import { seenFrom } from '../audit/personal.js'
import { WritError } from '../errors.js'
import type { Identity, Operator } from '../types.js'

/** Records the first use of each operator token. */
export type SignIns = (operator: Operator, identity: Identity, request: FastifyRequest) => Promise<void>

/** More than any shift of operators has tokens; one forgotten is recorded twice, which is no harm. */
const REMEMBERED = 10_000

/**
 * Operators come with a token each time: its first use here is their signing in. Never stands in the way of an
 * operator: on a record that is not trusted they must still be able to revoke.
 */
export function createSignIns(record: RecordItem): SignIns {
  // Keyed by a hash: the tokens themselves stay nowhere.
  const seen = new LRUCache<string, true>({ max: REMEMBERED })
  return async (operator, identity, request) => {
    const key = createHash('sha256')
      .update(request.headers.authorization ?? '')
      .digest('base64url')
    if (seen.has(key)) return
    seen.set(key, true)
    try {
      await record({
        op: 'event',
        kind: 'operator.signed_in',
        fields: { operator: operator.name },
        payload: {
          request: request.id,
          issuer: identity.issuer,
          issued_at: identity.issuedAt.toISOString(),
          expires_at: identity.expiresAt.toISOString(),
          ...(identity.authenticatedAt === undefined
            ? {}
            : { authenticated_at: identity.authenticatedAt.toISOString() }),
        },
        personal: { subject: identity.subject, source_ip: request.ip },
        seen: seenFrom(request.ip),
      })
    } catch (error) {
      seen.delete(key)
      if (!(error instanceof WritError)) throw error
      request.log.warn({ code: error.code, operator: operator.name }, 'sign-in not recorded')
    }
  }
}
