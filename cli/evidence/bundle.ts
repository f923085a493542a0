import { canonicalText } from '../../server/audit/proofs/document.js'
import { sha256 } from './entries.js'
import { html } from './html.js'
import { markdown } from './markdown.js'
import { athenaFile, athenaQuery, cloudtrailFile, cloudtrailScript } from './queries.js'
import { reportOf, titleOf } from './report.js'
import type { Evidence } from './types.js'

export const MANIFEST = 'manifest.json'
/** Proof that the manifest's hash was recorded; it cannot be in the manifest itself. */
export const SEAL = 'seal.proof'
export const ENTRIES = 'entries.ndjson'
export const CHECKPOINT = 'checkpoint'
export const EVIDENCE = 'evidence.json'

export interface Manifest {
  readonly type: 'writ.evidence-manifest.v1'
  readonly incident: string
  readonly agent: string
  /** Name → SHA-256, 64 hex digits. */
  readonly files: Readonly<Record<string, string>>
}

export const evidenceText = (evidence: Evidence): string => `${JSON.stringify(evidence, null, 2)}\n`

/** Every file that follows from the evidence: made again at each check, and compared byte for byte. */
export function madeFrom(evidence: Evidence): ReadonlyMap<string, string> {
  const blocks = reportOf(evidence)
  return new Map([
    [EVIDENCE, evidenceText(evidence)],
    ['report.md', markdown(blocks)],
    ['report.html', html(titleOf(evidence), blocks)],
    ...evidence.proven.accounts.flatMap((one): (readonly [string, string])[] => [
      [cloudtrailFile(one.account), cloudtrailScript(one)],
      [athenaFile(one.account), athenaQuery(one)],
    ]),
  ])
}

/** The one text of a manifest: its hash is what closing signs, and what the seal proves. */
export function manifestText(
  { incident, agent }: Pick<Evidence, 'incident' | 'agent'>,
  files: ReadonlyMap<string, string | Uint8Array>,
): string {
  const hashes = Object.fromEntries([...files].map(([name, data]) => [name, sha256(data)]))
  const manifest: Manifest = { type: 'writ.evidence-manifest.v1', incident, agent, files: hashes }
  return `${canonicalText(manifest)}\n`
}
