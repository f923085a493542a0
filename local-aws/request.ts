import { AwsFault } from './answer.js'
import type { Authenticated } from './authenticate.js'
import type { RawRequest } from './signature.js'

/** One authenticated call on its way through a service. */
export interface Call extends Authenticated {
  readonly raw: RawRequest
  readonly requestId: string
  readonly sourceIp: string
}

/** Parameters of the query protocol, from the body or the query. Throws when one comes twice. */
export function parameters(raw: RawRequest, body: Buffer): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const all = [
    ...raw.query.filter(([key]) => !key.startsWith('X-Amz-')),
    ...new URLSearchParams(body.toString('utf8')),
  ]
  for (const [key, value] of all) {
    if (found.has(key)) throw new AwsFault('MalformedInput', 400, `${key} comes twice`)
    found.set(key, value)
  }
  return found
}

export const invalid = (message: string): AwsFault => new AwsFault('ValidationError', 400, message)

/** The sentence AWS uses when a parameter breaks a constraint of the service model. */
export const constraint = (name: string, rule: string): AwsFault =>
  invalid(`1 validation error detected: Value at '${name}' failed to satisfy constraint: Member must ${rule}`)
