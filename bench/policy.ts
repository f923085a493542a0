import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decide } from '../server/decision/decide.js'
import { compile } from '../server/policy/compile.js'
import { scanFolder } from '../server/policy/files.js'
import { loadPolicySet } from '../server/policy/load.js'
import { parseDocuments } from '../server/policy/parse.js'
import type { CredentialRequest } from '../server/types.js'
import { callMs, medianMs, type Pace } from './measure.js'
import { agentName, identityOf, policyFiles, scopesOf, setOf, writeFiles } from './policies.js'
import type { Cell, Result } from './result.js'
import type { Run } from './run.js'

/** How loading, compiling, matching and deciding grow with the number of agents. */
export async function policy({ pace, smoke, say }: Run): Promise<Result> {
  const sizes = smoke ? [10, 100] : [10, 1_000, 10_000]
  const times: Readonly<Record<Work, number>>[] = []
  for (const agents of sizes) {
    say(`policy: ${agents} agents`)
    times.push(await measure(agents, pace))
  }
  const rows: Record<string, Cell>[] = WORKS.flatMap((work) =>
    sizes.map((agents, n) => {
      const ms = times[n]?.[work] ?? Number.NaN
      return {
        work,
        agents,
        ms,
        'per second': 1000 / ms,
        'time of 10 agents': { ratio: ms / (times[0]?.[work] ?? Number.NaN) },
      }
    }),
  )
  return {
    name: 'policy',
    title: 'Policy: loading and deciding',
    about:
      'Every agent is in three environments and has a file of its own. `load` reads, parses and compiles all files, `reload` does so after one of them changed, `look` finds out every three seconds whether one did, `compile` begins with parsed documents; `match` finds the agent of an identity; `decide` answers allow, allow and needs-grant in turn. The ratio is of the time of one call.',
    rows,
  }
}

const WORKS = ['load', 'reload', 'look', 'compile', 'match', 'decide'] as const
type Work = (typeof WORKS)[number]

/** Milliseconds of one call each. */
async function measure(agents: number, pace: Pace): Promise<Readonly<Record<Work, number>>> {
  const files = policyFiles(agents)
  const folder = await mkdtemp(join(tmpdir(), 'writ-bench-policy-'))
  try {
    await writeFiles(folder, files)
    const policySet = setOf(await loadPolicySet(folder))
    const load = await medianMs(pace, () => loadPolicySet(folder))
    const parsed = parseDocuments(Object.entries(files).map(([file, text]) => ({ file, text })))
    const identities = Array.from({ length: agents }, (_, n) => identityOf(n))
    const requests = Array.from({ length: agents }, (_, n) => requestOf(n))
    const names = Array.from({ length: agents }, (_, n) => agentName(n))
    const now = new Date()
    return {
      load,
      reload: await reloadMs(folder, files, pace),
      look: await medianMs(pace, () => scanFolder(folder)),
      compile: await medianMs(pace, () => compile(parsed)),
      match: callMs(pace, (n) => policySet.agentsMatching(pick(identities, n))),
      decide: callMs(pace, (n) => decide(policySet, pick(names, n), pick(requests, n), { grants: [] }, now)),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function reloadMs(
  folder: string,
  files: Readonly<Record<string, string>>,
  pace: Pace,
): Promise<number> {
  const cache = new Map()
  await loadPolicySet(folder, cache)
  const changed = `agents/${agentName(0)}.yaml`
  let edits = 0
  return await medianMs(pace, async () => {
    await writeFile(join(folder, changed), `${files[changed]}# ${edits++}\n`)
    await loadPolicySet(folder, cache)
  })
}

function requestOf(n: number): CredentialRequest {
  const [read, write] = scopesOf(n)
  const reason = 'a benchmark'
  if (n % 3 === 0) return { environment: 'development', scopes: [read, write], reason }
  return { environment: 'production', scopes: [n % 3 === 1 ? read : write], reason }
}

function pick<T>(all: readonly T[], n: number): T {
  return all[n % all.length] as T
}
