import { randomBytes } from 'node:crypto'
import { WritError } from '../errors.js'
import type { OperatorDeps } from './deps.js'

/** What a document may be signed for. */
export type SignedPurpose = 'decision' | 'vouch' | 'release' | 'close'
export type Purpose = SignedPurpose | 'register' | 'sign-in'

/** Long enough to read and to find the key. Signing in shows nothing that has to be read. */
const SECONDS: Readonly<Record<Purpose, number>> = {
  decision: 300,
  vouch: 300,
  release: 300,
  close: 300,
  register: 300,
  'sign-in': 120,
}

export interface Challenge {
  readonly id: string
  readonly expiresAt: Date
  readonly seconds: number
}

/** 32 random bytes: what is signed where there is no document (WebAuthn level 3, section 13.4.3, asks for 16). */
export const randomChallenge = (): Buffer => randomBytes(32)

/** Writes down what somebody is to sign: `document` is canonical text, or random bytes in base64url. */
export async function putChallenge(
  deps: Pick<OperatorDeps, 'database' | 'newId'>,
  wanted: { readonly purpose: Purpose; readonly operator?: string; readonly document: string },
): Promise<Challenge> {
  const id = deps.newId()
  const seconds = SECONDS[wanted.purpose]
  const [row] = await deps.database.query<{ expires_at: Date }>(
    'SELECT writ.put_challenge($1::jsonb) AS expires_at',
    [JSON.stringify({ id, ...wanted, operator: wanted.operator ?? null, seconds })],
  )
  if (row === undefined) throw new Error('the database answered nothing')
  return { id, expiresAt: row.expires_at, seconds }
}

/**
 * Uses a challenge up: whatever comes of it, nobody answers it again. `operator` is null where the signature is to
 * tell who it is. Throws `WritError` challenge_over.
 */
export async function takeChallenge(
  { database }: Pick<OperatorDeps, 'database'>,
  id: string,
  purpose: 'register' | 'sign-in',
): Promise<{ readonly operator: string | null; readonly document: string }> {
  const [row] = await database.query<{ operator: string | null; document: string | null }>(
    'SELECT operator, document FROM writ.take_challenge($1, $2)',
    [id, purpose],
  )
  if (row === undefined || row.document === null) throw challengeOver()
  return { operator: row.operator, document: row.document }
}

/**
 * The document that an operator was asked to sign, without using the challenge up: that happens together with what
 * the signature is for. Throws `WritError` challenge_over.
 */
export async function readChallenge(
  { database }: Pick<OperatorDeps, 'database'>,
  id: string,
  purpose: SignedPurpose,
  operator: string,
): Promise<string> {
  const [row] = await database.query<{ document: string }>(
    `SELECT document FROM writ.challenge
     WHERE id = $1 AND purpose = $2 AND operator = $3 AND used_at IS NULL AND clock_timestamp() < expires_at`,
    [id, purpose, operator],
  )
  if (row === undefined) throw challengeOver()
  return row.document
}

/** One answer for another's, a used and an old challenge: which of them it was is nobody's business. */
const challengeOver = (): WritError =>
  new WritError(
    'challenge_over',
    'There is no such challenge for you, or it was answered, or its time is over.',
  )
