import { isUtf8 } from 'node:buffer'
import { ProofError } from './error.js'
import {
  checkHash,
  checkIndex,
  HASH_BYTES,
  MAX_BODY_BYTES,
  MAX_SIZE,
  parseBase64,
  parseDecimal,
} from './hash.js'

const VERSION_LINE = 'c2sp.org/tlog-proof@v1'

/** A path in a tree of 2^48 leaves has no more. */
const MAX_PATH = 48

/** A body in base64, a path, and the largest note. */
const MAX_PROOF_BYTES = 1_200_000

/** One self-contained proof, C2SP tlog-proof. Ours carry the entry's body as `extra`, so nothing else is needed. */
export interface ProofDocument {
  readonly extra?: Buffer
  readonly index: number
  readonly path: readonly Buffer[]
  /** The signed checkpoint, verbatim. */
  readonly checkpoint: Buffer
}

/** Throws `entry_too_large`, `index_range`, `hash_length`, `proof_length`. */
export function formatProof({ extra, index, path, checkpoint }: ProofDocument): Buffer {
  checkIndex(index, MAX_SIZE)
  for (const hash of path) checkHash(hash)
  if (path.length > MAX_PATH) throw new ProofError('proof_length', `A path has ${path.length} hashes.`)
  if (extra !== undefined && extra.length > MAX_BODY_BYTES) {
    throw new ProofError('entry_too_large', `An entry body has ${extra.length} bytes.`)
  }
  const lines = [
    VERSION_LINE,
    ...(extra === undefined ? [] : [`extra ${extra.toString('base64')}`]),
    `index ${index}`,
    ...path.map((hash) => hash.toString('base64')),
    '',
  ]
  return Buffer.concat([Buffer.from(`${lines.join('\n')}\n`), checkpoint])
}

/** Takes a document apart and believes nothing in it. Throws `proof_version`, `proof_malformed`, `proof_length`. */
export function parseProof(data: Uint8Array): ProofDocument {
  if (data.length > MAX_PROOF_BYTES) throw malformed(`A proof document has ${data.length} bytes.`)
  if (!isUtf8(data)) throw malformed('A proof document is not UTF-8.')
  const text = Buffer.from(data).toString('utf8')
  const version = text.slice(0, Math.max(0, text.indexOf('\n')))
  if (version !== VERSION_LINE) {
    if (/^c2sp\.org\/tlog-proof@/.test(version)) {
      throw new ProofError('proof_version', 'The proof document is of an unknown version.')
    }
    throw malformed(`A proof document begins with ${VERSION_LINE}.`)
  }
  const end = text.indexOf('\n\n')
  if (end < 0) throw malformed('A proof document has an empty line before its checkpoint.')
  const lines = text.slice(version.length + 1, end).split('\n')
  const extraLine = lines[0]?.startsWith('extra ') ? lines.shift() : undefined
  const extra = extraLine === undefined ? undefined : parseBase64(extraLine.slice(6))
  if (extraLine !== undefined && extra === undefined) throw malformed('The extra data is not base64.')
  const indexLine = lines.shift() ?? ''
  const index = indexLine.startsWith('index ') ? parseDecimal(indexLine.slice(6)) : undefined
  if (index === undefined) throw malformed('A proof document has an index in decimal.')
  if (lines.length > MAX_PATH) {
    throw new ProofError('proof_length', `A path has ${lines.length} hashes.`)
  }
  const path = lines.map((line) => {
    const hash = parseBase64(line)
    if (hash?.length !== HASH_BYTES) throw malformed('A line of the path is not base64 of 32 bytes.')
    return hash
  })
  const checkpoint = Buffer.from(text.slice(end + 2))
  return extra === undefined ? { index, path, checkpoint } : { extra, index, path, checkpoint }
}

const malformed = (detail: string): ProofError => new ProofError('proof_malformed', detail)
