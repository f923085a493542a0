import { denialKey } from '../audit/items.js'
import { ERRORS, WritError } from '../errors.js'
import type { OperatorDeps } from './deps.js'
import type { Caller } from './store.js'

/** Who tried what, for the record. */
export interface Tried {
  readonly caller: Caller
  readonly issuer: string
  readonly subject: string
  /** Id of the HTTP request, and the pattern of its path. */
  readonly request: string
  readonly path: string
}

/** Whoever tried with a key what they may not is what a reviewer looks for: recorded before it is answered. */
export async function recordingRefusals<T>(
  deps: Pick<OperatorDeps, 'record'>,
  tried: Tried,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof WritError && [403, 409].includes(ERRORS[error.code].status)) {
      await recordRefusal(deps, tried, error)
    }
    throw error
  }
}

async function recordRefusal(
  { record }: Pick<OperatorDeps, 'record'>,
  { caller, issuer, subject, request, path }: Tried,
  { code, message }: WritError,
): Promise<void> {
  const { operator, said } = caller
  await record({
    op: 'denial',
    kind: 'operator.refused',
    key: denialKey('keys', operator.name, path, code),
    fields: { operator: operator.name, code },
    payload: { request, issuer, path, detail: message },
    personal: { subject, ...said.personal },
    seen: said.seen,
  })
}
