import { createHash, randomBytes } from 'node:crypto'
import type { Queryable } from '../db/pool.js'

/** Crockford's base32: no letter that reads like a digit. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** Seven groups of four, 140 random bits: nobody finds one by trying, so its hash needs no salt and no slowness. */
const CHARACTERS = 28

/** A day: longer than that somebody else finds it first. */
export const LONGEST_CODE_SECONDS = 86_400

export interface EnrolmentCode {
  /** Secret: shown once, and only its SHA-256 is in the database. */
  readonly code: string
  readonly expiresAt: Date
}

/**
 * A one-time code with which `operator` enrols a key: their first, or after the loss of all. One made before for the
 * same name is over. `by` is who made it, for the record. Only as the owner of the database; anybody else gets a
 * `DatabaseError` 42501.
 */
export async function createEnrolmentCode(
  owner: Queryable,
  wanted: { readonly operator: string; readonly by: string; readonly seconds: number },
): Promise<EnrolmentCode> {
  const characters = Array.from(randomBytes(CHARACTERS), (byte) => ALPHABET[byte & 31]).join('')
  const code = characters.replace(/.{4}(?=.)/g, '$&-')
  const [row] = await owner.query<{ answer: { expires_at: string } }>(
    'SELECT writ.create_enrolment_code($1::jsonb) AS answer',
    [JSON.stringify({ ...wanted, code_sha256: codeHash(code) })],
  )
  if (row === undefined) throw new Error('the database answered nothing')
  return { code, expiresAt: new Date(row.answer.expires_at) }
}

/** SHA-256 of a code in whatever way it was typed, 64 hex digits; undefined when no code looks like it. */
export function codeHash(typed: string): string | undefined {
  const characters = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1')
  if (characters.length !== CHARACTERS || [...characters].some((one) => !ALPHABET.includes(one)))
    return undefined
  return createHash('sha256').update('writ enrolment code v1\n').update(characters).digest('hex')
}

/** Behind the `#`: a browser sends that to nobody, so the code is in no server's log. */
export const enrolmentLink = (origin: string, operator: string, code: string): string =>
  `${origin}/console/enrol#${new URLSearchParams({ operator, code })}`

/**
 * In local mode: a link with which the first operator enrols, good for an hour; undefined once any key was ever
 * enrolled, for then the link in a log would be a way past those who hold keys.
 */
export async function firstRunLink(
  owner: Queryable,
  origin: string,
  operator: string,
): Promise<string | undefined> {
  const [row] = await owner.query<{ any: boolean }>('SELECT EXISTS (SELECT FROM writ.operator_key) AS any')
  if (row?.any !== false) return undefined
  const { code } = await createEnrolmentCode(owner, { operator, by: 'first run', seconds: 3600 })
  return enrolmentLink(origin, operator, code)
}
