import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { Queryable } from '../../db/pool.js'
import type { VerifierKey } from '../merkle/keys.js'
import { consistencyProof } from '../merkle/proof.js'
import { type ReadFile, tileHashes } from '../merkle/tiles.js'
import { exportEntries } from '../queries.js'
import {
  type ArchiveManifest,
  archiveLines,
  rangeFromTiles,
  readManifest,
  type VerifiedArchive,
  verifyArchive,
} from '../verify/archive.js'

export interface ArchiveTarget {
  /** Made when absent. */
  readonly directory: string
  /** Whether what lies beside the entries goes along. */
  readonly personal: boolean
}

/** The published log that an archive is held against. */
export interface PublishedLog {
  readonly read: ReadFile
  readonly keys: readonly VerifierKey[]
  readonly origin: string
  /** Signed note of the newest checkpoint, and its size. */
  readonly note: string
  readonly size: number
}

export interface Archive {
  readonly manifest: ArchiveManifest
  readonly manifestFile: string
  readonly entriesFile: string
  readonly bytes?: number
}

/**
 * Writes the entries `from` to `to` and the manifest that proves them. What is durable: a part with another name;
 * then the entries under theirs; then the manifest, which comes last and makes it an archive. After a crash before
 * that, it is written anew; an archive that is there is never written again.
 */
export async function writeArchive(
  owner: Queryable,
  log: PublishedLog,
  { directory, personal }: ArchiveTarget,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<Archive> {
  await mkdir(directory, { recursive: true })
  const name = archiveName(from, to)
  const manifestFile = join(directory, `${name}.json`)
  const there = await readFile(manifestFile, 'utf8').catch(() => undefined)
  if (there !== undefined) {
    const manifest = readManifest(there)
    return { manifest, manifestFile, entriesFile: join(directory, manifest.entries) }
  }
  const entries = `${name}.ndjson.gz`
  const { sha256, bytes } = await durably(directory, entries, gzipped(linesOf(owner, from, to, personal)))
  const proof = await consistencyProof(to, log.size, tileHashes(log.read, log.size))
  const before = await rangeFromTiles(log.read, from, log.size)
  const manifest: ArchiveManifest = {
    v: 1,
    origin: log.origin,
    from,
    to,
    personal,
    entries,
    sha256,
    before: [...before.save().peaks],
    after: proof.map((hash) => hash.toString('base64')),
    checkpoint: log.note,
  }
  await durably(directory, `${name}.json`, [Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)])
  return { manifest, manifestFile, entriesFile: join(directory, entries), bytes }
}

/** Reads an archive back from its files, and holds each entry against the published tiles. Throws `ProofError`. */
export async function checkArchive(archive: Archive, log: PublishedLog): Promise<VerifiedArchive> {
  const { manifest, entriesFile } = archive
  const lines = archiveLines(entriesFile, manifest.sha256)
  return verifyArchive(manifest, lines, log.keys, { origin: log.origin, tiles: log.read })
}

export const archiveName = (from: number, to: number): string =>
  `writ-log-${String(from).padStart(12, '0')}-${String(to - 1).padStart(12, '0')}`

async function* linesOf(
  owner: Queryable,
  from: number,
  to: number,
  personal: boolean,
): AsyncGenerator<string> {
  let next = from
  for await (const entry of exportEntries(owner, from, to, personal)) {
    if (entry.index !== next) break
    next++
    yield `${JSON.stringify(entry)}\n`
  }
  if (next !== to) throw new Error(`entry ${next} is not in the database`)
}

function gzipped(lines: AsyncIterable<string>): AsyncIterable<Buffer> {
  const gzip = createGzip()
  // What goes wrong before it ends the reading of it.
  pipeline(Readable.from(batched(lines)), gzip, () => undefined)
  return gzip
}

/** Lines one by one through a stream cost more than the lines. */
async function* batched(lines: AsyncIterable<string>): AsyncGenerator<Buffer> {
  let text = ''
  for await (const line of lines) {
    text += line
    if (text.length < 256 * 1024) continue
    yield Buffer.from(text)
    text = ''
  }
  if (text !== '') yield Buffer.from(text)
}

/** A file that is there as a whole or not at all, also after the machine has lost its power. */
async function durably(
  directory: string,
  name: string,
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
): Promise<{ readonly sha256: string; readonly bytes: number }> {
  const part = join(directory, `${name}.part`)
  const hash = createHash('sha256')
  let bytes = 0
  const file = await open(part, 'w', 0o600)
  try {
    for await (const chunk of chunks) {
      hash.update(chunk)
      bytes += chunk.length
      await file.writeFile(chunk)
    }
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, join(directory, name))
  const folder = await open(directory, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
  return { sha256: hash.digest('hex'), bytes }
}
