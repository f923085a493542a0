import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { createGunzip } from 'node:zlib'
import { z } from 'zod'
import { openCheckpoint } from '../merkle/checkpoint.js'
import { CompactRange } from '../merkle/compact.js'
import { ProofError } from '../merkle/error.js'
import { parseBase64 } from '../merkle/hash.js'
import type { VerifierKey } from '../merkle/keys.js'
import { type ReadFile, readTile, TILE_WIDTH, tileAt, tileHashes } from '../merkle/tiles.js'
import { checkPublished, readLine } from './export.js'
import { type OnEntry, Walk } from './walk.js'

const count = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48)
const hashes = z.array(z.string().length(44)).max(96)

/** What lies beside the entries of an archive: with it and a verifier key they can be checked by themselves. */
export const archiveManifest = z.strictObject({
  v: z.literal(1),
  origin: z.string(),
  /** First entry, and the one behind the last. */
  from: count,
  to: count,
  /** Whether the entries have their personal parts with them. */
  personal: z.boolean(),
  /** Name of the file beside this one: NDJSON as in an export, gzipped. */
  entries: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
  /** SHA-256 of that file, hex. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** The complete subtrees of the entries before, base64, largest first. */
  before: hashes,
  /** RFC 9162 consistency proof from `to` to the checkpoint, base64. */
  after: hashes,
  checkpoint: z.string(),
})
export type ArchiveManifest = z.infer<typeof archiveManifest>

/** Throws `export_malformed`. */
export function readManifest(text: string): ArchiveManifest {
  try {
    const manifest = archiveManifest.parse(JSON.parse(text))
    if (manifest.from < manifest.to) return manifest
  } catch {
    // The same sentence as for one that is empty.
  }
  throw new ProofError('export_malformed', 'This is not the manifest of an archive.')
}

export interface VerifyArchiveOptions {
  readonly origin?: string | undefined
  /** Published tiles: with them a changed entry is named even when its leaf hash was recomputed. */
  readonly tiles?: ReadFile | undefined
  readonly onEntry?: OnEntry | undefined
  /** Goes on where the archive before ended; else this one stands by itself. */
  readonly walk?: Walk | undefined
}

export interface VerifiedArchive {
  readonly origin: string
  readonly from: number
  readonly to: number
  /** Of the checkpoint that covers it. */
  readonly size: number
  readonly root: Buffer
}

/** Checks the entries of an archive against the signed checkpoint in its manifest. Throws `ProofError`. */
export async function verifyArchive(
  manifest: ArchiveManifest,
  lines: AsyncIterable<string> | Iterable<string>,
  keys: readonly VerifierKey[],
  options: VerifyArchiveOptions = {},
): Promise<VerifiedArchive> {
  const { from, to } = manifest
  const head = openCheckpoint(Buffer.from(manifest.checkpoint), keys, options.origin ?? manifest.origin)
  const walk =
    options.walk ?? new Walk(options.onEntry, CompactRange.restore({ size: from, peaks: manifest.before }))
  if (walk.size !== from) {
    const detail = `The archive begins at entry ${from}, where entry ${walk.size} is to follow.`
    throw new ProofError('entry_missing', detail, { index: walk.size })
  }
  let published: Buffer | undefined
  for await (const line of lines) {
    const index = walk.size
    if (index >= to)
      throw new ProofError('export_malformed', `The archive goes on after entry ${to - 1}, its last.`, {
        index,
      })
    const { body, leaf, beside } = readLine(line, index)
    if (options.tiles !== undefined) {
      if (published === undefined || index % TILE_WIDTH === 0)
        published = (await readTile(options.tiles, tileAt(0, index, head.size))).data
      checkPublished(index, leaf, published)
    }
    walk.next(body, { hashes: leaf, at: 0 }, undefined, beside)
  }
  if (walk.size < to) {
    const detail = `The archive ends before entry ${walk.size}; it is to have all up to ${to - 1}.`
    throw new ProofError('entry_missing', detail, { index: walk.size })
  }
  walk.leadsTo(
    head,
    manifest.after.map((text) => parseBase64(text) ?? Buffer.alloc(0)),
    'checkpoint',
  )
  return { origin: head.origin, from, to, size: head.size, root: head.root }
}

/** The lines of an archive's file. Ends with `export_malformed` when the file is not the one of the manifest. */
export async function* archiveLines(file: string, sha256: string): AsyncGenerator<string> {
  const seen = createHash('sha256')
  const text = createGunzip()
  const through = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      seen.update(chunk)
      yield chunk
    }
  }
  // What goes wrong on the way ends the loop below.
  pipeline(createReadStream(file), through, text, () => undefined)
  const decoder = new StringDecoder('utf8')
  let rest = ''
  try {
    for await (const chunk of text) {
      const lines = (rest + decoder.write(chunk)).split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_')) throw changed(file)
    throw error
  }
  if (rest !== '' || seen.digest('hex') !== sha256) throw changed(file)
}

const changed = (file: string): ProofError =>
  new ProofError('export_malformed', `${file} is not the file that its manifest names, or cut off.`, {
    path: file,
  })

/** The tree of the first `size` entries out of the tiles of a larger one, for going on from there. Not checked. */
export async function rangeFromTiles(read: ReadFile, size: number, treeSize: number): Promise<CompactRange> {
  const hash = tileHashes(read, treeSize)
  const peaks: string[] = []
  for (let at = 0; at < size; ) {
    let [level, width] = [0, 1]
    while (width * 2 <= size - at) [level, width] = [level + 1, width * 2]
    peaks.push((await hash(level, at / width)).toString('base64'))
    at += width
  }
  return CompactRange.restore({ size, peaks })
}
