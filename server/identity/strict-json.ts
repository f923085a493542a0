import { WritError } from '../errors.js'

const MAX_DEPTH = 32
const LONE_SURROGATE = /\p{Cs}/u
const STRING = /"(?:[^"\\]|\\.)*"/y

/**
 * Decodes one part of a token: a JSON object in valid UTF-8, no key twice at any depth, as a deeply frozen
 * tree of objects without prototype, so that looking up a claim named `constructor` finds a claim or nothing.
 *
 * @throws WritError token_malformed when it is not such JSON, token_claims for a payload nobody may interpret
 */
export function strictObject(
  bytes: Uint8Array,
  part: 'header' | 'payload',
): Readonly<Record<string, unknown>> {
  const refuse = (why: string) =>
    new WritError(part === 'header' ? 'token_malformed' : 'token_claims', `The ${part} of the token ${why}.`)
  let text: string
  let value: unknown
  try {
    // ignoreBOM keeps a byte order mark in the text, where JSON.parse refuses it.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch {
    throw new WritError('token_malformed', `The ${part} of the token is not JSON.`)
  }
  if (!isObject(value)) throw new WritError('token_malformed', `The ${part} of the token is not an object.`)
  const fault = keyFault(text)
  if (fault !== undefined) throw refuse(fault)
  const frozen = freezeCopy(value)
  if (frozen === undefined) throw refuse('holds text that cannot be recorded')
  return frozen as Readonly<Record<string, unknown>>
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * JSON.parse keeps the last of two equal keys and other readers the first: an issuer and we must not see two
 * different subjects in one token (RFC 7519 section 4). `text` is valid JSON already.
 */
function keyFault(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = []
  let keyNext = false
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at]
    if (char === '"') {
      STRING.lastIndex = at
      const raw = STRING.exec(text)?.[0] ?? '""'
      at += raw.length - 1
      const keys = open.at(-1)
      if (!keyNext || keys === undefined) continue
      keyNext = false
      const key = JSON.parse(raw) as string
      if (keys.has(key)) return 'names one key twice'
      // As an own key it is harmless here, and becomes a prototype in the first Object.assign elsewhere.
      if (key === '__proto__') return 'has a key named __proto__'
      keys.add(key)
    } else if (char === '{' || char === '[') {
      if (open.length === MAX_DEPTH) return `is nested more than ${MAX_DEPTH} levels deep`
      open.push(char === '{' ? new Set() : undefined)
      keyNext = char === '{'
    } else if (char === '}' || char === ']') {
      open.pop()
      keyNext = false
    } else if (char === ',') {
      keyNext = open.at(-1) !== undefined
    }
  }
  return undefined
}

/** Undefined when some text holds NUL or half a surrogate pair: PostgreSQL stores neither, so a record would fail. */
function freezeCopy(value: unknown): unknown {
  if (typeof value === 'string') return recordable(value) ? value : undefined
  if (Array.isArray(value)) {
    const items = value.map(freezeCopy)
    return items.includes(undefined) ? undefined : Object.freeze(items)
  }
  if (!isObject(value)) return value
  const copy: Record<string, unknown> = Object.create(null)
  for (const [key, held] of Object.entries(value)) {
    const item = freezeCopy(held)
    if (item === undefined || !recordable(key)) return undefined
    copy[key] = item
  }
  return Object.freeze(copy)
}

const recordable = (text: string) => !text.includes('\0') && !LONE_SURROGATE.test(text)
