import { Refused } from './csrf.js'
import { base64url, hexOf } from './passkey.js'

/** What is asked to be signed, as a challenge route answers it. */
export interface Asked {
  readonly challenge: string
  readonly document: string
  readonly personal: { readonly text: string; readonly salt: string } | null
  readonly comment_salt: string | null
  readonly webauthn: {
    readonly challenge: string
    readonly rp_id: string
    readonly allow_credentials: readonly { readonly id: string; readonly transports: readonly string[] }[]
    readonly timeout_ms: number
  }
}

/** Of server/audit/proofs/document.ts. */
const DOMAIN = 'writ signed document v1\n'

type Fields = Readonly<Record<string, unknown>>

const other = (what: string): Refused =>
  new Refused(
    'not_what_was_shown',
    `What the broker wants signed is not what this page shows (${what}). Nothing was signed.`,
    'Reload the page and read it again. If it happens again, tell security: somebody may be in between.',
  )

/**
 * Holds a document against what the page shows, field by field: one that differs, is missing, or that the page does
 * not know of stops the signing. Answers the bytes to sign, computed here from the text that was compared.
 * Throws `Refused`.
 */
export async function compared(
  asked: Asked,
  expected: Fields,
  free: readonly string[],
): Promise<Uint8Array<ArrayBuffer>> {
  const document = parsed(asked.document)
  // One name twice, and two readers could each see another value.
  if (canonical(document) !== asked.document) throw other('form')
  const wanted: Fields = { ...expected, origin: location.origin, rp_id: location.hostname }
  for (const [name, value] of Object.entries(wanted)) {
    if (!Object.hasOwn(document, name) || !same(document[name], value)) throw other(name)
  }
  for (const name of Object.keys(document)) {
    if (!Object.hasOwn(wanted, name) && !free.includes(name)) throw other(name)
  }
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(DOMAIN + asked.document))
  if (base64url(digest) !== asked.webauthn.challenge) throw other('challenge')
  if (asked.webauthn.rp_id !== location.hostname) throw other('rp_id')
  return new Uint8Array(digest)
}

/** The salted hash that a document has in place of personal text: SHA-256(0x03 ‖ salt ‖ text), in hex. */
export async function commitment(saltHex: string, text: string): Promise<string> {
  const salt = Uint8Array.from(saltHex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
  const bytes = new TextEncoder().encode(text)
  const all = new Uint8Array(1 + salt.length + bytes.length)
  all[0] = 3
  all.set(salt, 1)
  all.set(bytes, 1 + salt.length)
  return hexOf(await crypto.subtle.digest('SHA-256', all))
}

/** Holds the text behind a commitment against what the page shows of people. Throws `Refused`. */
export async function comparedPersonal(asked: Asked, committed: unknown, shown: Fields): Promise<void> {
  if (asked.personal === null) {
    // Erased, or never there: then the page must not show any either.
    if (Object.values(shown).some((value) => value !== null)) throw other('personal')
    return
  }
  if ((await commitment(asked.personal.salt, asked.personal.text)) !== committed) throw other('personal')
  const told = parsed(asked.personal.text)
  for (const [name, value] of Object.entries(shown)) {
    if (!same(told[name] ?? null, value)) throw other(name)
  }
}

export function parsed(text: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw other('unreadable')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw other('unreadable')
  return value as Fields
}

/** RFC 8785, of what our documents are made of: text, whole numbers, and names in ASCII. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.keys(value)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${canonical((value as Fields)[name])}`)
  return `{${fields.join(',')}}`
}

/** Deep equality of JSON; the order of fields says nothing. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const names = Object.keys(a)
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && same((a as Fields)[name], (b as Fields)[name]))
  )
}
