import { openCheckpoint } from '../audit/merkle/checkpoint.js'
import { parseVerifierKey } from '../audit/merkle/keys.js'
import { inclusionProof } from '../audit/merkle/proof.js'
import { readTile, splitBundle, TILE_WIDTH, tileAt, tileHashes } from '../audit/merkle/tiles.js'
import { formatProof } from '../audit/merkle/tlog-proof.js'
import type { Publishing } from '../audit/publish/publishing.js'
import { WritError } from '../errors.js'

/** The publishing of this replica. Throws log_not_published. */
export function publishingOf({ publishing }: { readonly publishing?: Publishing }): Publishing {
  if (publishing === undefined) {
    throw new WritError('log_not_published', 'This replica does not publish the log.')
  }
  return publishing
}

/** The newest published checkpoint, verified. Throws log_not_published. */
export async function publishedHead({ published, origin, verifierKey }: Publishing) {
  const note = await published.read('checkpoint')
  if (note === undefined) throw new WritError('log_not_published', 'No checkpoint is published yet.')
  const { size, root } = openCheckpoint(note, [parseVerifierKey(verifierKey)], origin)
  return { note: note.toString('utf8'), size, root, origin }
}

/**
 * One self-contained proof of an entry: its body, its path and the signed checkpoint, all of one size of the log. Throws
 * log_not_published, entry_not_covered.
 */
export async function entryProof(
  publishing: Publishing,
  index: number,
): Promise<{ readonly origin: string; readonly size: number; readonly proof: string }> {
  const { size, note, origin } = await publishedHead(publishing)
  if (index >= size) {
    throw new WritError(
      'entry_not_covered',
      `The newest checkpoint covers ${size} entries, and not entry ${index} yet.`,
    )
  }
  const { read } = publishing.published
  const { data } = await readTile(read, { ...tileAt(0, index, size), level: 'entries' })
  const extra = splitBundle(data).bodies[index % TILE_WIDTH]
  if (extra === undefined) throw new WritError('not_found', 'The bundle of this entry is cut off.')
  const path = await inclusionProof(index, size, tileHashes(read, size))
  return {
    origin,
    size,
    proof: formatProof({ extra, index, path, checkpoint: Buffer.from(note) }).toString('utf8'),
  }
}
