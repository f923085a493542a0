import type { Notice } from '../../../web/layout.js'
import type { StopKind } from '../../../web/pages/stop-parts.js'
import type { Database } from '../../db/pool.js'
import type { Agent, PolicySet } from '../../types.js'

/** What is stopped at this moment, by every name it goes by, in lower case. */
export interface InForce {
  readonly id: string
  readonly kind: StopKind
  readonly name: string
}

export const stopsInForce = (database: Database): Promise<readonly InForce[]> =>
  database.query<{ id: string; kind: StopKind; name: string }>(
    'SELECT stop_id AS id, kind, name FROM writ.stopped',
  )

export interface Holding {
  readonly stop: string
  /** Environments; undefined for all of them. */
  readonly where: readonly string[] | undefined
}

/**
 * Which stops hold for an agent whoever it acts for, those for all environments first. `writ.stop_on`
 * (migrations/014-stops.sql) is what decides; this tells readers.
 */
export function stopsOn(inForce: readonly InForce[], policySet: PolicySet, agent: Agent): readonly Holding[] {
  const places = [...agent.environments.keys()]
  const found = new Map<string, readonly string[] | undefined>()
  for (const { id, kind, name } of inForce) {
    const where = places.filter(
      (place) =>
        (kind === 'environment' && place.toLowerCase() === name) ||
        (kind === 'account' && policySet.environments.get(place)?.account === name),
    )
    const everywhere =
      kind === 'everything' ||
      (kind === 'agent' && agent.name.toLowerCase() === name) ||
      (kind === 'human' && agent.owner.kind === 'human' && agent.owner.name.toLowerCase() === name)
    if (everywhere) found.set(id, undefined)
    else if (where.length > 0) found.set(id, where)
  }
  return [...found]
    .map(([stop, where]) => ({ stop, where }))
    .sort((a, b) => Number(a.where !== undefined) - Number(b.where !== undefined))
}

const NAMED = 3

/** What everybody has to know on every page. */
export async function stoppedNotice(database: Database): Promise<Notice | undefined> {
  const rows = await database.query<{ kind: StopKind; name: string | null; total: number }>(
    `SELECT kind, name, count(*) OVER ()::integer AS total FROM writ.stop WHERE released_at IS NULL
     ORDER BY kind = 'everything' DESC, engaged_at DESC, id LIMIT ${NAMED}`,
  )
  const [first] = rows
  if (first === undefined) return undefined
  const names = rows.map(({ kind, name }) => (kind === 'everything' ? kind : `${kind} ${name ?? ''}`))
  const more = first.total - rows.length
  const text =
    first.kind === 'everything'
      ? 'Everything is stopped: no agent gets anything.'
      : `Stopped: ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`
  return { tone: 'danger', text, href: '/console/stops' }
}
