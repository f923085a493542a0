import { LRUCache } from 'lru-cache'
import type { CredentialRequest, Identity } from '../types.js'
import type { AssumedSession } from '../types-aws.js'

/** A session that is out and may be handed out again. Memory only: it holds the secret. */
export interface LiveSession {
  readonly issuanceId: string
  readonly grantId?: string
  readonly roleArn: string
  readonly permissionsSha256: string
  readonly mintedAt: Date
  readonly notAfter: Date
  readonly assumed: AssumedSession
}

export interface LiveSessions {
  readonly find: (key: string, now: Date) => LiveSession | undefined
  readonly keep: (key: string, session: LiveSession) => void
  readonly forget: (key: string) => void
}

/** Less than this is not worth handing out. */
const LEAST_LEFT_MS = 30_000

/**
 * SDKs refetch a 900 s session all the time (botocore on every signing below 15 minutes left), so the same
 * live session is handed out again while more than half of it is left; one on a grant until it ends, since
 * another would be another use.
 */
export function createLiveSessions(most = 10_000): LiveSessions {
  const cache = new LRUCache<string, LiveSession>({ max: most })
  return {
    find(key, now) {
      const held = cache.get(key)
      if (held === undefined) return undefined
      const life = held.notAfter.getTime() - held.mintedAt.getTime()
      const least = held.grantId === undefined ? life / 2 : LEAST_LEFT_MS
      if (held.notAfter.getTime() - now.getTime() > least) return held
      cache.delete(key)
      return undefined
    },
    keep: (key, session) => void cache.set(key, session),
    forget: (key) => void cache.delete(key),
  }
}

/** The same agent, human, place, scopes, length, label and network: anything else is another session. */
export function sessionKey(
  agent: string,
  identity: Identity,
  request: CredentialRequest,
  ip: string,
): string {
  return JSON.stringify([
    agent,
    identity.issuer,
    identity.subject,
    identity.onBehalfOf?.human ?? null,
    request.environment,
    request.scopes,
    request.ttlSeconds ?? null,
    request.session ?? null,
    ip,
  ])
}
