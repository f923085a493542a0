import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openCheckpoint } from '../../server/audit/merkle/checkpoint.js'
import { ProofError } from '../../server/audit/merkle/error.js'
import type { VerifierKey } from '../../server/audit/merkle/keys.js'
import { proofProblem } from '../../server/audit/proofs/proof.js'
import { isSigned } from '../../server/audit/verify/decisions.js'
import { verifyProof } from '../../server/audit/verify/proof.js'
import { CliError, EXIT, usageError } from '../exit.js'
import { clean } from '../output.js'
import {
  CHECKPOINT,
  ENTRIES,
  EVIDENCE,
  evidenceText,
  MANIFEST,
  madeFrom,
  manifestText,
  SEAL,
} from './bundle.js'
import { type EvidenceEntry, provenEntries, sha256 } from './entries.js'
import { findingsOf } from './findings.js'
import type { Evidence, Session } from './types.js'

export interface VerifiedEvidence {
  readonly verified: 'evidence'
  readonly incident: string
  readonly agent: string
  readonly origin: string
  readonly size: number
  readonly entries: number
  readonly sessions: number
  readonly signatures: number
  /** SHA-256 of the manifest: what closing signs. */
  readonly manifest: string
  /** Index of the entry that recorded it; null where there is no seal. */
  readonly sealed_at: number | null
}

interface VerifyOptions {
  readonly origin?: string | undefined
  /** The manifest's hash by another way than the seal: from whoever closed it. */
  readonly manifest?: string | undefined
}

/**
 * Checks a folder of evidence with the log's public key alone: that no file was changed, added or taken away; that every
 * entry is in the log, as it was recorded; that the figures, the reports and the queries are what those entries say; and
 * that the log recorded just this manifest. Throws `ProofError` and `CliError`.
 */
export async function verifyEvidence(
  folder: string,
  keys: readonly VerifierKey[],
  { origin, manifest: given }: VerifyOptions = {},
): Promise<VerifiedEvidence> {
  const { files, manifest, hash } = await readBundle(folder)
  if (given !== undefined && given !== hash) throw wrong(MANIFEST, 'is not the one whose hash you gave')
  const file = (name: string) => files.get(name) ?? Buffer.alloc(0)
  const head = openCheckpoint(file(CHECKPOINT), keys, origin)
  const entries = provenEntries(linesOf(file(ENTRIES).toString('utf8')), head)
  const evidence = parsed(file(EVIDENCE).toString('utf8'))
  const about = { agent: evidence.agent, since: evidence.since, at: evidence.collected_at }
  const expected: Evidence = {
    ...evidence,
    log: { origin: head.origin, size: head.size },
    proven: findingsOf(entries, about),
  }
  if (evidenceText(expected) !== file(EVIDENCE).toString('utf8'))
    throw wrong(EVIDENCE, 'does not say what its entries say')
  for (const [name, text] of madeFrom(expected)) {
    if (!Buffer.from(text).equals(file(name))) throw wrong(name, 'does not say what the evidence says')
  }
  if (manifestText(expected, files) !== manifest) throw wrong(MANIFEST, 'is not in its one form')
  isAbout(evidence, entries)
  holdsTogether(expected.proven.sessions, entries)
  const signatures = entries.filter(({ entry }) => signed(entry)).length
  const sealed_at = await sealOf(folder, keys, { hash, origin: head.origin, incident: evidence.incident })
  if (sealed_at === null && given === undefined)
    throw wrong(SEAL, 'is not there: nothing shows that these files are those that were collected', {
      next: 'Collect it again, or give --manifest with the hash that somebody who read it tells you.',
    })
  return {
    verified: 'evidence',
    incident: evidence.incident,
    agent: evidence.agent,
    origin: head.origin,
    size: head.size,
    entries: entries.length,
    sessions: expected.proven.sessions.length,
    signatures,
    manifest: hash,
    sealed_at,
  }
}

export interface Bundle {
  /** All but the manifest and the seal. */
  readonly files: ReadonlyMap<string, Buffer>
  readonly manifest: string
  readonly hash: string
}

/** The files of a folder, each as its manifest has it. Throws `CliError`. */
export async function readBundle(folder: string): Promise<Bundle> {
  const names = await readdir(folder).catch(() => {
    throw usageError(`There is no folder ${folder}.`)
  })
  if (!names.includes(MANIFEST)) throw usageError(`There is no evidence in ${folder}: it has no ${MANIFEST}.`)
  const text = await readFile(join(folder, MANIFEST))
  const listed = hashesOf(text.toString('utf8'))
  const files = new Map<string, Buffer>()
  for (const [name, hash] of Object.entries(listed)) {
    if (!names.includes(name)) throw wrong(name, 'is missing')
    const data = await readFile(join(folder, name))
    if (sha256(data) !== hash) throw wrong(name, 'was changed')
    files.set(name, data)
  }
  const stray = names.find((name) => !(name in listed) && name !== MANIFEST && name !== SEAL)
  if (stray !== undefined) throw wrong(stray, 'is not part of the evidence')
  for (const name of [ENTRIES, CHECKPOINT, EVIDENCE])
    if (!files.has(name)) throw wrong(MANIFEST, `leaves ${name} out`)
  return { files, manifest: text.toString('utf8'), hash: sha256(text) }
}

function hashesOf(text: string): Readonly<Record<string, string>> {
  const { files } = { ...(json(text, MANIFEST) as { files?: unknown }) }
  if (typeof files !== 'object' || files === null) throw wrong(MANIFEST, 'lists no files')
  // A name is one in this folder: it must not lead anywhere else.
  if (
    !Object.entries(files).every(
      ([name, hash]) => /^[a-z][a-z0-9.-]*$/.test(name) && /^[0-9a-f]{64}$/.test(String(hash)),
    )
  )
    throw wrong(MANIFEST, 'lists something that is no file with its hash')
  return Object.fromEntries(Object.entries(files).map(([name, hash]) => [name, String(hash)]))
}

function parsed(text: string): Evidence {
  const value = json(text, EVIDENCE) as Partial<Evidence>
  const texts = [value.incident, value.agent, value.since, value.collected_at]
  if (
    value.type === 'writ.evidence.v1' &&
    texts.every((one) => typeof one === 'string') &&
    typeof value.said === 'object'
  )
    return value as Evidence
  throw wrong(EVIDENCE, 'is not evidence that this version knows')
}

function json(text: string, name: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Told below.
  }
  throw wrong(name, 'is no JSON object')
}

function linesOf(text: string): readonly string[] {
  if (!text.endsWith('\n')) throw wrong(ENTRIES, 'is cut off')
  return text.slice(0, -1).split('\n')
}

/** The incident is one that the log has, on this agent. */
function isAbout({ incident, agent }: Evidence, entries: readonly EvidenceEntry[]): void {
  const opened = entries.find(({ entry }) => entry.kind === 'incident.opened' && entry.incident === incident)
  if (opened?.entry.agent !== agent) throw wrong(ENTRIES, `has no incident ${clean(incident)} on that agent`)
}

/** What an entry stands on is there too: a session's intent, and all of a grant's. */
function holdsTogether(sessions: readonly Session[], entries: readonly EvidenceEntry[]): void {
  const known = new Set(sessions.map(({ issuance }) => issuance))
  const made = new Set(
    entries.filter(({ entry }) => entry.kind === 'grant.created').map(({ entry }) => entry.grant_id),
  )
  for (const { entry } of entries) {
    const { index, kind, issuance_id, grant_id } = entry
    if (kind.startsWith('issuance.') && kind !== 'issuance.denied' && !known.has(String(issuance_id)))
      throw new ProofError('entry_missing', `The intent of entry ${index} is not there.`, { index })
    if (kind === 'issuance.intended' && grant_id !== undefined && !made.has(grant_id))
      throw new ProofError('entry_missing', `The grant of entry ${index} is not there.`, { index })
  }
}

/** Whether a human signed what it says; whose key that is, the entry that added it says. */
function signed(entry: EvidenceEntry['entry']): boolean {
  if (!isSigned(entry)) return false
  const problem = proofProblem(entry.proof)
  if (problem === undefined) return true
  const { index, kind } = entry
  throw new ProofError('authority_missing', `Entry ${index}, ${kind}, is not proven: ${problem}`, { index })
}

/** The entry of the log that says this manifest was collected; null where there is no seal. */
async function sealOf(
  folder: string,
  keys: readonly VerifierKey[],
  { hash, origin, incident }: { readonly hash: string; readonly origin: string; readonly incident: string },
): Promise<number | null> {
  const data = await readFile(join(folder, SEAL)).catch(() => undefined)
  if (data === undefined) return null
  const { entry } = verifyProof(data, keys, { origin })
  if (entry.kind !== 'incident.step' || entry.incident !== incident || entry.evidence !== hash)
    throw wrong(SEAL, 'is of something else than this manifest')
  return entry.index
}

const wrong = (path: string, how: string, { next }: { readonly next?: string } = {}): CliError =>
  new CliError(EXIT.unproven, {
    title: 'Not proven',
    code: 'evidence_mismatch',
    detail: `${clean(path)} ${how}.`,
    path: clean(path),
    next: next ?? 'Keep the folder as it is, and compare it with another copy.',
  })
