import { createHash } from 'node:crypto'

/** Crockford's base32: no letter that reads like another character. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * `7K3F-90QX-M2AB`: 60 bits of a hash over a public key, for two people to read to each other before one vouches for
 * the other's. Nobody makes a key with the same code in the day that a proposal waits.
 */
export function keyCode(publicKey: string): string {
  const hash = createHash('sha256').update('writ key code v1\n').update(publicKey).digest()
  const characters = Array.from(hash.subarray(0, 12), (byte) => ALPHABET[byte & 31]).join('')
  return characters.replace(/.{4}(?=.)/g, '$&-')
}
