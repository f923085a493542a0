import type { Database } from '../db/pool.js'
import { type ErrorCode, WritError } from '../errors.js'
import type { Environment, Operator } from '../types.js'
import { answerOf, type GrantPage, type StoreAnswer } from './store.js'

/** A grant that one human made alone, and what somebody else said of it. Instants are ISO 8601 UTC. */
export interface BreakGlassView {
  readonly grant_id: string
  readonly request_id: string
  readonly agent: string
  readonly environment: string
  readonly account: string
  readonly scopes: readonly string[]
  /** Who broke the glass. */
  readonly operator: string
  /** Why, in their words; null once erased. */
  readonly comment: string | null
  readonly at: string
  /** End of the grant. */
  readonly expires_at: string
  readonly uses: number
  readonly revoked_at: string | null
  readonly review_due: string
  /** Nobody breaks the glass in this environment until it is reviewed. */
  readonly overdue: boolean
  readonly reviewed_at: string | null
  readonly reviewed_by: string | null
  readonly verdict: Verdict | null
}

export type Verdict = 'justified' | 'not-justified'

export interface BreakGlassFilter {
  readonly grant?: string | undefined
  readonly reviewed?: boolean | undefined
}

/** No document makes it longer. The database holds the same hour. */
const LONGEST_SECONDS = 3600

/** Whether policy names this human for emergencies here. All else that is asked of them is asked of everybody. */
export const mayBreakGlass = (environment: Environment, operator: Operator): boolean =>
  environment.tier === 'production' && environment.breakGlass?.operators.has(operator.name) === true

/** How long a grant made so lives, in seconds, when `asked` were asked for. */
export const breakGlassSeconds = (environment: Environment, asked: number): number =>
  Math.min(asked, environment.breakGlass?.maxSeconds ?? LONGEST_SECONDS, LONGEST_SECONDS)

/** Newest first; `before` is the last item of the page before. */
export async function listBreakGlass(
  database: Database,
  filter: BreakGlassFilter,
  page: GrantPage,
): Promise<readonly BreakGlassView[]> {
  const rows = await database.query<{ view: BreakGlassView }>(
    `SELECT jsonb_build_object('grant_id', b.grant_id, 'request_id', b.request_id, 'agent', g.agent,
       'environment', b.environment, 'account', r.account, 'scopes', g.scopes, 'operator', b.operator,
       'comment', d.comment, 'at', b.at, 'expires_at', g.expires_at, 'uses', g.uses, 'revoked_at', g.revoked_at,
       'review_due', b.review_due, 'overdue', b.reviewed_at IS NULL AND b.review_due <= clock_timestamp(),
       'reviewed_at', b.reviewed_at, 'reviewed_by', b.reviewed_by, 'verdict', b.verdict) AS view
     FROM writ.break_glass b JOIN writ.grants g ON g.id = b.grant_id JOIN writ.grant_request r ON r.id = b.request_id
       JOIN writ.grant_decision d ON (d.request_id, d.operator) = (b.request_id, b.operator)
     WHERE ($1::text IS NULL OR b.grant_id = $1) AND ($2::boolean IS NULL OR (b.reviewed_at IS NOT NULL) = $2)
       AND ($3::timestamptz IS NULL OR (b.at, b.grant_id) < ($3, $4))
     ORDER BY b.at DESC, b.grant_id DESC LIMIT $5`,
    [
      filter.grant ?? null,
      filter.reviewed ?? null,
      page.before?.at ?? null,
      page.before?.id ?? null,
      page.limit,
    ],
  )
  return rows.map((row) => row.view)
}

/** What waits for a review, for a banner on every page: the most urgent first, a hundred at most. */
export async function pendingReviews(database: Database): Promise<readonly BreakGlassView[]> {
  const waiting = await listBreakGlass(database, { reviewed: false }, { limit: 100 })
  return [...waiting].reverse()
}

export interface Review {
  readonly grantId: string
  readonly verdict: Verdict
  readonly comment: string
}

/**
 * Records what somebody else says of a use of break-glass.
 *
 * Throws `WritError` not_found, review_is_own, already_reviewed.
 */
export async function reviewBreakGlass(
  database: Database,
  operator: Operator,
  { grantId, verdict, comment }: Review,
): Promise<BreakGlassView> {
  const argument = {
    grant_id: grantId,
    operator: operator.name,
    operator_names: [...new Set([operator.name, ...operator.alsoKnownAs])],
    verdict,
    comment,
  }
  const answer = answerOf(
    await database.query<{ answer: StoreAnswer<unknown> }>(
      'SELECT writ.review_break_glass($1::jsonb) AS answer',
      [JSON.stringify(argument)],
    ),
  )
  if (answer.status === 'refused') {
    throw new WritError(
      answer.code as ErrorCode,
      SENTENCES[answer.code] ?? 'It cannot be reviewed like this.',
    )
  }
  const [view] = await listBreakGlass(database, { grant: grantId }, { limit: 1 })
  if (view === undefined) throw new WritError('not_found', NOT_FOUND)
  return view
}

const NOT_FOUND = 'There is no such grant that was made by breaking the glass.'
const SENTENCES: Readonly<Record<string, string>> = {
  not_found: NOT_FOUND,
  review_is_own: 'You broke the glass yourself; somebody else has to review it.',
  already_reviewed: 'It has been reviewed already.',
}
