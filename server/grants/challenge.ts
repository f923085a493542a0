import { createHash, randomBytes } from 'node:crypto'
import { canonicalText, challengeOf, type DecisionDocument, type KeyKind } from '../audit/proofs/document.js'
import { WritError } from '../errors.js'
import type { Operator, PolicySet } from '../types.js'
import { breakGlassSeconds } from './break-glass.js'
import type { GrantDeps } from './request.js'
import { listGrantRequests, openedEntry } from './store.js'
import type { GrantRequestView } from './types.js'

/** A key that an operator holds now. */
export interface SigningKey {
  readonly id: string
  readonly operator: string
  readonly kind: KeyKind
  readonly public_key: string
  readonly transports: readonly string[]
  readonly sign_count: number
}

export interface DecisionWish {
  readonly requestId: string
  readonly decision: 'approve' | 'deny'
  readonly comment?: string
  /** Lifts the quorum for the few that the environment names; needs a comment. */
  readonly breakGlass?: boolean
}

/** What a human is asked to sign, and what their client needs for it. */
export interface DecisionChallenge {
  readonly challenge: string
  /** Canonical text (RFC 8785) of a DecisionDocument. */
  readonly document: string
  readonly expires_at: string
  /** What `personal` in the document is the salted hash of: on whose behalf, reason, ticket. Salt in hex. */
  readonly personal: { readonly text: string; readonly salt: string } | null
  /** Salt of the comment's hash, 32 hex digits; null without a comment. */
  readonly comment_salt: string | null
  readonly keys: readonly {
    readonly id: string
    readonly kind: KeyKind
    readonly transports: readonly string[]
  }[]
  /** For `navigator.credentials.get`; bytes in base64url. */
  readonly webauthn: {
    readonly challenge: string
    readonly rp_id: string
    readonly allow_credentials: readonly { readonly id: string; readonly transports: readonly string[] }[]
    readonly user_verification: 'required'
    readonly timeout_ms: number
  }
}

/** Long enough to read and to find the key; short enough that what was shown is still so. */
const CHALLENGE_SECONDS = 300

/**
 * Writes down everything that a human is about to decide, for them to sign. Decides nothing and reserves nothing.
 *
 * Throws `WritError`: not_found, request_closed, grant_stale, key_unknown, break_glass_not_allowed.
 */
export async function decisionChallenge(
  deps: GrantDeps,
  policySet: PolicySet,
  operator: Operator,
  wish: DecisionWish,
): Promise<DecisionChallenge> {
  deps.assertTrusted()
  const [request] = await listGrantRequests(deps.database, { id: wish.requestId }, { limit: 1 })
  if (request === undefined) throw new WritError('not_found', 'There is no such grant request.')
  if (request.state !== 'pending')
    throw new WritError('request_closed', `The request is ${request.state} already.`)
  if (wish.decision === 'approve' && request.policy_digest !== policySet.digest) {
    throw new WritError('grant_stale', 'The policy changed since this was asked for.')
  }
  if (wish.breakGlass === true && (wish.decision !== 'approve' || (wish.comment?.trim().length ?? 0) < 10)) {
    throw new WritError(
      'break_glass_not_allowed',
      'Breaking glass is for approving, with a reason of ten characters or more.',
    )
  }
  const keys = await deps.keys.of(operator.name)
  if (keys.length === 0) {
    throw new WritError('key_unknown', `${operator.name} has no key to sign with.`)
  }
  const commentSalt = wish.comment === undefined ? null : randomBytes(16)
  const { document, personal, expiresAt } = await describe(
    deps,
    policySet,
    operator,
    wish,
    request,
    commentSalt,
  )
  const id = deps.newId()
  await deps.database.query('SELECT writ.put_challenge($1::jsonb)', [
    JSON.stringify({
      id,
      purpose: 'decision',
      operator: operator.name,
      document,
      seconds: CHALLENGE_SECONDS,
      personal:
        commentSalt === null ? null : { comment: wish.comment, comment_salt: commentSalt.toString('hex') },
    }),
  ])
  const passkeys = keys.filter(({ kind }) => kind === 'passkey')
  return {
    challenge: id,
    document,
    expires_at: expiresAt,
    personal,
    comment_salt: commentSalt?.toString('hex') ?? null,
    keys: keys.map(({ id, kind, transports }) => ({ id, kind, transports })),
    webauthn: {
      challenge: challengeOf(document).toString('base64url'),
      rp_id: new URL(deps.origin()).hostname,
      allow_credentials: passkeys.map(({ id, transports }) => ({ id, transports })),
      user_verification: 'required',
      timeout_ms: CHALLENGE_SECONDS * 1000,
    },
  }
}

async function describe(
  deps: GrantDeps,
  policySet: PolicySet,
  operator: Operator,
  wish: DecisionWish,
  request: GrantRequestView,
  commentSalt: Uint8Array | null,
): Promise<{
  readonly document: string
  readonly personal: DecisionChallenge['personal']
  readonly expiresAt: string
}> {
  const opened = await openedEntry(deps.database, request.id)
  const environment = policySet.environments.get(request.environment)
  // A request whose entry is gone, or whose environment is, can no longer be shown whole.
  if (opened === undefined || environment === undefined) {
    throw new WritError('grant_stale', 'What was asked for is not there any more.')
  }
  const binding = policySet.agents.get(request.agent)?.environments.get(request.environment)?.network
  const now = deps.now()
  const expiresAt = new Date(now.getTime() + CHALLENGE_SECONDS * 1000).toISOString()
  const origin = deps.origin()
  const document: DecisionDocument = {
    type: 'writ.decision.v1',
    decision: wish.decision,
    approver: operator.name,
    request: request.id,
    request_leaf: opened.leaf,
    personal: opened.commitment,
    agent: request.agent,
    environment: request.environment,
    tier: opened.tier ?? environment.tier,
    account: request.account,
    role_arn: request.role_arn,
    scopes: request.scopes,
    permissions: request.permissions,
    permissions_sha256: request.permissions_sha256,
    policy_digest: request.policy_digest,
    max_uses: request.max_uses,
    valid_seconds:
      wish.breakGlass === true
        ? breakGlassSeconds(environment, request.valid_seconds)
        : request.valid_seconds,
    max_session_seconds: request.max_session_seconds,
    not_before: request.not_before,
    network: binding === undefined ? null : binding.kind === 'caller' ? 'caller' : binding.cidrs,
    approvals_needed: request.approvals_needed,
    break_glass: wish.breakGlass === true,
    comment: commentSalt === null ? null : commentHash(commentSalt, wish.comment ?? ''),
    origin,
    rp_id: new URL(origin).hostname,
    nonce: randomBytes(32).toString('base64url'),
    issued_at: now.toISOString(),
    expires_at: expiresAt,
  }
  return { document: canonicalText(document), personal: opened.personal, expiresAt }
}

/** The document holds no personal data; a comment is in it as a salted hash, and can be erased. */
function commentHash(salt: Uint8Array, comment: string): string {
  return createHash('sha256').update(Uint8Array.of(3)).update(salt).update(comment).digest('hex')
}
