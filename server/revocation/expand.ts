import { distance } from 'fastest-levenshtein'
import type { Database } from '../db/pool.js'
import { lowerCase } from '../policy/human-names.js'
import type { Agent, PolicySet } from '../types.js'
import type { StopKind } from './stop-store.js'

type Reads = Pick<Database, 'query'>

/** The agents concerned with every role that policy gives them: the agent itself, or those that the human owns. */
export function agentsAndRoles(
  policySet: PolicySet,
  kind: StopKind,
  names: readonly string[],
): readonly { readonly name: string; readonly roles: readonly string[] }[] {
  const wanted = lowerCase(names)
  if (kind === 'agent') {
    // One that policy knows no more may still have sessions out.
    return names.map((name) => ({ name, roles: rolesOfAgent(policySet.agents.get(name)) }))
  }
  if (kind !== 'human') return []
  return [...policySet.agents.values()]
    .filter(({ owner }) => owner.kind === 'human' && wanted.has(owner.name.toLowerCase()))
    .map((agent) => ({ name: agent.name, roles: rolesOfAgent(agent) }))
}

/** Every role of an environment, of an account, or all there are. */
export function rolesOf(policySet: PolicySet, kind: StopKind, name: string): readonly string[] {
  if (kind === 'agent' || kind === 'human') return []
  const within = (environment: string): boolean =>
    kind === 'everything' ||
    (kind === 'environment'
      ? environment === name
      : policySet.environments.get(environment)?.account === name)
  const roles = [...policySet.agents.values()].flatMap((agent) => rolesOfAgent(agent, within))
  return [...new Set(roles)].sort()
}

function rolesOfAgent(
  agent: Agent | undefined,
  within: (environment: string) => boolean = () => true,
): readonly string[] {
  return [...(agent?.environments.values() ?? [])]
    .filter(({ environment }) => within(environment))
    .flatMap(({ roles }) => [roles.read, roles.write])
    .filter((role) => role !== undefined)
}

/** How humans of these names are spelled in sessions that are not over. */
export async function liveSpellings(database: Reads, names: readonly string[]): Promise<readonly string[]> {
  const rows = await database.query<{ human: string }>(
    `SELECT DISTINCT e.human FROM writ.intent i JOIN writ.entry e ON e.idx = i.entry_idx
     WHERE i.not_after > clock_timestamp() AND lower(e.human) = ANY (ARRAY(SELECT lower(x) FROM unnest($1::text[]) x))`,
    [names],
  )
  return rows.map(({ human }) => human)
}

/**
 * What is wrong with a name that neither policy nor the record has: a misspelt stop stops nothing, and whoever typed it
 * would not know. Of humans there is no list.
 */
export async function unknownName(
  database: Reads,
  policySet: PolicySet,
  kind: StopKind,
  name: string,
): Promise<string | undefined> {
  if (kind === 'human' || kind === 'everything') return undefined
  const environments = [...policySet.environments.values()]
  const known = {
    agent: [...policySet.agents.keys()],
    environment: environments.map((one) => one.name),
    account: [...new Set(environments.map((one) => one.account))],
  }[kind]
  if (known.includes(name) || (await recorded(database, kind, name))) return undefined
  const near = nearest(name, known)
  return `There is no ${kind} ${name}, and there never was a session of it.${near === undefined ? '' : ` Did you mean ${near}?`}`
}

async function recorded(
  database: Reads,
  kind: 'agent' | 'environment' | 'account',
  name: string,
): Promise<boolean> {
  const [row] = await database.query<{ known: boolean }>(
    `SELECT CASE $1
       WHEN 'agent' THEN EXISTS (SELECT FROM writ.intent WHERE agent = $2)
       WHEN 'environment' THEN EXISTS (SELECT FROM writ.role_catalog WHERE environment = $2)
       ELSE EXISTS (SELECT FROM writ.role_catalog WHERE writ.account_of(role_arn) = $2) END AS known`,
    [kind, name],
  )
  return row?.known === true
}

/** One that is a few letters away, or undefined. */
function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let limit = Math.min(word.length, Math.max(2, Math.floor(word.length / 3)) + 1)
  for (const candidate of candidates) {
    const away = distance(word, candidate)
    if (away < limit) [limit, best] = [away, candidate]
  }
  return best
}
