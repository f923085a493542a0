import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { openCheckpoint } from '../server/audit/merkle/checkpoint.js'
import { CompactRange } from '../server/audit/merkle/compact.js'
import { ProofError } from '../server/audit/merkle/error.js'
import type { VerifierKey } from '../server/audit/merkle/keys.js'
import type { ReadFile } from '../server/audit/merkle/tiles.js'
import { folder } from '../server/audit/publish/folder.js'
import {
  type ArchiveManifest,
  archiveLines,
  rangeFromTiles,
  readManifest,
  verifyArchive,
} from '../server/audit/verify/archive.js'
import { Authority } from '../server/audit/verify/authority.js'
import { verifyExport } from '../server/audit/verify/export.js'
import { verifyProof } from '../server/audit/verify/proof.js'
import { verifyTiles } from '../server/audit/verify/tiles.js'
import { Walk } from '../server/audit/verify/walk.js'
import { usageError } from './exit.js'

export interface VerifyOptions {
  readonly origin?: string
  readonly checkpoint?: string
  readonly tiles?: string
}

type Told = Readonly<Record<string, unknown>>

/**
 * Checks one folder of tiles, one proof, or pieces of a log that follow each other: archives, and an export of what
 * came after. Throws `ProofError`, and a usage error for what cannot be checked together.
 */
export async function verifyPaths(
  paths: readonly string[],
  keys: readonly VerifierKey[],
  options: VerifyOptions,
): Promise<Told> {
  const [path = ''] = paths
  if (paths.length === 1 && (await isFolderOfTiles(path))) {
    const authority = new Authority()
    const { read, sizes } = await withOlder(folder(path).read, keys, options)
    const { root, ...found } = await verifyTiles(read, keys, {
      origin: options.origin,
      checkpoints: sizes,
      onEntry: authority.onEntry,
    })
    return { verified: 'log', ...found, root: root.toString('base64'), ...authority.counts() }
  }
  const { archives, others } = await sorted(paths)
  if (archives.length === 0 && others.length === 1 && options.checkpoint === undefined) {
    const { body, root, ...found } = verifyProof(await readFile(path), keys, { origin: options.origin })
    return { verified: 'proof', ...found, root: root.toString('base64'), entry: body.toString('utf8') }
  }
  if (others.length > 1) throw usageError('Only one export can follow the archives.')
  const [file] = others
  if (file !== undefined && options.checkpoint === undefined)
    throw usageError('An export is checked with --checkpoint.')
  const rest = file === undefined ? undefined : { file, note: await readFile(options.checkpoint ?? '') }
  return verifyPieces(archives, rest, keys, options)
}

/** A checkpoint kept from earlier, as if the folder had it: the log must continue what it said. */
async function withOlder(
  read: ReadFile,
  keys: readonly VerifierKey[],
  { checkpoint, origin }: VerifyOptions,
): Promise<{ readonly read: ReadFile; readonly sizes: readonly number[] }> {
  if (checkpoint === undefined) return { read, sizes: [] }
  const note = await readFile(checkpoint)
  const { size } = openCheckpoint(note, keys, origin)
  const at = `checkpoints/${size}`
  return { read: async (path) => (path === at ? note : read(path)), sizes: [size] }
}

interface Piece {
  readonly folder: string
  readonly manifest: ArchiveManifest
}

async function verifyPieces(
  archives: readonly Piece[],
  rest: { readonly file: string; readonly note: Buffer } | undefined,
  keys: readonly VerifierKey[],
  options: VerifyOptions,
): Promise<Told> {
  const tiles = options.tiles === undefined ? undefined : folder(options.tiles).read
  const origin = options.origin ?? archives[0]?.manifest.origin
  const before = await whereItBegins(archives, rest, keys, tiles)
  // Who may do what is said from the first entry on: a log without its beginning cannot be asked.
  const authority = before.size === 0 ? new Authority() : undefined
  const walk = new Walk(authority?.onEntry, before)
  const pieces = { archives: archives.length, from: before.size }
  let told: Told = {}
  for (const { folder, manifest } of archives) {
    const lines = archiveLines(join(folder, manifest.entries), manifest.sha256)
    const { root, ...found } = await verifyArchive(manifest, lines, keys, { origin, tiles, walk })
    told = { verified: 'archives', ...found, ...pieces, root: root.toString('base64') }
  }
  if (rest !== undefined) {
    // Nothing may be awaited between this and the reading: its lines would be gone by then.
    const lines = createInterface({
      input: createReadStream(rest.file),
      crlfDelay: Number.POSITIVE_INFINITY,
    })
    const { root, ...found } = await verifyExport(lines, rest.note, keys, { origin, tiles, walk })
    told = { verified: 'export', ...found, ...pieces, root: root.toString('base64') }
  }
  return { ...told, ...authority?.counts() }
}

/** What came before the first piece: as its archive says, or as tiles do. Either has to lead to a signed root. */
async function whereItBegins(
  archives: readonly Piece[],
  rest: { readonly file: string; readonly note: Buffer } | undefined,
  keys: readonly VerifierKey[],
  tiles: ReturnType<typeof folder>['read'] | undefined,
): Promise<CompactRange> {
  const [first] = archives
  if (first !== undefined)
    return CompactRange.restore({ size: first.manifest.from, peaks: first.manifest.before })
  const index = rest === undefined ? 0 : await firstIndex(rest.file)
  if (rest === undefined || index === 0) return new CompactRange()
  if (tiles === undefined) {
    const detail = `The export begins at entry ${index}: give the archives of those before as well, or --tiles.`
    throw new ProofError('entry_missing', detail, { index: 0 })
  }
  return rangeFromTiles(tiles, index, openCheckpoint(rest.note, keys).size)
}

/** Index of the first entry of an export; 0 when it is none. */
export async function firstIndex(file: string): Promise<number> {
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [, index] = /"index":\s*(\d{1,15})\b/.exec(line.slice(0, 100)) ?? []
    return Number(index ?? 0)
  }
  return 0
}

/** Manifests, also of a whole folder, in the order of their entries; and the other files. */
async function sorted(
  paths: readonly string[],
): Promise<{ readonly archives: readonly Piece[]; readonly others: readonly string[] }> {
  const archives: Piece[] = []
  const others: string[] = []
  for (const path of paths) {
    if ((await about(path)).isDirectory()) {
      const names = (await readdir(path)).filter((name) => /^writ-log-.*\.json$/.test(name))
      if (names.length === 0) throw usageError(`There is neither a log nor an archive in ${path}.`)
      for (const name of names) archives.push(await pieceOf(join(path, name)))
    } else if (path.endsWith('.json')) archives.push(await pieceOf(path))
    else others.push(path)
  }
  archives.sort((a, b) => a.manifest.from - b.manifest.from)
  return { archives, others }
}

const pieceOf = async (file: string): Promise<Piece> => ({
  folder: dirname(file),
  manifest: readManifest(await readFile(file, 'utf8')),
})

const about = (path: string) =>
  stat(path).catch(() => {
    throw usageError(`There is nothing at ${path}.`)
  })

async function isFolderOfTiles(path: string): Promise<boolean> {
  if (!(await about(path)).isDirectory()) return false
  const names = await readdir(path)
  return !names.some((name) => /^writ-log-.*\.json$/.test(name))
}
