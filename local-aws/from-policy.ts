import { renderStatements } from '../server/policy/render.js'
import { roleDocuments } from '../server/policy/roles.js'
import type { Environment, PolicySet } from '../server/types.js'
import type { LocalBucket, LocalRole } from './state.js'

/** The roles a policy set needs, as `writ policy roles` prints them. */
export const localRoles = (policySet: PolicySet, brokerArn: string): readonly LocalRole[] =>
  roleDocuments(policySet, brokerArn).map(({ arn, trustPolicy, permissions, maxSessionSeconds }) => ({
    arn,
    trustPolicy,
    policies: { permissions },
    maxSessionSeconds,
  }))

/**
 * Every bucket that scopes name in full, in the account of the environment that names it, with example
 * objects where the scopes lead. A bucket that several accounts name goes to the first environment by name.
 */
export function localBuckets(policySet: PolicySet): readonly LocalBucket[] {
  const environments = [...policySet.environments.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const buckets = new Map<string, { readonly account: string; readonly objects: Record<string, string> }>()
  for (const environment of environments)
    for (const { name, key } of placesIn(policySet, environment)) {
      const bucket = buckets.get(name) ?? {
        account: environment.account,
        objects: { 'README.txt': `Example bucket of ${environment.name}. It exists on this machine only.\n` },
      }
      buckets.set(name, bucket)
      if (key !== undefined) bucket.objects[key] = key.endsWith('.json') ? '{}\n' : `An example in ${name}.\n`
    }
  return [...buckets].map(([name, bucket]) => ({ name, ...bucket }))
}

interface Place {
  readonly name: string
  readonly key?: string | undefined
}

function placesIn(policySet: PolicySet, environment: Environment): readonly Place[] {
  const places: Place[] = []
  for (const agent of policySet.agents.values()) {
    const names = agent.environments.get(environment.name)?.scopes ?? []
    const rendered = renderStatements(
      names.flatMap((name) => policySet.scopes.get(name) ?? []),
      {
        environment: environment.name,
        account: environment.account,
        regions: environment.regions,
        agent: agent.name,
        // A claim could be anything, so what it is part of is no bucket that can be made beforehand.
        claim: () => '*',
      },
    )
    if (!rendered.ok) continue
    for (const { Resource = [] } of rendered.statements)
      for (const resource of typeof Resource === 'string' ? [Resource] : Resource)
        places.push(...placeOf(resource))
  }
  return places
}

/** `…:::bucket/in/*` becomes the bucket and the key `in/example.txt`. */
function placeOf(resource: string): readonly Place[] {
  const [, name, pattern] =
    /^arn:aws[a-z-]*:s3:::([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.+))?$/.exec(resource) ?? []
  if (name === undefined) return []
  const [, folder, end] = /^([^*?]*)(\*?)$/.exec(pattern ?? '?') ?? []
  if (folder === undefined) return [{ name }]
  return [{ name, key: end === '*' ? `${folder}example.txt` : folder }]
}
