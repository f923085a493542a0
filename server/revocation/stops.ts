import type { Personal, Seen } from '../audit/personal.js'
import { WritError } from '../errors.js'
import { tagValue } from '../issuance/plan.js'
import { namesOf } from '../policy/human-names.js'
import type { Operator, PolicySet } from '../types.js'
import type { RevocationDeps } from './deps.js'
import { agentsAndRoles, liveSpellings, rolesOf, unknownName } from './expand.js'
import { findStop, type StopKind, type StopView, withdrawStopped } from './stop-store.js'

export interface WantedStop {
  readonly kind: StopKind
  /** Empty or `*` for everything. */
  readonly name: string
  readonly reason: string
  /** Absent where the broker stops an agent by itself. */
  readonly operator?: Pick<Operator, 'name'>
  /** What the operator came with, for the record. */
  readonly proof?: StopProof
  /** What it follows from, such as `incident:ID`. */
  readonly cause?: string
  /** From where: `saidFrom` has both. */
  readonly personal?: Personal
  readonly seen?: Seen
}

/** A stop must be quick: no signature. A token says who, and a session of the console is one that a key began. */
export type StopProof =
  | {
      readonly kind: 'token'
      readonly issuer: string
      readonly subject: string
      readonly issued_at: string
      readonly authenticated_at?: string
    }
  | { readonly kind: 'session'; readonly session: string; readonly authenticated_at?: string }

export interface Engaged {
  readonly stop: StopView
  /** False where it was stopped already. */
  readonly created: boolean
}

/**
 * Stops an agent, a human's agents, an environment, an account, or everything: from its commit on nothing of it is
 * issued, delivered, requested or granted on any replica. What is stopped already is answered as it is.
 *
 * Goes on when the record is not trusted: nothing may keep anybody from stopping. Throws `WritError` request_invalid for
 * a name that neither policy nor the record knows.
 */
export async function engageStop(
  deps: RevocationDeps,
  policySet: PolicySet,
  wanted: WantedStop,
): Promise<StopView> {
  return (await engage(deps, policySet, wanted)).stop
}

/** The same, with whether it is a new one. */
export async function engage(
  deps: RevocationDeps,
  policySet: PolicySet,
  wanted: WantedStop,
): Promise<Engaged> {
  const { kind, reason, operator, proof, cause } = wanted
  const name = kind === 'everything' ? '' : wanted.name
  const { database } = deps
  const problem = await unknownName(database, policySet, kind, name)
  if (problem !== undefined) throw new WritError('request_invalid', problem)
  const names = kind === 'human' ? namesOf(policySet, name) : [name]
  // A slow look must not keep anybody from stopping; what is spelled otherwise is blocked all the same.
  const spellings =
    kind !== 'human'
      ? []
      : await liveSpellings(database, names).catch((err: unknown) => {
          deps.log.warn({ err }, 'spellings of a human not looked up')
          return []
        })
  const [row] = await database.query<{ answer: { readonly id: string; readonly created: boolean } }>(
    'SELECT writ.engage_stop($1::jsonb) AS answer',
    [
      JSON.stringify({
        id: deps.newId(),
        kind,
        name,
        names,
        agents: agentsAndRoles(policySet, kind, names),
        // A tag is compared with its case, a name is not.
        tags: kind === 'human' ? [...new Set([...names, ...spellings].map(tagValue))] : [],
        roles: rolesOf(policySet, kind, name),
        reason,
        personal: wanted.personal ?? {},
        seen: wanted.seen ?? {},
        ...(operator === undefined ? {} : { operator: operator.name }),
        ...(proof === undefined ? {} : { proof }),
        ...(cause === undefined ? {} : { cause }),
      }),
    ],
  )
  if (row === undefined) throw new Error('the database answered nothing')
  const { id, created } = row.answer
  deps.kick()
  // Blocked already; what waits for a human is taken back now, or by the next sweep.
  await withdrawStopped(database).catch((err: unknown) =>
    deps.log.warn({ err }, 'requests of what is stopped not withdrawn yet'),
  )
  const stop = await findStop(database, id)
  if (stop === undefined) throw new Error('the stop is not there')
  deps.log.info({ stop: id, kind, created, automatic: operator === undefined }, 'stopped')
  return { stop, created }
}
