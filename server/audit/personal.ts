import { createHash } from 'node:crypto'
import { isIP } from 'node:net'

/**
 * What an entry says of people. It lies beside the log, under a salted hash in the body, so that
 * `writ audit redact` can erase it and every proof still holds. Names of agents and of operators are not among
 * it: policy documents name them, and who approved must stay answerable.
 */
export interface Personal {
  readonly human?: string
  readonly human_how?: string
  readonly subject?: string
  readonly source_ip?: string
  readonly reason?: string
  readonly ticket?: string
  /** Only when it names the caller's address; else the body has it. */
  readonly session_policy?: string
}

/** Searchable columns that are in no body: what finds an entry, and goes with the personal data. */
export interface Seen {
  /** On entries that follow from one that names the human. */
  readonly human?: string
  /** An address, nothing else: what a proxy made up would fail the whole batch. */
  readonly source_ip?: string
  readonly scopes?: readonly string[]
  readonly actions?: readonly string[]
}

/** The caller's address as a column takes it, if it is one. */
export function seenFrom(ip: string): Seen {
  // A socket that takes both families calls 192.0.2.1 `::ffff:192.0.2.1`, and nobody looks for that.
  const [address = ''] = ip.replace(/^::ffff:(?=\d+\.[\d.]+$)/i, '').split('%', 1)
  return isIP(address) === 0 ? {} : { source_ip: address }
}

/** 0x03 keeps a commitment from being a leaf, a node or a chain value. */
export const commitment = (salt: Uint8Array, personal: Uint8Array): Buffer =>
  createHash('sha256').update(Uint8Array.of(3)).update(salt).update(personal).digest()

/**
 * `altered`: somebody changed what lies beside the log, and it is not shown as if it had been recorded.
 * `archived`: the entry, and what lies beside it, left the database for an archive.
 */
export type PersonalState = 'none' | 'shown' | 'erased' | 'archived' | 'altered'

/** The personal part of an entry as a reader may see it. */
export function readPersonal(
  body: Readonly<Record<string, unknown>>,
  personal: Buffer | null,
  salt: Buffer | null,
): { readonly state: PersonalState; readonly data: Readonly<Record<string, unknown>> | null } {
  // Version 1 has it in the body; the row's copy is for searching.
  if (body.v === 1) return { state: personal === null ? 'none' : 'shown', data: parse(personal) }
  if (body.personal === undefined) return { state: personal === null ? 'none' : 'altered', data: null }
  if (personal === null || salt === null) return { state: 'erased', data: null }
  const holds = commitment(salt, personal).toString('hex') === body.personal
  return holds ? { state: 'shown', data: parse(personal) } : { state: 'altered', data: null }
}

const parse = (personal: Buffer | null): Readonly<Record<string, unknown>> | null =>
  personal === null ? null : (JSON.parse(personal.toString('utf8')) as Readonly<Record<string, unknown>>)
