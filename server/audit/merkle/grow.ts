import { CompactRange, countBits } from './compact.js'
import { ProofError } from './error.js'
import { leafHash } from './hash.js'
import {
  encodeBundle,
  hashesOnLevel,
  hashIn,
  newTiles,
  type ReadFile,
  readTile,
  splitBundle,
  TILE_WIDTH,
  tileAt,
  tilePath,
} from './tiles.js'

export interface TileFile {
  readonly path: string
  readonly data: Buffer
}

export interface Grown {
  readonly range: CompactRange
  /** All of them have to be durable before a checkpoint of the new size is signed. */
  readonly files: readonly TileFile[]
}

/**
 * Appends bodies to a published tree: the range after them, and the files to write. `range` itself stays as it
 * is, so that nothing is lost when writing fails. Partial tiles and the partial bundle of the old tree are read
 * back and must fit `range`, lest a changed file is carried into the next tile under a fresh signature. Throws
 * `file_missing`, `tile_length`, `tile_mismatch`, `entry_mismatch`, `entry_too_large`.
 */
export async function growTiles(
  range: CompactRange,
  bodies: readonly Uint8Array[],
  read: ReadFile,
): Promise<Grown> {
  const from = range.size
  const after = range.copy()
  const added = new Map<number, Buffer[]>()
  for (const body of bodies) {
    after.append(leafHash(body), (level, _, hash) => {
      if (level % 8 !== 0) return
      const hashes = added.get(level / 8) ?? []
      hashes.push(hash)
      added.set(level / 8, hashes)
    })
  }
  const files: TileFile[] = []
  for (const [level, hashes] of added) {
    const all = [...(await oldHashes(range, level, read)), ...hashes]
    if (level === 0) {
      const old = await oldBodies(from, all, read)
      files.push(...bundleFiles([...old, ...bodies], from - old.length))
    }
    for (const tile of newTiles(from, after.size).filter((one) => one.level === level)) {
      const first = tile.index * TILE_WIDTH - (hashesOnLevel(from, level) - (all.length - hashes.length))
      files.push({ path: tilePath(tile), data: Buffer.concat(all.slice(first, first + tile.width)) })
    }
  }
  return { range: after, files }
}

/** The hashes of the partial tile on the old tree's right edge, checked against the range's subtrees. */
async function oldHashes(range: CompactRange, level: number, read: ReadFile): Promise<Buffer[]> {
  const count = hashesOnLevel(range.size, level)
  const width = count % TILE_WIDTH
  if (width === 0) return []
  const tile = tileAt(level, count - 1, range.size)
  const { data } = await readTile(read, tile)
  const hashes = Array.from({ length: width }, (_, i) => hashIn(data, i))
  const edge = new CompactRange()
  for (const hash of hashes) edge.append(hash)
  const above = countBits(hashesOnLevel(range.size, level + 1))
  if (edge.peaks.some((peak, i) => range.peaks[above + i]?.equals(peak) !== true)) {
    const path = tilePath(tile)
    throw new ProofError('tile_mismatch', `${path} is not what was published.`, { path })
  }
  return hashes
}

/** The bodies of the partial bundle, checked against their hashes. */
async function oldBodies(from: number, hashes: readonly Buffer[], read: ReadFile): Promise<Buffer[]> {
  const width = from % TILE_WIDTH
  if (width === 0) return []
  const tile = { ...tileAt(0, from - 1, from), level: 'entries' } as const
  const { data } = await readTile(read, tile)
  const bodies = splitBundle(data).bodies.slice(0, width)
  for (let i = 0; i < width; i++) {
    const body = bodies[i]
    if (body === undefined || hashes[i]?.equals(leafHash(body)) !== true) {
      const [path, index] = [tilePath(tile), from - width + i]
      throw new ProofError('entry_mismatch', `Entry ${index} is not what was published.`, { path, index })
    }
  }
  return bodies
}

function bundleFiles(bodies: readonly Uint8Array[], first: number): TileFile[] {
  const files: TileFile[] = []
  for (let at = 0; at < bodies.length; at += TILE_WIDTH) {
    const part = bodies.slice(at, at + TILE_WIDTH)
    const tile = { level: 'entries', index: (first + at) / TILE_WIDTH, width: part.length } as const
    files.push({ path: tilePath(tile), data: encodeBundle(part) })
  }
  return files
}
