import type { Personal, Seen } from '../audit/personal.js'
import { seenFrom } from '../audit/personal.js'
import type { Database } from '../db/pool.js'
import { type ErrorCode, WritError } from '../errors.js'
import type { Operator } from '../types.js'

/** An operator who does something with keys, by a token or at the console. */
export interface Caller {
  readonly operator: Operator
  /** When the human last showed that it is them; undefined where their issuer does not say. */
  readonly authenticatedAt: Date | undefined
  /** Of the console, if they came with one. */
  readonly session?: string
  /** What the record says of where it was done from. */
  readonly said: From
}

export interface From {
  readonly personal: Personal
  readonly seen: Seen
}

/** From the address of a request. */
export const saidFrom = (ip: string): From => ({ personal: { source_ip: ip }, seen: seenFrom(ip) })

/** A token left on a laptop overnight must not bring a key in, nor take one away. */
const FRESH_SECONDS = 300

/** Throws `WritError` proof_stale unless the human signed in during the last five minutes. */
export function assertFresh({ authenticatedAt }: Caller, now: Date): void {
  if (authenticatedAt === undefined) {
    throw new WritError('proof_stale', 'The token does not say when its human signed in (auth_time).')
  }
  const age = (now.getTime() - authenticatedAt.getTime()) / 1000
  if (age > FRESH_SECONDS) {
    throw new WritError('proof_stale', `You signed in ${Math.floor(age)} seconds ago.`)
  }
}

/** Throws `WritError` operator_role unless it is one's own name, or one is an administrator. */
export function mayManageKeysOf(caller: Operator, of: string): void {
  if (of === caller.name || caller.roles.has('admin')) return
  throw new WritError('operator_role', 'The keys of others are for administrators.')
}

export type KeyAnswer = { readonly status: 'ok' } | { readonly status: 'refused'; readonly code: string }

/** Calls one of the functions of migrations/011-operator-keys.sql that take one JSON argument. */
export async function callKeyFunction(
  database: Database,
  name: 'add_key_with_code' | 'propose_key' | 'vouch_for_key' | 'remove_key',
  argument: Readonly<Record<string, unknown>>,
): Promise<KeyAnswer> {
  const [row] = await database.query<{ answer: KeyAnswer }>(`SELECT writ.${name}($1::jsonb) AS answer`, [
    JSON.stringify(argument),
  ])
  if (row === undefined) throw new Error('the database answered nothing')
  return row.answer
}

const SENTENCES: Readonly<Record<string, string>> = {
  challenge_over: 'The challenge was answered, or its time is over.',
  code_unusable: 'There is no such code for this operator, or it was used, or its time is over.',
  key_taken: 'This key is, or was, enrolled already.',
  key_unknown: 'This is not a key that you hold.',
  keys_pending: 'Three keys of yours wait for somebody to vouch for them already.',
  not_found: 'There is no such key, or it waits no more.',
  signature_invalid: 'The count of this key went backwards: there may be a copy of it.',
  signed_something_else: 'What was signed is not what was shown.',
  voucher_is_owner: 'Nobody vouches for a key of their own.',
}

/** A refusal of the database as an error. */
export const refuse = (code: string): WritError =>
  new WritError(code as ErrorCode, SENTENCES[code] ?? 'That is not possible.')
