import { ProofError } from './error.js'
import {
  checkIndex,
  checkSize,
  foldPeaks,
  HASH_BYTES,
  MAX_BODY_BYTES,
  MAX_SIZE,
  parseDecimal,
} from './hash.js'
import type { ReadHash } from './proof.js'

/** Hashes in a full tile, entries in a full bundle. */
export const TILE_WIDTH = 256

/** Levels of the tree within one tile. */
const TILE_HEIGHT = 8

/** Reads a published file by its path below the log's folder; undefined when it is not there. */
export type ReadFile = (path: string) => Promise<Buffer | undefined>

/** A tile of hashes, or with level `entries` a bundle of bodies. Partial when `width` is below 256. */
export interface Tile {
  readonly level: number | 'entries'
  readonly index: number
  readonly width: number
}

/** `tile/<L>/<N>[.p/<W>]`, C2SP tlog-tiles. Throws `tile_length` or `index_range`. */
export function tilePath({ level, index, width }: Tile): string {
  checkIndex(index, MAX_SIZE)
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new ProofError('tile_length', `A tile cannot be ${width} wide.`)
  }
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g) ?? []
  const last = groups.pop()
  const folders = groups.map((group) => `x${group}/`).join('')
  return `tile/${level}/${folders}${last}${width === TILE_WIDTH ? '' : `.p/${width}`}`
}

/** The tile that a path names; undefined unless the path is in its one valid form. */
export function parseTilePath(path: string): Tile | undefined {
  const [, levelText = '', groups = '', widthText] =
    /^tile\/(\d|[1-5]\d|6[0-3]|entries)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/.exec(path) ?? []
  const index = parseDecimal(groups.replace(/[x/]/g, '').replace(/^0+(?=\d)/, ''))
  if (index === undefined) return undefined
  const level = levelText === 'entries' ? levelText : Number(levelText)
  const width = widthText === undefined ? TILE_WIDTH : Number(widthText)
  if (width > TILE_WIDTH || (widthText !== undefined && width === TILE_WIDTH)) return undefined
  // Leading zero groups would give one tile two names.
  return tilePath({ level, index, width }) === path ? { level, index, width } : undefined
}

/** How many hashes a tree of `size` has on a tile level. */
export const hashesOnLevel = (size: number, level: number): number => Math.floor(size / TILE_WIDTH ** level)

/** The tile that holds position `at` of a level, as wide as it is in a tree of `size`. */
export function tileAt(level: number, at: number, size: number): Tile {
  const index = Math.floor(at / TILE_WIDTH)
  return { level, index, width: Math.min(TILE_WIDTH, hashesOnLevel(size, level) - index * TILE_WIDTH) }
}

/** The tiles of hashes that a tree of `size` has and the one of `from` had not, or had narrower. */
export function newTiles(from: number, size: number): Tile[] {
  checkSize(size)
  checkSize(from)
  if (from > size) throw new ProofError('size_range', `A tree does not grow from ${from} to ${size}.`)
  const tiles: Tile[] = []
  for (let level = 0; hashesOnLevel(size, level) > 0; level++) {
    const [before, after] = [hashesOnLevel(from, level), hashesOnLevel(size, level)]
    if (before === after) break
    for (let at = before - (before % TILE_WIDTH); at < after; at += TILE_WIDTH) {
      tiles.push(tileAt(level, at, size))
    }
  }
  return tiles
}

/**
 * The file of a tile with the width it has. That can be more than was asked for: a partial tile may be gone once
 * the full one is there. Throws `file_missing`; for hashes also `tile_length`.
 */
export async function readTile(
  read: ReadFile,
  tile: Tile,
): Promise<{ readonly data: Buffer; readonly width: number }> {
  let found = tile
  let data = await read(tilePath(tile))
  if (data === undefined && tile.width < TILE_WIDTH) {
    found = { ...tile, width: TILE_WIDTH }
    data = await read(tilePath(found))
  }
  const path = tilePath(data === undefined ? tile : found)
  if (data === undefined) throw new ProofError('file_missing', `${path} is missing.`, { path })
  if (tile.level !== 'entries' && data.length !== found.width * HASH_BYTES) {
    throw new ProofError('tile_length', `${path} has ${data.length} bytes.`, { path })
  }
  return { data, width: found.width }
}

export const hashIn = (tile: Buffer, position: number): Buffer =>
  tile.subarray(position * HASH_BYTES, (position + 1) * HASH_BYTES)

/**
 * Hashes of the tree of `size` from its tiles, for proofs. Nothing is checked: a wrong tile makes a proof that
 * nobody accepts. Keeps what it read, so make one for each proof.
 */
export function tileHashes(read: ReadFile, size: number): ReadHash {
  const tiles = new Map<string, ReturnType<typeof readTile>>()
  return async (level, index) => {
    const inTile = level % TILE_HEIGHT
    const span = 2 ** inTile
    const tile = tileAt((level - inTile) / TILE_HEIGHT, index * span, size)
    const first = (index * span) % TILE_WIDTH
    if (first + span > tile.width) throw new ProofError('index_range', `${index} on level ${level}: no such.`)
    const path = tilePath(tile)
    const found = tiles.get(path) ?? readTile(read, tile)
    tiles.set(path, found)
    const { data } = await found
    return foldLevels(Array.from({ length: span }, (_, i) => hashIn(data, first + i)))
  }
}

/** The root over 1, 2, 4, … 128 neighbours. */
function foldLevels(hashes: readonly Buffer[]): Buffer {
  const middle = hashes.length / 2
  if (middle < 1) return foldPeaks(hashes)
  return foldPeaks([foldLevels(hashes.slice(0, middle)), foldLevels(hashes.slice(middle))])
}

/** Bodies, each behind its length in two bytes, big-endian. Throws `entry_too_large`. */
export function encodeBundle(bodies: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    bodies.flatMap((body) => {
      if (body.length > MAX_BODY_BYTES) {
        throw new ProofError('entry_too_large', `An entry body has ${body.length} bytes.`)
      }
      return [Buffer.from([body.length >> 8, body.length & 0xff]), body]
    }),
  )
}

/** The bodies of a bundle, without copying. `whole` is false when the last one is cut off. */
export function splitBundle(data: Buffer): { readonly bodies: readonly Buffer[]; readonly whole: boolean } {
  const bodies: Buffer[] = []
  let at = 0
  while (at + 2 <= data.length) {
    const end = at + 2 + data.readUInt16BE(at)
    if (end > data.length) break
    bodies.push(data.subarray(at + 2, end))
    at = end
  }
  return { bodies, whole: at === data.length }
}
