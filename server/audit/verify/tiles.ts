import { type Checkpoint, openCheckpoint } from '../merkle/checkpoint.js'
import type { OnNode } from '../merkle/compact.js'
import { ProofError } from '../merkle/error.js'
import { HASH_BYTES } from '../merkle/hash.js'
import type { VerifierKey } from '../merkle/keys.js'
import {
  type ReadFile,
  readTile,
  splitBundle,
  TILE_WIDTH,
  type Tile,
  tileAt,
  tilePath,
} from '../merkle/tiles.js'
import { type OnEntry, Walk } from './walk.js'

export interface VerifyTilesOptions {
  readonly origin?: string | undefined
  /** Sizes of the older checkpoints that the folder holds as `checkpoints/<size>`, in any order. */
  readonly checkpoints?: Iterable<number>
  readonly onEntry?: OnEntry
}

export interface Verified {
  readonly origin: string
  /** Entries checked, which is the size of the signed tree. */
  readonly size: number
  readonly root: Buffer
  /** Signed checkpoints that agreed, the newest included. */
  readonly checkpoints: number
}

/**
 * Checks a published log from its files and public keys alone: every signature, every entry against its leaf
 * hash, every hash of every tile, and every checkpoint's root. Reads each file once, and holds one tile of each
 * level. Throws `ProofError` at the first wrong entry or file; errors of `read` pass through.
 */
export async function verifyTiles(
  read: ReadFile,
  keys: readonly VerifierKey[],
  options: VerifyTilesOptions = {},
): Promise<Verified> {
  const head = await readCheckpoint(read, 'checkpoint', keys, options.origin)
  const walk = new Walk(options.onEntry)
  const older = olderCheckpoints(read, keys, head, options.checkpoints ?? [])
  const upper = new UpperTiles(read)
  let count = 0
  let next = await older.next()
  const compareUpTo = async (): Promise<void> => {
    while (!next.done && next.value.checkpoint.size === walk.size) {
      walk.agree(next.value.checkpoint, next.value.path)
      count++
      next = await older.next()
    }
  }
  await compareUpTo()
  while (walk.size < head.size) {
    const tile = tileAt(0, walk.size, head.size)
    const { data: hashes } = await readTile(read, tile)
    const bundle = { ...tile, level: 'entries' } as const
    const { data, width } = await readTile(read, bundle)
    const { bodies, whole } = splitBundle(data)
    for (let at = 0; at < tile.width; at++) {
      const body = bodies[at]
      if (body === undefined) throw cutShort(bundle, walk.size)
      walk.next(body, { hashes, at }, upper.onNode)
      if (!next.done && next.value.checkpoint.size === walk.size) await compareUpTo()
    }
    // What stands behind the entries that count was never signed, and must not look as if it were.
    if (!whole || bodies.length !== width) throw cutShort(bundle, walk.size)
    await upper.compareFull(head.size)
  }
  await upper.compareRest(head.size)
  walk.agree(head, 'checkpoint')
  return { origin: head.origin, size: head.size, root: head.root, checkpoints: count + 1 }
}

async function readCheckpoint(
  read: ReadFile,
  path: string,
  keys: readonly VerifierKey[],
  origin: string | undefined,
): Promise<Checkpoint> {
  const note = await read(path)
  if (note === undefined) throw new ProofError('file_missing', `${path} is missing.`, { path })
  try {
    return openCheckpoint(note, keys, origin)
  } catch (error) {
    if (!(error instanceof ProofError)) throw error
    throw new ProofError(error.code, `${path}: ${error.message}`, { path })
  }
}

/** In order of size, read one by one: there can be millions. */
async function* olderCheckpoints(
  read: ReadFile,
  keys: readonly VerifierKey[],
  head: Checkpoint,
  sizes: Iterable<number>,
): AsyncGenerator<{ readonly checkpoint: Checkpoint; readonly path: string }, undefined> {
  const sorted = Float64Array.from(sizes).sort()
  for (const size of sorted) {
    const path = `checkpoints/${size}`
    const checkpoint = await readCheckpoint(read, path, keys, head.origin)
    // A head behind an older checkpoint is a log that was rolled back.
    if (checkpoint.size !== size || size > head.size) {
      throw new ProofError(
        'checkpoint_mismatch',
        `${path} is of size ${checkpoint.size}, the newest checkpoint of ${head.size}.`,
        { index: Math.min(checkpoint.size, head.size), path },
      )
    }
    yield { checkpoint, path }
  }
  return undefined
}

function cutShort(bundle: Tile, index: number): ProofError {
  const path = tilePath(bundle)
  const detail = `${path} does not split into exactly its entries; entry ${index} is not there or not whole.`
  return new ProofError('bundle_malformed', detail, { index, path })
}

/** Collects what the tiles above level 0 must say, and compares each when it is full or the tree ends. */
class UpperTiles {
  readonly #read: ReadFile
  readonly #levels: { readonly hashes: Buffer; count: number; compared: number }[] = []

  constructor(read: ReadFile) {
    this.#read = read
  }

  readonly onNode: OnNode = (level, index, hash) => {
    if (level === 0 || level % 8 !== 0) return
    const above = level / 8 - 1
    const tile = this.#levels[above] ?? {
      hashes: Buffer.alloc(TILE_WIDTH * HASH_BYTES),
      count: 0,
      compared: 0,
    }
    this.#levels[above] = tile
    hash.copy(tile.hashes, (index % TILE_WIDTH) * HASH_BYTES)
    tile.count = index + 1
  }

  async compareFull(size: number): Promise<void> {
    for (const [above, tile] of this.#levels.entries()) {
      if (tile.count - tile.compared === TILE_WIDTH) await this.#compare(above + 1, tile, size)
    }
  }

  async compareRest(size: number): Promise<void> {
    for (const [above, tile] of this.#levels.entries()) {
      if (tile.count > tile.compared) await this.#compare(above + 1, tile, size)
    }
  }

  async #compare(level: number, own: { hashes: Buffer; count: number; compared: number }, size: number) {
    const tile = tileAt(level, own.compared, size)
    const { data: published } = await readTile(this.#read, tile)
    for (let at = 0; at < tile.width; at++) {
      const [from, to] = [at * HASH_BYTES, (at + 1) * HASH_BYTES]
      if (own.hashes.compare(published, from, to, from, to) === 0) continue
      const [path, span] = [tilePath(tile), TILE_WIDTH ** level]
      const index = (own.compared + at) * span
      throw new ProofError(
        'tile_mismatch',
        `${path} says something else in place ${at} than the entries ${index} to ${index + span - 1} hash to.`,
        { index, path },
      )
    }
    own.compared = own.count
  }
}
