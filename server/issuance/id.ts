import { randomBytes } from 'node:crypto'

/** Crockford's base32: no letter that reads like a digit. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/**
 * Twelve characters, 60 random bits: short enough that some 670 fit in a role's inline deny policy
 * (10,240 characters), and valid as an STS session name.
 */
export function newId(): string {
  return Array.from(randomBytes(12), (byte) => ALPHABET[byte & 31]).join('')
}
