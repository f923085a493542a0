import { type ErrorCode, WritError } from '../errors.js'
import { askToSign, type SignChallenge } from '../operators/asking.js'
import { checkSigned, type SubmittedProof } from '../operators/signatures.js'
import type { Caller } from '../operators/store.js'
import type { Operator } from '../types.js'
import type { RevocationDeps } from './deps.js'
import type { StopKind } from './stop-store.js'

export interface Released {
  /** Whether it goes on now. */
  readonly released: boolean
  readonly signed: number
  readonly needed: number
}

interface StopRow {
  readonly id: string
  readonly kind: StopKind
  readonly name: string | null
  readonly leaf: string
  readonly approvals_needed: number
  readonly released_at: Date | null
  /** Seconds until its cutoff; not positive once it is past. */
  readonly wait: number
}

/**
 * Writes down, for somebody to sign, that a stop may end. Throws `WritError` not_found, stop_released, stop_too_fresh,
 * key_unknown.
 */
export async function releaseChallenge(
  deps: RevocationDeps,
  { name: operator }: Operator,
  id: string,
): Promise<SignChallenge> {
  const stop = await releasable(deps, id)
  return askToSign(deps.operators, operator, 'release', {
    type: 'writ.release.v1',
    operator,
    stop: stop.id,
    stops: stop.kind,
    name: stop.kind === 'human' ? null : (stop.name ?? ''),
    stop_leaf: stop.leaf,
    approvals_needed: stop.approvals_needed,
  })
}

/**
 * One person's signature that a stop may end; with those of two different people, or of one where the broker stopped by
 * itself, it does. Throws `WritError` not_found, stop_released, stop_too_fresh, already_decided, approver_is_beneficiary,
 * key_unknown, challenge_over, signature_invalid, signed_something_else.
 */
export async function releaseStop(
  deps: RevocationDeps,
  { operator, said }: Caller,
  id: string,
  signed: { readonly challenge: string; readonly proof: SubmittedProof },
): Promise<Released> {
  await releasable(deps, id)
  const { proof, signCount } = await checkSigned(deps.operators, operator.name, 'release', signed)
  const [row] = await deps.database.query<{ answer: Answer }>(
    'SELECT writ.release_stop($1::jsonb) AS answer',
    [
      JSON.stringify({
        stop_id: id,
        operator: operator.name,
        operator_names: [...new Set([operator.name, ...operator.alsoKnownAs])],
        proof,
        challenge: signed.challenge,
        sign_count: signCount,
        ...said,
      }),
    ],
  )
  if (row === undefined) throw new Error('the database answered nothing')
  const { answer } = row
  if (answer.status === 'refused') throw refusal(answer.code, answer.seconds)
  const { released, signed: count, needed } = answer
  deps.log.info({ stop: id, operator: operator.name, released, signed: count, needed }, 'release signed')
  return { released, signed: count, needed }
}

/**
 * The engaged stop on something, or, with a challenge, the one that it is about: there may be one by the broker and one
 * by a human. Throws `WritError` not_stopped.
 */
export async function stopOf(
  { database }: Pick<RevocationDeps, 'database'>,
  kind: StopKind,
  name: string,
  challenge: string,
): Promise<string> {
  const rows = await database.query<{ id: string }>(
    `SELECT s.id FROM writ.stop s
     LEFT JOIN writ.challenge c ON c.id = $3 AND c.purpose = 'release' AND strpos(c.document, '"stop":"' || s.id || '"') > 0
     WHERE s.kind = $1 AND lower(s.name) = lower($2) AND s.released_at IS NULL
     ORDER BY c.id IS NULL, s.engaged_by IS NULL LIMIT 1`,
    [kind, kind === 'everything' ? '' : name, challenge],
  )
  const [row] = rows
  if (row === undefined) throw new WritError('not_stopped', 'There is no such stop that is engaged.')
  return row.id
}

type Answer =
  | ({ readonly status: 'ok' } & Released)
  | { readonly status: 'refused'; readonly code: string; readonly seconds?: number }

async function releasable({ database }: RevocationDeps, id: string): Promise<StopRow> {
  const [stop] = await database.query<StopRow>(
    `SELECT id, kind, name, encode(leaf, 'hex') AS leaf, approvals_needed, released_at,
       ceil(extract(epoch FROM cutoff - clock_timestamp()))::integer AS wait FROM writ.stop WHERE id = $1`,
    [id],
  )
  if (stop === undefined) throw refusal('not_found')
  if (stop.released_at !== null) throw refusal('stop_released')
  if (stop.wait > 0) throw refusal('stop_too_fresh', stop.wait)
  return stop
}

const SENTENCES: Readonly<Record<string, string>> = {
  not_found: 'There is no such stop.',
  stop_released: 'The stop was released already.',
  already_decided: 'You signed for the release of this stop already; one person counts once.',
  approver_is_beneficiary: 'The stop is on you; somebody else has to release it.',
  signed_something_else: 'What was signed is not the release of this stop.',
  challenge_over: 'What you signed was used already, or is older than five minutes.',
  key_unknown: 'The key that signed is not one of yours.',
  signature_invalid: 'The count of this key did not rise: there may be a copy of it.',
}

function refusal(code: string, seconds?: number): WritError {
  if (code === 'stop_too_fresh') {
    return new WritError('stop_too_fresh', `It can be released in ${seconds ?? 60} seconds.`, {
      retryAfterSeconds: seconds ?? 60,
    })
  }
  return new WritError(code as ErrorCode, SENTENCES[code] ?? 'The stop cannot be released like this.')
}
