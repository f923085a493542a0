import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseCheckpoint } from '../../server/audit/merkle/checkpoint.js'
import type { BrokerClient } from '../client.js'
import { CliError, EXIT, usageError } from '../exit.js'
import { CHECKPOINT, ENTRIES, evidenceText, MANIFEST, madeFrom, manifestText, SEAL } from './bundle.js'
import { provenEntries, sha256 } from './entries.js'
import { findingsOf } from './findings.js'
import type { Counts, Evidence, IncidentAnswer, ReachAnswer, Said } from './types.js'

export interface Collected {
  readonly folder: string
  readonly incident: string
  readonly agent: string
  /** SHA-256 of the manifest: what closing signs. */
  readonly manifest: string
  /** Entry that recorded it; null for a closed incident, to which nothing is added. */
  readonly sealed_at: number | null
  readonly counts: Counts
  readonly files: readonly string[]
}

interface Head {
  readonly origin: string
  readonly size: number
  readonly checkpoint: string
  readonly entries: number
}

/** The log is signed every second into a folder, every ten into a bucket. */
const COVERED_WITHIN_MS = 40_000

/**
 * Collects the evidence of an incident into a new folder, and has its hash recorded. Takes the role security. Throws
 * `CliError`.
 */
export async function collectEvidence(
  broker: BrokerClient,
  id: string,
  folder: string,
  { seconds, now }: { readonly seconds: number; readonly now: () => Date },
): Promise<Collected> {
  await freshFolder(folder)
  const path = `/v1/incidents/${encodeURIComponent(id)}`
  const incident = await broker.get<IncidentAnswer>(path)
  const collectedAt = now()
  const since = new Date(
    Math.min(collectedAt.getTime(), Date.parse(incident.opened_at)) - seconds * 1000,
  ).toISOString()
  const said: Said = { incident, ...(await reachOf(broker, incident.agent)) }
  const { head, text } = await download(
    broker,
    folder,
    `${path}/entries?${new URLSearchParams({ since, covering: String(incident.log_size) })}`,
  )
  const checkpoint = parseCheckpoint(head.checkpoint.slice(0, head.checkpoint.indexOf('\n\n') + 1))
  const lines = text === '' ? [] : text.slice(0, -1).split('\n')
  if (lines.length !== head.entries) throw broken(`${lines.length} of ${head.entries} entries came.`)
  const at = collectedAt.toISOString()
  const evidence: Evidence = {
    type: 'writ.evidence.v1',
    incident: incident.id,
    agent: incident.agent,
    collected_at: at,
    since,
    log: { origin: checkpoint.origin, size: checkpoint.size },
    // Checked on this side too: nobody should read a report for an hour before it turns out not to be proven.
    proven: findingsOf(provenEntries(lines, checkpoint), { agent: incident.agent, since, at }),
    said,
  }
  // Through JSON once: what is not in the file is in no report.
  const written = JSON.parse(evidenceText(evidence)) as Evidence
  const files = new Map([...madeFrom(written), [ENTRIES, text], [CHECKPOINT, head.checkpoint]])
  const manifest = manifestText(evidence, files)
  for (const [name, data] of [...files, [MANIFEST, manifest] as const])
    await writeFile(join(folder, name), data, { mode: 0o600, flag: 'wx' })
  const hash = sha256(manifest)
  const sealed_at =
    incident.state === 'closed' ? null : await seal(broker, folder, path, hash, evidence.proven.counts)
  return {
    folder,
    incident: incident.id,
    agent: incident.agent,
    manifest: hash,
    sealed_at,
    counts: evidence.proven.counts,
    files: [...files.keys(), MANIFEST, ...(sealed_at === null ? [] : [SEAL])].sort(),
  }
}

/** It says what of people is in it: readable by its owner alone. */
async function freshFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if ((await readdir(folder)).length > 0)
    throw usageError(`The folder ${folder} is not empty.`, 'Evidence goes into a folder of its own.')
}

/** A broker that cannot say what policy allows must not keep anybody from the rest. */
async function reachOf(broker: BrokerClient, agent: string): Promise<Pick<Said, 'reach' | 'reach_missing'>> {
  try {
    const reach = await broker.get<ReachAnswer>(`/v1/agents/${encodeURIComponent(agent)}/reach`)
    return { reach, reach_missing: null }
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return { reach: null, reach_missing: error.problem.detail }
  }
}

/** The entries under one checkpoint, as soon as that has what was written last. */
async function download(
  broker: BrokerClient,
  folder: string,
  path: string,
): Promise<{ readonly head: Head; readonly text: string }> {
  const file = join(folder, `${ENTRIES}.part`)
  try {
    await covered(() => broker.download(path, file))
    const all = await readFile(file, 'utf8')
    const end = all.indexOf('\n')
    if (end < 0) throw broken('nothing came.')
    const rest = all.slice(end + 1)
    if (rest !== '' && !rest.endsWith('\n')) throw broken('the last line is cut off.')
    return { head: JSON.parse(all.slice(0, end)) as Head, text: rest }
  } finally {
    await rm(file, { force: true })
  }
}

/** Has the manifest's hash recorded, and keeps the proof of that beside it. */
async function seal(
  broker: BrokerClient,
  folder: string,
  path: string,
  evidence: string,
  counts: Counts,
): Promise<number> {
  const note = `Evidence collected: ${counts.entries} entries, ${counts.sessions} sessions, ${counts.alive} alive.`
  const { index } = await broker.send<{ index: number }>('POST', `${path}/steps`, {
    stage: 'assess',
    note,
    evidence,
  })
  const { proof } = await covered(() => broker.get<{ proof: string }>(`/v1/log/proof/entry/${index}`))
  await writeFile(join(folder, SEAL), proof, { mode: 0o600, flag: 'wx' })
  return index
}

/** Asks again while the log is not signed that far yet. */
async function covered<T>(ask: () => Promise<T>): Promise<T> {
  for (const until = performance.now() + COVERED_WITHIN_MS; ; ) {
    try {
      return await ask()
    } catch (error) {
      const early = error instanceof CliError && error.problem.code === 'entry_not_covered'
      if (!early || performance.now() > until) throw error
      await delay(300)
    }
  }
}

const broken = (how: string): CliError =>
  new CliError(EXIT.unavailable, {
    title: 'Cut off',
    code: 'answer_not_understood',
    detail: `The entries did not come whole: ${how}`,
    next: 'Ask again, into another folder.',
  })
