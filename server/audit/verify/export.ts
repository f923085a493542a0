import { openCheckpoint } from '../merkle/checkpoint.js'
import { ProofError } from '../merkle/error.js'
import { HASH_BYTES, MAX_BODY_BYTES, parseBase64 } from '../merkle/hash.js'
import type { VerifierKey } from '../merkle/keys.js'
import { type ReadFile, readTile, TILE_WIDTH, tileAt } from '../merkle/tiles.js'
import { commitment } from '../personal.js'
import type { Verified } from './tiles.js'
import { type Beside, type OnEntry, Walk } from './walk.js'

export interface VerifyExportOptions {
  readonly origin?: string | undefined
  /** Published tiles: with them a changed entry is named even when its leaf hash was recomputed. */
  readonly tiles?: ReadFile | undefined
  readonly onEntry?: OnEntry
  /** Goes on where the archives before ended. */
  readonly walk?: Walk | undefined
}

export interface VerifiedExport extends Verified {
  /** Entries after the checkpoint's size: well-formed, but nothing signed covers them yet. */
  readonly beyond: number
}

/**
 * Checks an export of complete entries from the first on, one JSON object a line: `index`, `body` (the exact
 * text) or `body_base64`, `leaf_hash` (64 hex digits). Throws `ProofError` at the first wrong entry.
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  checkpoint: Uint8Array,
  keys: readonly VerifierKey[],
  options: VerifyExportOptions = {},
): Promise<VerifiedExport> {
  const head = openCheckpoint(checkpoint, keys, options.origin)
  const walk = options.walk ?? new Walk(options.onEntry)
  let published: Buffer | undefined
  if (walk.size > head.size) {
    const detail = `The checkpoint has ${head.size} entries, and the export begins behind them at ${walk.size}.`
    throw new ProofError('checkpoint_mismatch', detail, { index: head.size })
  }
  if (head.size === walk.size) walk.agree(head, 'checkpoint')
  for await (const line of lines) {
    const index = walk.size
    const { body, leaf, beside } = readLine(line, index)
    walk.next(body, { hashes: leaf, at: 0 }, undefined, beside)
    if (options.tiles !== undefined && index < head.size) {
      if (published === undefined || index % TILE_WIDTH === 0)
        published = (await readTile(options.tiles, tileAt(0, index, head.size))).data
      checkPublished(index, leaf, published)
    }
    if (walk.size === head.size) walk.agree(head, 'checkpoint')
  }
  if (walk.size < head.size) {
    const detail = `The export ends before entry ${walk.size}; the checkpoint has ${head.size}.`
    throw new ProofError('entry_missing', detail, { index: walk.size })
  }
  const { origin, size, root } = head
  return { origin, size, root, checkpoints: 1, beyond: walk.size - size }
}

/** Throws `entry_mismatch` unless a tile of level 0 has the leaf hash at the place of the entry. */
export function checkPublished(index: number, leaf: Buffer, tile: Buffer): void {
  const from = (index % TILE_WIDTH) * HASH_BYTES
  if (leaf.compare(tile, from, from + HASH_BYTES) === 0) return
  throw new ProofError('entry_mismatch', `Entry ${index} is not what was published.`, { index })
}

export interface Line {
  readonly body: Buffer
  readonly leaf: Buffer
  readonly beside?: Beside
}

/** The line of an entry at its index. Throws `ProofError`. */
export function readLine(line: string, index: number): Line {
  const { index: own, body: text, body_base64: base64, leaf_hash: hex, personal, salt } = parse(line)
  if (own !== index) {
    throw new ProofError('entry_missing', `Entry ${index} is not in its line.`, { index })
  }
  const body =
    typeof text === 'string' && base64 === undefined
      ? Buffer.from(text)
      : typeof base64 === 'string' && text === undefined
        ? parseBase64(base64)
        : undefined
  if (body !== undefined && body.length > MAX_BODY_BYTES) {
    throw new ProofError('entry_too_large', `Entry ${index} has ${body.length} bytes.`, { index })
  }
  if (body === undefined || typeof hex !== 'string' || !/^[0-9a-f]{64}$/.test(hex)) {
    throw new ProofError('export_malformed', `The line of entry ${index} is not a complete entry.`, { index })
  }
  const leaf = Buffer.from(hex, 'hex')
  if (personal === undefined && salt === undefined) return { body, leaf }
  if (typeof personal !== 'string' || typeof salt !== 'string' || !/^[0-9a-f]{32}$/.test(salt)) {
    throw new ProofError('export_malformed', `The personal part of entry ${index} is not whole.`, { index })
  }
  const hash = commitment(Buffer.from(salt, 'hex'), Buffer.from(personal)).toString('hex')
  return { body, leaf, beside: { text: personal, hash } }
}

function parse(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch {
    // Falls through to a line without fields.
  }
  return {}
}
