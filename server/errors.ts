/** One table of everything that can be refused. Imports nothing; HTTP statuses live here and nowhere else. */

interface ErrorEntry {
  readonly status: number
  readonly title: string
  /** What to do next, for a human who has never seen this. */
  readonly next: string
}

const entry = (status: number, title: string, next: string): ErrorEntry => ({ status, title, next })

const ASK_OPERATOR = 'Ask an operator of this broker; quote the request id.'
const NEW_TOKEN = 'Get a new token from your issuer and ask again.'

/** Stable codes: clients may branch on them, so none is ever renamed. docs/errors.md lists them all. */
export const ERRORS = {
  // 401: who is calling is not established
  token_missing: entry(
    401,
    'No token',
    'Send your JWT in the Authorization header. A token file that ends in a newline can make an SDK drop the header.',
  ),
  token_malformed: entry(
    401,
    'Not a JWT',
    'Send a compact JWS, three base64url parts, without quotes or newlines.',
  ),
  token_too_large: entry(
    401,
    'Token too large',
    'Tokens are at most 8 KiB; ask your issuer for fewer claims.',
  ),
  token_algorithm: entry(
    401,
    'Algorithm not allowed',
    'Use a token signed with one of the algorithms that the issuer document lists.',
  ),
  token_key_unknown: entry(
    401,
    'Signing key unknown',
    'The issuer does not publish the key this token names. Get a new token; check that it comes from the real issuer.',
  ),
  token_signature: entry(401, 'Signature invalid', NEW_TOKEN),
  token_issuer_unknown: entry(
    401,
    'Issuer not trusted',
    'Add the issuer to the policy set, spelled exactly as in the token.',
  ),
  token_audience: entry(
    401,
    'Wrong audience',
    'Ask your issuer for a token with the audience of this broker, and no other.',
  ),
  token_expired: entry(401, 'Token expired', NEW_TOKEN),
  token_not_yet_valid: entry(
    401,
    'Token not yet valid',
    'Check the clock of the issuer and of this machine.',
  ),
  token_too_old: entry(401, 'Token too old', NEW_TOKEN),
  token_claims: entry(
    401,
    'Token incomplete',
    'A token needs iss, sub, aud, exp and iat as plain values, each once, and a lifetime within the limit of its issuer document.',
  ),
  session_missing: entry(401, 'Not signed in', 'Sign in at /console/sign-in.'),
  issuer_unavailable: entry(
    503,
    'Issuer unavailable',
    'The keys of the issuer cannot be fetched at the moment. Try again shortly.',
  ),

  // 403: known, and refused
  wrong_host: entry(421, 'Another host', 'Open the console at its own address; WRIT_PUBLIC_URL sets it.'),
  identity_unknown: entry(
    403,
    'No agent has this identity',
    'Compare the claims in your token with the matchers in the agent documents.',
  ),
  identity_ambiguous: entry(
    403,
    'Several agents have this identity',
    'Tighten the matchers in the agent documents until exactly one agent matches.',
  ),
  agent_stopped: entry(
    403,
    'Stopped',
    'Operators stopped this. It goes on when two of them have released it (writ stops), or the agent document says so.',
  ),
  environment_unknown: entry(
    403,
    'Environment not allowed',
    'Ask for an environment that GET /v1/whoami lists.',
  ),
  scope_unknown: entry(
    403,
    'Scope not allowed',
    'Ask for scopes that GET /v1/whoami lists for this environment.',
  ),
  red_line: entry(
    403,
    'Nobody may hold this',
    'Leave it out. No agent gets this action, with or without a grant; the attempt is recorded.',
  ),
  role_missing: entry(
    403,
    'No role for this',
    'The agent has no role of this kind in the environment; add one to its document.',
  ),
  delete_not_allowed: entry(
    403,
    'Deleting is not possible here',
    'Leave the deleting scope out. The tier of this environment allows it to nobody.',
  ),
  grant_required: entry(
    403,
    'A human has to grant this',
    'Send the prefilled grant_request to POST /v1/grant-requests and wait for its decision.',
  ),
  grant_not_yet_valid: entry(403, 'Grant not yet valid', 'Wait until the grant begins.'),
  grant_expired: entry(403, 'Grant expired', 'Ask for a new grant.'),
  grant_revoked: entry(
    403,
    'Grant revoked',
    'An operator took the grant back. Ask them before you request a new one.',
  ),
  grant_used_up: entry(403, 'Grant used up', 'Ask for a new grant.'),
  grant_stale: entry(
    403,
    'Grant made under another policy',
    'The policy changed after the grant was approved. Ask for a new grant.',
  ),
  grant_unproven: entry(
    403,
    'Approvals not proven',
    'Ask for a new grant, and tell security: the signatures behind this one are missing or not valid.',
  ),
  claim_unusable: entry(
    403,
    'Claim cannot be used',
    'A claim that goes into a policy or a tag has characters that could widen it. Change the value at the issuer.',
  ),
  network_unknown: entry(
    403,
    'Network cannot be bound',
    'This agent is bound to the network of its caller, and that address is unknown or private. Check the proxy settings of the broker.',
  ),
  session_policy_too_large: entry(
    403,
    'Session policy too large',
    'Ask for fewer scopes at once: AWS takes at most 2,048 characters.',
  ),
  operator_unknown: entry(
    403,
    'No operator has this identity',
    'Compare the claims in your token with the matchers in the operator documents.',
  ),
  operator_role: entry(
    403,
    'Role missing',
    'Your operator document does not give you the role that this needs.',
  ),
  approver_not_allowed: entry(
    403,
    'Not an approver here',
    'Ask somebody whose operator document approves for this environment.',
  ),
  approver_is_owner: entry(403, 'Approver owns the agent', 'Somebody outside the owning team has to decide.'),
  approver_is_beneficiary: entry(
    403,
    'Approver would approve for themselves',
    'Somebody other than the human the agent acts for has to decide.',
  ),
  proof_stale: entry(
    403,
    'Proof too old',
    'Sign in again: a decision needs a token whose auth_time is at most five minutes old.',
  ),
  signature_required: entry(
    403,
    'Signature required',
    'Decide at the console with your passkey, or with `writ approve` and a security key.',
  ),
  signature_invalid: entry(
    403,
    'Signature not valid',
    'Sign again with a key that checks who you are (PIN, fingerprint, face), at the address of the console.',
  ),
  key_unknown: entry(
    403,
    'Not one of your keys',
    'Sign with a key that is enrolled for you; the console lists them under Your keys.',
  ),
  code_unusable: entry(
    403,
    'Code cannot be used',
    'It was used, ran out, or is for somebody else. Whoever runs the broker can make another: writ operators code.',
  ),
  authenticator_not_allowed: entry(
    403,
    'Authenticator not allowed',
    'Use a security key of a model that WRIT_PASSKEY_AAGUIDS lists.',
  ),
  voucher_is_owner: entry(403, 'Nobody vouches for themselves', 'Ask another operator who has a key.'),
  csrf: entry(403, 'Not from our page', 'Reload the page and try again.'),
  sign_in_failed: entry(403, 'Sign-in failed', 'Begin to sign in again at /console/sign-in.'),
  break_glass_not_allowed: entry(
    403,
    'Break-glass not allowed',
    'The environment document names who may. Ask them, or a usual approver.',
  ),
  break_glass_unreviewed: entry(
    403,
    'Break-glass waits for review',
    'Somebody else has to review the earlier one first: writ break-glass review.',
  ),
  review_is_own: entry(403, 'Nobody reviews themselves', 'Ask somebody else who has a role at this broker.'),
  aws_refused: entry(
    403,
    'AWS refused the session',
    'Compare the trust policy and permissions of the role with `writ policy roles`.',
  ),

  // 4xx: the request itself
  log_not_published: entry(
    404,
    'Log not published',
    'Ask a replica with WRIT_LOG_DIR, or try again in a second: the first checkpoint follows the first entry.',
  ),
  not_found: entry(404, 'Not found', 'Check the path and the id.'),
  entry_not_covered: entry(
    404,
    'Not covered by a checkpoint yet',
    'Ask again in some seconds: the log is signed every second into a folder, every ten seconds into a bucket.',
  ),
  request_closed: entry(409, 'Request already decided', 'Read the request again: it is no longer pending.'),
  already_decided: entry(409, 'You already decided on this', 'Another approver has to decide.'),
  stop_released: entry(409, 'Released already', 'Read it: writ stops.'),
  stop_too_fresh: entry(
    409,
    'Stopped less than a minute ago',
    'Try again after the seconds in Retry-After: what was being minted has to be over first.',
  ),
  not_stopped: entry(404, 'Not stopped', 'Read what is stopped: writ stops.'),
  incident_closed: entry(409, 'Incident closed', 'Open another: writ incident open AGENT.'),
  already_reviewed: entry(409, 'Reviewed already', 'Read it: writ break-glass list --all.'),
  signed_something_else: entry(
    409,
    'Signed something else',
    'Load the request again, read it, and sign what it shows.',
  ),
  challenge_over: entry(
    409,
    'Nothing left to sign',
    'Begin again: what is signed is used once, within five minutes.',
  ),
  key_taken: entry(409, 'Key enrolled already', 'A key belongs to one operator, once. Use another.'),
  keys_pending: entry(
    409,
    'Keys wait already',
    'Have somebody vouch for those that wait, or take them back.',
  ),
  stream_position: entry(
    409,
    'Not this log',
    'What you read before is not in this log: it was restored, rewritten, or is another. Find out why; then read on without the id.',
  ),
  entries_archived: entry(
    410,
    'Entries archived',
    'These entries have left the database: read them from the archives (docs/retention.md), or begin later.',
  ),
  body_too_large: entry(413, 'Body too large', 'Bodies are at most 64 KiB.'),
  media_type: entry(415, 'Not JSON', 'Send Content-Type: application/json.'),
  request_invalid: entry(
    422,
    'Request invalid',
    'Correct the fields named in `errors`; /openapi.json has the schema.',
  ),
  grant_not_needed: entry(422, 'No grant needed', 'Ask for the credentials directly.'),
  code_attempts: entry(
    429,
    'Too many wrong codes',
    'Wait as long as Retry-After says. Copy the code from where it was shown, or ask for another.',
  ),
  grant_requests_pending: entry(
    429,
    'Too many pending grant requests',
    'Wait for a decision, or withdraw one: an agent has at most three pending.',
  ),
  grant_cooling_down: entry(
    429,
    'Denied a short while ago',
    'A human denied this. Try again after the seconds in Retry-After, or talk to them.',
  ),

  over_limit: entry(
    429,
    'Too fast',
    'Wait as long as Retry-After says. Hold on to the credentials you have; the limits stand in the environment document.',
  ),
  streams_open: entry(
    429,
    'Too many streams',
    'Close a stream that you do not read; those of clients that vanished are given up after some minutes.',
  ),

  // 5xx: ours
  internal: entry(500, 'Internal error', ASK_OPERATOR),
  record_unavailable: entry(
    503,
    'Record unavailable',
    'Nothing is answered that cannot be recorded. Try again shortly.',
  ),
  record_busy: entry(503, 'Record busy', 'Try again after the seconds in Retry-After.'),
  log_untrusted: entry(
    503,
    'Record not trusted',
    'The database is not what was published. Nothing is issued until an operator has looked: see docs/operations.md.',
  ),
  iam_unavailable: entry(
    503,
    'IAM cannot be asked',
    'Compare what the broker may do in that account with docs/containment.md.',
  ),
  aws_throttled: entry(503, 'AWS is throttling', 'Try again after the seconds in Retry-After.'),
  aws_unavailable: entry(503, 'AWS unavailable', 'AWS did not answer. Try again shortly.'),
  shutting_down: entry(503, 'Shutting down', 'Try again: another replica answers.'),
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof ERRORS

/** A refusal on its way to the edge. `detail` is shown to the caller: it never holds a secret or a token. */
export class WritError extends Error {
  override readonly name = 'WritError'
  readonly code: ErrorCode
  readonly extra: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, detail: string, extra: Readonly<Record<string, unknown>> = {}) {
    super(detail)
    this.code = code
    this.extra = extra
  }
}

/** Stops the start: one sentence that names what is wrong. */
export class StartError extends Error {
  override readonly name = 'StartError'
}
