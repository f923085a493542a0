import { createPool } from '../../server/db/pool.js'
import { sessionCookie } from '../../server/http/console/cookies.js'
import { newId } from '../../server/issuance/id.js'
import { createSessions, csrfToken } from '../../server/operators/sessions.js'
import { silent } from './postgres.js'

export interface SignedInBrowser {
  readonly id: string
  /** `name=value`, for the header Cookie. */
  readonly cookie: string
  /** For the header x-writ-csrf. */
  readonly csrf: string
}

/**
 * A session of `operator` as a passkey sign-in makes it, through the same function of the database. `now` is when
 * they authenticated; `origin` says which of the two names the cookie has.
 */
export async function startSession(
  sql: { readonly brokerUrl: string },
  operator: string,
  now = new Date(),
  origin = 'http://localhost',
): Promise<SignedInBrowser> {
  const database = createPool({
    connectionString: sql.brokerUrl,
    applicationName: 'writ test',
    log: silent,
    max: 1,
  })
  try {
    const sessions = createSessions(database, newId)
    const { id, secret } = await sessions.start({ operator, method: 'passkey', authenticatedAt: now })
    return { id, cookie: `${sessionCookie(origin)}=${secret}`, csrf: csrfToken(secret) }
  } finally {
    await database.end()
  }
}

/** Moves a session, or all, into the past: `seconds` have gone by. */
export const age = (sql: { readonly superuserUrl: string }, seconds: number, id?: string): Promise<void> =>
  asSuperuser(
    sql,
    `UPDATE writ.console_session SET created_at = created_at - s, seen_at = seen_at - s, token_at = token_at - s,
       authenticated_at = authenticated_at - s, expires_at = expires_at - s, next_at = next_at - s,
       previous_until = previous_until - s, ended_at = ended_at - s
     FROM make_interval(secs => $1) s WHERE $2::text IS NULL OR id = $2`,
    [seconds, id ?? null],
  )

/** What no login of ours may do. */
export async function asSuperuser(
  sql: { readonly superuserUrl: string },
  text: string,
  values: readonly unknown[] = [],
): Promise<void> {
  const database = createPool({
    connectionString: sql.superuserUrl,
    applicationName: 'writ test',
    log: silent,
    max: 1,
  })
  try {
    await database.query(text, values)
  } finally {
    await database.end()
  }
}
