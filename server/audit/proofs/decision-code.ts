import { createHash } from 'node:crypto'

/** Crockford's base32: without I, L, O and U, so that nobody reads one character for another. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/**
 * `7K3F-90QX`: what a terminal and a page show of one request, for a human to compare with their eyes. The first 40
 * bits of a hash over its id, what it would permit, and the policy it was rendered under. It tells requests apart
 * and proves nothing: what is decided is signed whole.
 */
export function decisionCode(request: {
  readonly id: string
  readonly permissions_sha256: string
  readonly policy_digest: string
}): string {
  const hash = createHash('sha256')
    .update('writ decision code v1\n')
    .update(JSON.stringify([request.id, request.permissions_sha256, request.policy_digest]))
    .digest()
  const bits = [...hash.subarray(0, 5)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const code = (bits.match(/.{5}/g) ?? []).map((five) => ALPHABET[Number.parseInt(five, 2)]).join('')
  return `${code.slice(0, 4)}-${code.slice(4)}`
}
