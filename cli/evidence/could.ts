import { oneOrMore, unique } from './fields.js'
import type { Account, Could, Session } from './types.js'

interface Statement {
  readonly Effect?: unknown
  readonly Action?: unknown
  readonly Resource?: unknown
  readonly Condition?: unknown
}

/** The statements of a rendered session policy; none where it is erased or no policy. */
export function statementsOf({ session_policy }: Session): readonly Statement[] {
  try {
    const { Statement } = { ...JSON.parse(session_policy ?? '{}') } as { Statement?: unknown }
    return Array.isArray(Statement) ? Statement.map((one) => ({ ...(one as Statement) })) : []
  } catch {
    return []
  }
}

/** What the session was for, without the fences that end it. */
export const allowed = (session: Session): readonly Statement[] =>
  statementsOf(session).filter(({ Effect }) => Effect === 'Allow')

/** The regions that the session was held to, as its policy says. */
const regionsOf = (session: Session): readonly string[] =>
  statementsOf(session).flatMap(({ Condition }) => {
    const { StringNotEquals } = {
      ...(Condition as { StringNotEquals?: Record<string, unknown> } | undefined),
    }
    return oneOrMore(StringNotEquals?.['aws:RequestedRegion'])
  })

/** Actions and resources of everything that was, or may have been, minted. */
export function couldOf(sessions: readonly Session[]): readonly Could[] {
  const found = new Map<string, { one: Session; action: string; resources: Set<string>; all: Set<Session> }>()
  for (const one of sessions.filter(({ state }) => state !== 'failed')) {
    for (const { Action, Resource } of allowed(one)) {
      for (const action of oneOrMore(Action)) {
        const key = JSON.stringify([one.environment, one.account, action])
        const row = found.get(key) ?? { one, action, resources: new Set(), all: new Set() }
        for (const resource of oneOrMore(Resource)) row.resources.add(resource)
        row.all.add(one)
        found.set(key, row)
      }
    }
  }
  return [...found.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { one, action, resources, all }]) => ({
      environment: one.environment,
      account: one.account,
      action,
      resources: unique(resources),
      sessions: all.size,
      from: [...all].map(({ at }) => at).sort()[0] ?? '',
      until:
        [...all]
          .map(({ dies_at }) => dies_at)
          .sort()
          .at(-1) ?? '',
    }))
}

/** What to look for in each account, and between when. Calls may be recorded some minutes late. */
export function accountsOf(sessions: readonly Session[]): readonly Account[] {
  const minted = sessions.filter(({ state }) => state !== 'failed')
  return unique(minted.map(({ account }) => account)).map((account) => {
    const own = minted.filter((one) => one.account === account)
    const all = (field: 'access_key_id' | 'principal_id' | 'source_identity') =>
      unique(own.flatMap((one) => one[field] ?? []))
    const begin = Math.min(...own.map((one) => Date.parse(one.at)))
    const end = Math.max(...own.map((one) => Date.parse(one.dies_at)).filter((time) => !Number.isNaN(time)))
    return {
      account,
      environments: unique(own.map(({ environment }) => environment)),
      // What is global, IAM and STS among it, is recorded in us-east-1.
      regions: unique([...own.flatMap(regionsOf), 'us-east-1']),
      from: new Date(begin - 60_000).toISOString(),
      until: new Date(Math.max(end, begin) + 900_000).toISOString(),
      access_key_ids: all('access_key_id'),
      principal_ids: all('principal_id'),
      source_identities: all('source_identity'),
    }
  })
}
