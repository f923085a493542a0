import { randomInt } from 'node:crypto'
import { CompactRange } from '../merkle/compact.js'
import { ProofError } from '../merkle/error.js'
import { growTiles } from '../merkle/grow.js'
import {
  hashIn,
  type ReadFile,
  readTile,
  splitBundle,
  TILE_WIDTH,
  type Tile,
  tileAt,
  tileHashes,
} from '../merkle/tiles.js'
import { notWhatWasPublished } from './checkpointer.js'
import { type Published, PublishedOtherwise } from './folder.js'
import { contradiction, type Head, type OpenNote } from './heads.js'
import type { LogStore } from './store.js'

export interface MirrorDeps {
  readonly store: Pick<LogStore, 'latest' | 'between'>
  /** Where the log is published first. */
  readonly source: ReadFile
  readonly target: Published
  /** What the target is called in sentences. */
  readonly name: string
  readonly origin: string
  readonly open: OpenNote
  /** Told once when the target and the database no longer agree. */
  readonly onTrouble: (why: string) => void
}

export interface Mirror {
  /** Compares before anything is served. Throws `StartError`; errors of the target pass through. */
  readonly start: () => Promise<void>
  /** Compares, and where `write` is set publishes what is missing, in at most `steps`; answers how much is left. */
  readonly tick: (write: boolean, steps?: number) => Promise<number>
  readonly trouble: () => string | undefined
}

/** Entries a step: what is held in memory, and repeated after a crash. */
const STEP = 4 * TILE_WIDTH

/**
 * Publishes a log a second time, from one place to another that may have been out of reach for long. Nothing is
 * kept between rounds: where to go on from is the target's own signed checkpoint. Each step ends at a checkpoint
 * that was signed in its day, and its entries lead to that root before the first byte is written: in a bucket
 * under object lock a wrong tile could not be taken back.
 */
export function createMirror(deps: MirrorDeps): Mirror {
  const { store, source, target, origin, open, name } = deps
  let trouble: string | undefined

  const fail = (why: string): void => {
    if (trouble !== undefined) return
    trouble = `${name}: ${why}`
    deps.onTrouble(trouble)
  }

  async function headIn(read: ReadFile): Promise<Head | undefined> {
    const note = await read('checkpoint')
    return note === undefined ? undefined : open(note.toString('utf8'))
  }

  /** The heads of target, source and database, in this order: each is written before the one before it. */
  async function compare() {
    const head = await headIn(target.read)
    const from = await headIn(source)
    const recorded = await store.latest(origin)
    const why = await contradiction(head, recorded, open, source)
    if (why !== undefined) fail(why)
    return { head, goal: Math.min(from?.size ?? 0, recorded?.size ?? 0) }
  }

  /** The newest tile of the target and one at random, against the source, which is compared with the database. */
  async function scrub({ size }: Head): Promise<void> {
    const last = Math.floor((size - 1) / TILE_WIDTH)
    for (const index of new Set([last, randomInt(last + 1)])) {
      const tile = tileAt(0, index * TILE_WIDTH, size)
      const [own, other] = [await readTile(source, tile), await readTile(target.read, tile)]
      const wrong = [...Array(tile.width).keys()].find(
        (i) => !hashIn(own.data, i).equals(hashIn(other.data, i)),
      )
      if (wrong !== undefined)
        return fail(`entry ${index * TILE_WIDTH + wrong} is not the one that was published`)
    }
  }

  /** Goes on to the farthest checkpoint within a step. What is durable in between: tiles that no checkpoint names. */
  async function step(range: CompactRange, goal: number): Promise<CompactRange> {
    const next = await store.between(origin, range.size, Math.min(range.size + STEP, goal))
    if (next === undefined) throw new Error(`no checkpoint follows ${range.size}`)
    const signed = open(next.note)
    const bodies = await readBodies(source, range.size, signed.size)
    const grown = await growTiles(range, bodies, source)
    if (grown.range.size !== signed.size || !grown.range.root().equals(signed.root)) {
      throw new ProofError(
        'root_mismatch',
        `The entries ${range.size} to ${signed.size - 1} in the folder are not what was signed.`,
      )
    }
    for (const { path, data } of grown.files) await target.write(path, data)
    await target.write('checkpoint', Buffer.from(next.note))
    return grown.range
  }

  async function round(write: boolean, steps: number): Promise<number> {
    const { head, goal } = await compare()
    if (trouble === undefined && head !== undefined) await scrub(head)
    if (trouble !== undefined || !write || (head?.size ?? 0) >= goal)
      return Math.max(0, goal - (head?.size ?? 0))
    let range = await rangeOf(head, source)
    for (let done = 0; done < steps && range.size < goal; done++) range = await step(range, goal)
    return goal - range.size
  }

  return {
    async start() {
      const { head } = await compare()
      if (trouble === undefined && head !== undefined) await scrub(head)
      if (trouble !== undefined) throw notWhatWasPublished(trouble)
    },
    async tick(write, steps = 16) {
      try {
        return trouble === undefined ? await round(write, steps) : 0
      } catch (error) {
        if (!(error instanceof PublishedOtherwise)) throw error
        fail(error.message)
        return 0
      }
    },
    trouble: () => trouble,
  }
}

/** The tree at a signed head, out of tiles. Throws `root_mismatch` when they do not lead there. */
async function rangeOf(head: Head | undefined, read: ReadFile): Promise<CompactRange> {
  if (head === undefined) return new CompactRange()
  const hashes = tileHashes(read, head.size)
  const peaks: string[] = []
  let at = 0
  for (let level = 47; level >= 0; level--) {
    const span = 2 ** level
    if (Math.floor(head.size / span) % 2 === 0) continue
    peaks.push((await hashes(level, at / span)).toString('base64'))
    at += span
  }
  const range = CompactRange.restore({ size: head.size, peaks })
  if (range.root().equals(head.root)) return range
  throw new ProofError(
    'root_mismatch',
    `The tiles of ${head.size} entries in the folder are not what was signed.`,
  )
}

async function readBodies(read: ReadFile, from: number, to: number): Promise<Buffer[]> {
  const bodies: Buffer[] = []
  for (let at = from; at < to; at += TILE_WIDTH - (at % TILE_WIDTH)) {
    const bundle: Tile = { ...tileAt(0, at, to), level: 'entries' }
    const { data } = await readTile(read, bundle)
    bodies.push(...splitBundle(data).bodies.slice(at % TILE_WIDTH, bundle.width))
  }
  return bodies
}
