import type { Database } from '../db/pool.js'
import { DatabaseError } from '../db/pool-errors.js'
import { StartError } from '../errors.js'
import type { PolicySet } from '../types.js'
import type { AppendItem, Verdict } from './items.js'
import type { AppendBatch } from './recorder.js'

/**
 * One autocommit call: the head's lock is never held across a round trip to us. What is left is a stop between
 * its last two messages, fifteen bytes that travel together: see `transactionTimeoutMs` and docs/durability.md.
 */
export function appendTo(database: Database): AppendBatch {
  return async (items: readonly AppendItem[]) => {
    const rows = await database.query<{ verdicts: Verdict[] }>(
      'SELECT writ.append($1::jsonb) AS verdicts',
      [JSON.stringify(items)],
      { name: 'writ.append' },
    )
    return rows[0]?.verdicts ?? []
  }
}

/**
 * Makes sure that the log has partitions to grow into: two million entries ahead, which is minutes at the very
 * fastest. Without one nothing can be recorded, and nothing is issued.
 */
export async function makePartitions(database: Database): Promise<void> {
  await database.query('SELECT writ.make_partitions(2)')
}

/** Marks intents older than `afterSeconds` without outcome as abandoned; answers how many rows it closed. */
export async function sweep(database: Database, afterSeconds: number): Promise<number> {
  const rows = await database.query<{ n: number }>('SELECT writ.sweep(make_interval(secs => $1)) AS n', [
    afterSeconds,
  ])
  return rows[0]?.n ?? 0
}

/**
 * Puts every role of a policy set into the catalog that the database's own gate reads. Throws `StartError`
 * when one is there as something else.
 */
export async function registerRoles(database: Database, policySet: PolicySet): Promise<void> {
  const roles = [...policySet.agents.values()].flatMap((agent) =>
    [...agent.environments.values()].flatMap((place) => {
      const production = policySet.environments.get(place.environment)?.tier === 'production'
      return [
        { role_arn: place.roles.read, environment: place.environment, sensitivity: 'read' },
        {
          role_arn: place.roles.write,
          environment: place.environment,
          sensitivity: production ? 'production-write' : 'write',
        },
      ].filter((role) => role.role_arn !== undefined)
    }),
  )
  try {
    await database.query('SELECT writ.register_roles($1::jsonb)', [JSON.stringify(roles)])
  } catch (error) {
    if (error instanceof DatabaseError && error.sqlState === 'WR010')
      throw new StartError(`${error.message}.`)
    throw error
  }
}
