import { createHash } from 'node:crypto'
import type { Checkpoint } from '../../server/audit/merkle/checkpoint.js'
import { ProofError } from '../../server/audit/merkle/error.js'
import { leafHash, parseBase64 } from '../../server/audit/merkle/hash.js'
import { verifyInclusion } from '../../server/audit/merkle/proof.js'
import { type LogEntry, readEntry } from '../../server/audit/verify/entry.js'
import { readLine } from '../../server/audit/verify/export.js'

/** An entry of the evidence, proven, with what lies beside it. */
export interface EvidenceEntry {
  readonly entry: LogEntry
  /** Checked against the entry's hash of it; null where there is none, or it is erased. */
  readonly personal: Readonly<Record<string, unknown>> | null
}

/**
 * Entries of lines that each carry their proof: in the order of the log, every one of them under the checkpoint. Throws
 * `ProofError` at the first that is not.
 */
export function provenEntries(
  lines: readonly string[],
  { size, root }: Pick<Checkpoint, 'size' | 'root'>,
): readonly EvidenceEntry[] {
  let [last, notBefore] = [-1, '']
  return lines.map((line) => {
    const { index, path } = placeOf(line)
    if (index <= last) throw malformed('The entries are not in the order of the log.', index)
    const { body, leaf, beside } = readLine(line, index)
    if (!leafHash(body).equals(leaf))
      throw new ProofError('entry_mismatch', `Entry ${index} is not what was published.`, { index })
    try {
      verifyInclusion(leaf, index, size, path, root)
    } catch (error) {
      if (!(error instanceof ProofError)) throw error
      throw new ProofError(error.code, `Entry ${index} is not in this log: ${error.message}`, { index })
    }
    const entry = readEntry(body, index, notBefore)
    if (beside !== undefined && beside.hash !== entry.personal) {
      const detail = `What lies beside entry ${index} is not what was recorded.`
      throw new ProofError('personal_mismatch', detail, { index })
    }
    last = index
    notBefore = entry.at
    return { entry, personal: beside === undefined ? null : fieldsOf(beside.text) }
  })
}

function placeOf(line: string): { readonly index: number; readonly path: readonly Buffer[] } {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw malformed('A line of the entries is no JSON.')
  }
  const { index, path } = { ...(value as { index?: unknown; path?: unknown }) }
  if (typeof index !== 'number' || !Number.isSafeInteger(index) || !Array.isArray(path))
    throw malformed('A line of the entries has no place in the log.')
  return {
    index,
    path: path.map((hash) => {
      const bytes = typeof hash === 'string' ? parseBase64(hash) : undefined
      if (bytes === undefined) throw malformed(`The proof of entry ${index} is not base64.`, index)
      return bytes
    }),
  }
}

function fieldsOf(json: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}

const malformed = (detail: string, index?: number): ProofError =>
  new ProofError('export_malformed', detail, index === undefined ? {} : { index })

export const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')
