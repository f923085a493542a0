import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Database } from '../db/pool.js'

export type SignInMethod = 'oidc' | 'passkey'

/** Why a session ended, as its entry says. */
export type SessionEnd =
  | 'signed_out'
  | 'ended'
  | 'ended_by_admin'
  | 'signed_in_again'
  | 'policy_changed'
  | 'token_reused'
  | 'key_removed'

/** What is kept of who signed in at an issuer: no more than policy looks at. */
export interface KeptIdentity {
  readonly issuer: string
  readonly subject: string
  readonly claims: Readonly<Record<string, unknown>>
  /** Names of all claims that policy looked at then, whether the token had them or not. */
  readonly looked_at: readonly string[]
}

export interface NewSession {
  readonly operator: string
  readonly method: SignInMethod
  /** Of a sign-in at an issuer; a passkey has none. */
  readonly identity?: KeptIdentity
  readonly authenticatedAt: Date
  /** Id of this browser's session before; it ends. */
  readonly replaces?: string
}

export interface StartedSession {
  readonly id: string
  /** The value of the cookie. Secret: only its SHA-256 is in the database. */
  readonly secret: string
  readonly expiresAt: Date
}

export interface SessionRow {
  readonly id: string
  readonly operator: string
  readonly method: SignInMethod
  readonly identity: KeptIdentity | null
  readonly createdAt: Date
  readonly authenticatedAt: Date
  readonly seenAt: Date
  readonly expiresAt: Date
}

/** A good session, by its secret. */
export interface FoundSession extends SessionRow {
  /** Whether its secret is old enough to be followed by another. */
  readonly rotate: boolean
}

/** Sessions of operators at the console, in the database: every replica knows them, and each can be ended. */
export interface Sessions {
  start(session: NewSession): Promise<StartedSession>
  /** The session of this secret while it is good. Being asked counts as being there, unless `quiet`. */
  find(secret: string, how?: { readonly quiet: boolean }): Promise<FoundSession | undefined>
  /** The secret that follows, or undefined when another request of the browser just got it. */
  rotate(secret: string): Promise<string | undefined>
  /** The human showed again that it is them: a new secret; the old one is over at once. Undefined when it was already. */
  authenticated(secret: string): Promise<string | undefined>
  /** Answers whether it was still open; undefined when there is none, or it is not of `operator`. */
  end(id: string, why: SessionEnd, of?: { operator?: string; by?: string }): Promise<boolean | undefined>
  /** Good ones of one operator, or of all; newest first, at most 200. */
  list(operator?: string): Promise<readonly SessionRow[]>
}

/** 32 bytes that open the session, and 16 that its CSRF token is made of and that outlive a rotation. */
const SECRET = /^[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{22}$/

const random = (bytes: number) => randomBytes(bytes).toString('base64url')
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const seedOf = (secret: string) => secret.slice(44)

/** A secret for a session, with the other's CSRF seed where it follows one: open pages go on working. */
const newSecret = (before?: string) => `${random(32)}.${before === undefined ? random(16) : seedOf(before)}`

/**
 * What a page sends along with everything that changes something. Made of the cookie, so that it fits no other
 * session and nothing of it is in the database.
 */
export const csrfToken = (secret: string): string =>
  createHmac('sha256', seedOf(secret)).update('writ.csrf.v1').digest('base64url')

/** In constant time. */
export function csrfHolds(secret: string, given: unknown): boolean {
  if (typeof given !== 'string') return false
  const [a, b] = [Buffer.from(given), Buffer.from(csrfToken(secret))]
  return a.length === b.length && timingSafeEqual(a, b)
}

interface Found extends SessionRow {
  readonly over: string | null
  readonly token: 'current' | 'next' | 'previous' | 'superseded'
  readonly unseen: boolean
  readonly old: boolean
}

const COLUMNS = `id, operator, method, identity, created_at AS "createdAt", authenticated_at AS "authenticatedAt",
  seen_at AS "seenAt", expires_at AS "expiresAt"`

export function createSessions(database: Pick<Database, 'query'>, newId: () => string): Sessions {
  const one = async <Row extends object>(text: string, values: readonly unknown[], name?: string) =>
    (await database.query<Row>(text, values, name === undefined ? {} : { name }))[0]

  async function end(
    id: string,
    why: SessionEnd,
    { operator, by }: { operator?: string; by?: string } = {},
  ): Promise<boolean | undefined> {
    const row = await one<{ open: boolean | null }>('SELECT writ.session_end($1::jsonb) AS open', [
      JSON.stringify({ id, why, operator, by }),
    ])
    return row?.open ?? undefined
  }

  return {
    end,
    async start({ operator, method, identity, authenticatedAt, replaces }) {
      const secret = newSecret()
      const id = newId()
      const given = { operator, method, identity, authenticated_at: authenticatedAt, replaces }
      const row = await one<{ expires: Date }>('SELECT writ.session_start($1::jsonb) AS expires', [
        JSON.stringify({ token_sha256: sha256(secret), id, ...given }),
      ])
      if (row === undefined) throw new Error('a session was not started')
      return { id, secret, expiresAt: row.expires }
    },
    async find(secret, { quiet } = { quiet: false }) {
      if (!SECRET.test(secret)) return undefined
      const hash = sha256(secret)
      const row = await one<Found>(FIND, [hash], 'writ.console_session.find')
      if (row === undefined || row.over !== null) return undefined
      const { over: _, token, unseen, old, ...session } = row
      if (token === 'superseded') {
        // The browser has used what followed, so this is somebody else's copy, or theirs is: both are out.
        await end(session.id, 'token_reused')
        return undefined
      }
      if (quiet) return { ...session, rotate: false }
      if (token === 'next' || unseen) await database.query('SELECT writ.session_seen($1)', [hash])
      return { ...session, rotate: token === 'current' && old }
    },
    async rotate(secret) {
      const next = newSecret(secret)
      const row = await one<{ done: boolean }>('SELECT writ.session_rotate($1, $2) AS done', [
        sha256(secret),
        sha256(next),
      ])
      return row?.done === true ? next : undefined
    },
    async authenticated(secret) {
      const next = newSecret(secret)
      const row = await one<{ done: boolean }>('SELECT writ.session_authenticated($1, $2) AS done', [
        sha256(secret),
        sha256(next),
      ])
      return row?.done === true ? next : undefined
    },
    list: (operator) =>
      database.query<SessionRow>(
        `SELECT ${COLUMNS} FROM writ.console_session s
         WHERE ended_at IS NULL AND writ.session_over(s) IS NULL AND ($1::text IS NULL OR operator = $1)
         ORDER BY created_at DESC LIMIT 200`,
        [operator ?? null],
      ),
  }
}

const FIND = `SELECT ${COLUMNS}, writ.session_over(s) AS over,
  CASE $1 WHEN token_sha256 THEN 'current' WHEN next_sha256 THEN 'next'
    ELSE CASE WHEN clock_timestamp() < previous_until THEN 'previous' ELSE 'superseded' END END AS token,
  clock_timestamp() >= seen_at + interval '1 minute' AS unseen,
  clock_timestamp() >= token_at + interval '15 minutes' AS old
  FROM writ.console_session s WHERE token_sha256 = $1 OR next_sha256 = $1 OR previous_sha256 = $1`

/** Ends sessions that ran out, a few at a time: what is kept of who signed in goes with them. Answers how many. */
export async function sweepSessions(database: Pick<Database, 'query'>): Promise<number> {
  const [row] = await database.query<{ n: number }>('SELECT writ.sweep_sessions() AS n')
  return row?.n ?? 0
}
