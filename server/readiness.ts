import type { Publishing } from './audit/publish/publishing.js'
import type { Database } from './db/pool.js'
import type { Readiness } from './http/deps.js'
import type { IssuerHealth } from './identity/verifier.js'
import type { PolicyHolder } from './policy/watch.js'

/** Tokens and grants are dated: a replica whose clock is off refuses good ones and accepts stale ones. */
const MOST_SKEW_MS = 2_000

interface ReadinessDeps {
  readonly database: Database
  readonly policy: PolicyHolder
  readonly issuers: () => readonly IssuerHealth[]
  readonly publishing: Publishing | undefined
  readonly webhooks: () => { readonly ok: boolean; readonly detail: string }
  readonly now: () => Date
}

/**
 * Whether this replica should get requests. Database, clock and a record that is what was published decide. A
 * policy that does not reload, an issuer that does not answer and a webhook that gets nothing are told, and the
 * last good set and the cached keys go on serving.
 */
export function readiness({
  database,
  policy,
  issuers,
  publishing,
  webhooks,
  now,
}: ReadinessDeps): () => Promise<Readiness> {
  return async () => {
    const { database: databaseCheck, clock } = await askDatabase(database, now)
    const { digest, loadedAt, lastProblem } = policy.state()
    const failing = issuers().filter((issuer) => issuer.state === 'unavailable' || issuer.state === 'stale')
    const log = logCheck(publishing)
    return {
      ready: databaseCheck.ok && clock.ok && publishing?.checkpointer.trouble() === undefined,
      checks: {
        log,
        webhooks: webhooks(),
        database: databaseCheck,
        clock,
        policy:
          lastProblem === undefined
            ? { ok: true, detail: `${digest} since ${loadedAt.toISOString()}` }
            : {
                ok: false,
                detail: `${lastProblem.problems.length} problems since ${lastProblem.at.toISOString()}; still serving ${digest}`,
              },
        issuers:
          failing.length === 0
            ? { ok: true, detail: 'all reachable or not asked yet' }
            : { ok: false, detail: `${failing.length} not reachable; cached keys serve where there are any` },
      },
    }
  }
}

function logCheck(publishing: Publishing | undefined) {
  if (publishing === undefined) return { ok: true, detail: 'not published by this replica' }
  const trouble = publishing.checkpointer.trouble()
  if (trouble !== undefined) return { ok: false, detail: `not trusted: ${trouble}` }
  const failure = publishing.failure()
  if (failure !== undefined) return { ok: false, detail: `cannot be published: ${failure}` }
  return { ok: true, detail: `${publishing.checkpointer.size()} entries published` }
}

async function askDatabase(database: Database, now: () => Date) {
  try {
    const before = now().getTime()
    const rows = await database.query<{ now: Date }>('SELECT clock_timestamp() AS now')
    const after = now().getTime()
    const skew = (rows[0]?.now.getTime() ?? 0) - (before + after) / 2
    // The round trip bounds what can be known.
    const ok = Math.abs(skew) <= MOST_SKEW_MS + (after - before) / 2
    return {
      database: { ok: true, detail: `answered in ${after - before} ms` },
      clock: { ok, detail: `${Math.round(skew)} ms from the database` },
    }
  } catch {
    return {
      database: { ok: false, detail: 'does not answer' },
      clock: { ok: false, detail: 'cannot be compared' },
    }
  }
}
