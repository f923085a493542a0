import type { DecisionSeen, GrantSeen, IssuanceView as Page, Statement } from '../../../web/pages/issuance.js'
import type { DecisionDocument } from '../../audit/proofs/document.js'
import { documentOf, proofProblem, readProof } from '../../audit/proofs/proof.js'
import type { EventView } from '../../audit/review/events.js'
import type { IssuanceFilter } from '../../audit/review/filters.js'
import { findIssuance, type IssuanceView } from '../../audit/review/issuances.js'
import { listIssuances } from '../../audit/review/lists.js'
import { oldestEvents } from '../../audit/review/oldest.js'
import type { Database } from '../../db/pool.js'
import { listGrants } from '../../grants/store.js'

/** Entries of an issuance that its page shows; what follows are deliveries. */
const MOST_ENTRIES = 50
/** How long a page asks on through a part of the log that holds nothing it looks for. */
const SEARCH_MS = 200

/** A page of issuances. One that found nothing yet asks on for a moment, and says where it stopped. */
export async function searchOn(
  database: Database,
  filter: IssuanceFilter,
  limit: number,
  before: number | undefined,
): Promise<{ readonly items: readonly IssuanceView[]; readonly next: number | null }> {
  const until = performance.now() + SEARCH_MS
  const items: IssuanceView[] = []
  let at = before
  for (;;) {
    const page = await listIssuances(database, filter, { limit: limit - items.length, before: at })
    items.push(...page.items)
    if (page.next === null || items.length >= limit || performance.now() >= until) {
      return { items, next: page.next }
    }
    at = page.next
  }
}

/** Everything the record says of one issuance; undefined when there is none of this id. */
export async function storyOf(database: Database, id: string, now: Date): Promise<Page | undefined> {
  const issuance = await findIssuance(database, id)
  if (issuance === undefined) return undefined
  const [own, [grant]] = await Promise.all([
    oldestEvents(database, { issuance: id }, MOST_ENTRIES),
    issuance.grant === null ? [] : listGrants(database, { id: issuance.grant }, { limit: 1 }),
  ])
  const asked =
    grant === undefined
      ? []
      : (await oldestEvents(database, { request: grant.request_id }, MOST_ENTRIES)).events
  const intent = own.events.find(({ body }) => body.kind === 'issuance.intended')
  const statements = statementsOf(intent)
  const demanded = asked.some(({ body }) => body.signature_required === true)
  return {
    issuance,
    now,
    entries: [...asked, ...own.events].sort((a, b) => a.index - b.index),
    more: own.more,
    grant: grant satisfies GrantSeen | undefined,
    decisions: asked.flatMap(
      (event) => decisionSeen(event, { issuance, intent, statements, demanded }) ?? [],
    ),
    wish: wishOf(asked.find(({ body }) => body.kind === 'grant_request.opened')),
    statements,
    intent: intent?.body,
  }
}

function wishOf(opened: EventView | undefined): Page['wish'] {
  if (opened === undefined) return undefined
  const say = (name: string) => (typeof opened.personal?.[name] === 'string' ? opened.personal[name] : null)
  return { reason: say('reason'), ticket: say('ticket'), personal_data: opened.personal_data }
}

/** Of the rendered session policy, which lies beside the log when it names the caller's address. */
function statementsOf(intent: EventView | undefined): readonly Statement[] | undefined {
  const text = intent?.body.session_policy ?? intent?.personal?.session_policy
  if (typeof text !== 'string') return undefined
  try {
    const { Statement: all } = JSON.parse(text) as { readonly Statement?: unknown }
    return Array.isArray(all) ? (all as readonly Statement[]) : undefined
  } catch {
    return undefined
  }
}

interface About {
  readonly issuance: IssuanceView
  readonly intent: EventView | undefined
  readonly statements: readonly Statement[] | undefined
  /** The request's entry says that a token alone decides nothing. */
  readonly demanded: boolean
}

function decisionSeen({ body, personal, personal_data }: EventView, about: About): DecisionSeen | undefined {
  if (body.kind !== 'grant_request.approved' && body.kind !== 'grant_request.denied') return undefined
  const decision = body.kind === 'grant_request.approved' ? 'approve' : 'deny'
  const unsigned = body.proof_kind === 'fresh-token' && !about.demanded
  const proof = readProof(body.proof)
  const problem = unsigned ? null : (problemOf(body, decision, about) ?? null)
  return {
    operator: String(body.operator),
    decision,
    at: String(body.at),
    comment: typeof personal?.comment === 'string' ? personal.comment : null,
    personal_data,
    proof_kind: String(body.proof_kind),
    key_id: proof?.key_id ?? null,
    break_glass: documentIn(body.proof)?.break_glass === true,
    signature: unsigned ? 'unsigned' : problem === null ? 'verified' : 'failed',
    problem,
  }
}

function problemOf(body: EventView['body'], decision: 'approve' | 'deny', about: About): string | undefined {
  if (body.proof_kind === 'fresh-token') return 'A signature was demanded, and there is none.'
  return proofProblem(body.proof) ?? otherThan(body, decision, about)
}

function documentIn(value: unknown): DecisionDocument | undefined {
  const proof = proofProblem(value) === undefined ? readProof(value) : undefined
  const document = proof === undefined ? undefined : documentOf(proof)
  return document?.type === 'writ.decision.v1' ? document : undefined
}

/**
 * What a good signature is over that is not this decision, or does not allow this session. A signature that verifies
 * proves nothing about a session that it does not name.
 */
function otherThan(
  body: EventView['body'],
  decision: 'approve' | 'deny',
  { issuance, intent, statements }: About,
): string | undefined {
  const document = documentIn(body.proof)
  if (document === undefined) return 'It signed no decision.'
  const allowed = statements?.filter(({ Effect }) => Effect === 'Allow')
  const pairs: readonly (readonly [keyof DecisionDocument, unknown])[] = [
    ['decision', decision],
    ['approver', body.operator],
    ['request', body.request_id],
    ['agent', issuance.agent],
    ['environment', issuance.environment],
    ['role_arn', issuance.role],
    ['scopes', issuance.scopes],
    ['policy_digest', issuance.policy_digest],
    ...(intent === undefined
      ? []
      : [
          ['account', intent.body.account] as const,
          ['permissions_sha256', intent.body.permissions_sha256] as const,
        ]),
    ...(allowed === undefined ? [] : [['permissions', allowed] as const]),
  ]
  const wrong = pairs.filter(([name, value]) => !sameJson(document[name], value)).map(([name]) => name)
  return wrong.length === 0 ? undefined : `It signed something else: ${wrong.join(', ')}.`
}

/** In whatever order the fields stand: the document is canonical, the session policy is not. */
const sameJson = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([x], [y]) => (x < y ? -1 : 1))
    .map(([key, inner]) => [key, sorted(inner)])
}
