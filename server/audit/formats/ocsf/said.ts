import type { Context } from '../../review/context.js'
import type { ExportedEvent } from '../personal.js'

/** An entry, to be asked what it says. */
export interface Said {
  readonly event: ExportedEvent
  readonly kind: string
  readonly context: Context | undefined
  /** A text of the body. */
  readonly text: (field: string) => string | undefined
  /** A text of what is said of people; of version 1 it lies in the body. */
  readonly personal: (field: string) => string | undefined
  /** An instant of the body in milliseconds. */
  readonly time: (field: string) => number | undefined
  readonly scopes: readonly string[]
  readonly role: string | undefined
}

export function saidBy(event: ExportedEvent, context: Context | undefined): Said {
  const { body } = event
  const text = (field: string) => textOf(body[field])
  return {
    event,
    context,
    kind: text('kind') ?? 'unknown',
    text,
    personal: (field) => textOf(event.personal?.[field] ?? body[field]),
    time: (field) => {
      const at = Date.parse(text(field) ?? '')
      return Number.isNaN(at) ? undefined : at
    },
    scopes: Array.isArray(body.scopes) ? body.scopes.map(String) : (context?.scopes ?? []),
    role: text('role_arn') ?? context?.role,
  }
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined
