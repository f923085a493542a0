import { createReadStream } from 'node:fs'
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'

/** Where a record stands. `record` counts from 1: position in `Records`, or the line. */
export interface Place {
  readonly file: string
  readonly record?: number
}

/** What could not be read. Whoever gets one cannot say that all is well. */
export interface InputProblem extends Place {
  readonly problem: string
}

export interface TrailFiles {
  readonly files: readonly string[]
  /** In folders: what has another name than logs have, for a person to look over. */
  readonly skipped: readonly string[]
  readonly problems: readonly InputProblem[]
}

const LOG_NAME = /\.(json|ndjson|jsonl)(\.gz)?$/i
const LINES_NAME = /\.(ndjson|jsonl)(\.gz)?$/i

/** More decompressed text than this in one file is not read: a delivered log has some 50 MB. */
const LARGEST_FILE = 384 * 1024 * 1024
const LONGEST_LINE = 16 * 1024 * 1024

/** Files as named, folders recursively, in the order of their names; never throws. */
export async function listTrailFiles(paths: readonly string[]): Promise<TrailFiles> {
  const files = new Map<string, string>()
  const skipped: string[] = []
  const problems: InputProblem[] = []
  const folders = new Set<string>()
  const visit = async (path: string, named: boolean): Promise<void> => {
    try {
      const real = await realpath(path)
      const what = await stat(path)
      if (what.isDirectory()) {
        // A link back to a folder above would never end.
        if (folders.has(real)) return
        folders.add(real)
        for (const name of (await readdir(path)).sort()) await visit(join(path, name), false)
      } else if (!what.isFile()) problems.push({ file: path, problem: 'it is neither a file nor a folder' })
      else if (named || LOG_NAME.test(path)) files.set(real, files.get(real) ?? path)
      else skipped.push(path)
    } catch (error) {
      problems.push({ file: path, problem: `it cannot be read (${reason(error)})` })
    }
  }
  for (const path of paths) await visit(path, true)
  return { files: [...files.values()], skipped, problems }
}

export interface ReadFile {
  readonly records: number
  /** A digest file of CloudTrail's own: hashes of logs, no calls. */
  readonly digest: boolean
}

/**
 * Hands over every record of one file, parsed and not yet looked at: `{"Records": […]}` as delivered, a list,
 * one record, or one a line; gzip is known by its first bytes. Only lines are streamed: of the other forms
 * one file at a time is in memory. Never throws: what is wrong goes to `problem`.
 */
export async function readTrailFile(
  file: string,
  record: (value: unknown, place: Place) => void,
  problem: (problem: InputProblem) => void,
): Promise<ReadFile> {
  let records = 0
  const take = (value: unknown, at: number) => {
    records++
    record(value, { file, record: at })
  }
  try {
    if (LINES_NAME.test(file)) {
      await readLines(await contents(file), take, (at, why) => problem({ file, record: at, problem: why }))
      return { records, digest: false }
    }
    const whole = await readWhole(await contents(file))
    const parsed = parse(whole)
    if (parsed === undefined) {
      // NDJSON under a .json name, as Firehose writes it; what is neither is named by its line.
      let line = 0
      for (const text of whole.split('\n')) {
        line++
        if (text.trim() === '') continue
        const one = parse(text)
        if (one === undefined) problem({ file, record: line, problem: 'it is not JSON' })
        else take(one.value, line)
      }
      if (records === 0 && line <= 1 && whole.trim() === '') problem({ file, problem: 'it is empty' })
      return { records, digest: false }
    }
    const { value } = parsed
    if (isDigest(value)) return { records, digest: true }
    const list = Array.isArray(value) ? value : recordsOf(value)
    for (const [index, one] of (list ?? [value]).entries()) take(one, index + 1)
  } catch (error) {
    problem({ file, problem: `it cannot be read (${reason(error)})` })
  }
  return { records, digest: false }
}

/** `Records` where it is a list; a `Records` that is none falls through and is refused as a record. */
function recordsOf(value: unknown): readonly unknown[] | undefined {
  if (typeof value !== 'object' || value === null || !('Records' in value)) return undefined
  return Array.isArray(value.Records) ? value.Records : undefined
}

/** CloudTrail User Guide, "CloudTrail digest file structure". */
const isDigest = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  'digestStartTime' in value &&
  'logFiles' in value &&
  !('Records' in value) &&
  !('eventID' in value)

async function contents(file: string): Promise<Readable> {
  const handle = await open(file)
  const first = Buffer.alloc(2)
  try {
    await handle.read(first, 0, 2, 0)
  } finally {
    await handle.close()
  }
  const raw = createReadStream(file)
  if (first[0] !== 0x1f || first[1] !== 0x8b) return raw
  const unzipped = createGunzip()
  raw.on('error', (error) => unzipped.destroy(error))
  return raw.pipe(unzipped)
}

async function readWhole(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > LARGEST_FILE) throw new Error('it has more than 384 MiB; split it, or make it NDJSON')
    chunks.push(chunk)
  }
  return decode(Buffer.concat(chunks))
}

async function readLines(
  stream: Readable,
  take: (value: unknown, line: number) => void,
  problem: (line: number, why: string) => void,
): Promise<void> {
  let line = 0
  for await (const text of lines(stream)) {
    line++
    if (text.trim() === '') continue
    const one = parse(text)
    if (one === undefined) problem(line, 'it is not JSON')
    else take(one.value, line)
  }
}

/** Not node:readline: it keeps a line that never ends in memory, and does not promise to pass on an error of its input. */
async function* lines(stream: Readable): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let begun: string[] = []
  let length = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const [first = '', ...more] = decoder.decode(chunk, { stream: true }).split('\n')
    begun.push(first)
    length += first.length
    for (const part of more) {
      yield begun.join('')
      begun = [part]
      length = part.length
    }
    if (length > LONGEST_LINE) throw new Error('it has a line of more than 16 MiB')
  }
  const last = begun.join('') + decoder.decode()
  if (last !== '') yield last
}

const decode = (bytes: Buffer): string => new TextDecoder('utf-8', { fatal: true }).decode(bytes)

/** Wrapped, since null is a value too. */
function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

const reason = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
