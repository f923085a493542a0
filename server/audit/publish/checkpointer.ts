import { randomInt } from 'node:crypto'
import { StartError } from '../../errors.js'
import { CompactRange } from '../merkle/compact.js'
import { growTiles } from '../merkle/grow.js'
import { leafHash } from '../merkle/hash.js'
import { hashIn, readTile, TILE_WIDTH, tileAt } from '../merkle/tiles.js'
import { type Published, PublishedOtherwise } from './folder.js'
import { contradiction, type Head } from './heads.js'
import type { LogStore } from './store.js'

export interface CheckpointerDeps {
  readonly store: LogStore
  readonly published: Published
  readonly origin: string
  readonly sign: (head: Head) => string
  /** Throws when the note is not one of ours for this origin. */
  readonly open: (note: string) => Head
  /** Names this process among the replicas. */
  readonly holder: string
  /** How long this replica stays the writer without asking again; default 10. */
  readonly leaseSeconds?: number
  /** Told once when the database and what was published no longer agree. */
  readonly onTrouble: (why: string) => void
}

export interface Checkpointer {
  /**
   * Compares the database with what was published before anything is served. Throws `StartError` after a
   * restore or a rewrite.
   */
  readonly start: () => Promise<void>
  /** Publishes what is new, if this replica is the writer; answers the published size. */
  readonly tick: () => Promise<number>
  /** Why the record can no longer be trusted; undefined while it can. */
  readonly trouble: () => string | undefined
  readonly size: () => number
  /** Whether this replica was the log's writer when it last looked. */
  readonly writing: () => boolean
}

/** Long enough that a tick of many entries ends within it, short enough that another replica soon takes over. */
const LEASE_SECONDS = 10
const MOST_AT_ONCE = 4 * TILE_WIDTH

/**
 * Builds the tree behind the log and publishes it. What is durable at each point: tiles first, then the
 * checkpoint in the database under the fence, then the published checkpoint. A crash in between leaves tiles
 * that no checkpoint names, or a checkpoint that the next writer publishes.
 */
export function createCheckpointer(deps: CheckpointerDeps): Checkpointer {
  const { store, published, origin } = deps
  let range = new CompactRange()
  let trouble: string | undefined
  let holding = false

  const fail = (why: string): void => {
    if (trouble !== undefined) return
    trouble = why
    deps.onTrouble(why)
  }

  async function publishedHead(): Promise<Head | undefined> {
    const note = await published.read('checkpoint')
    return note === undefined ? undefined : deps.open(note.toString('utf8'))
  }

  /**
   * Compares the newest signed heads, and takes up the tree at the recorded one. Its peaks come from the database
   * and count only if they give its root.
   */
  async function follow(mayWrite: boolean): Promise<void> {
    // In this order: what is published was recorded before, so an honest head is never the newer one.
    const head = await publishedHead()
    const recorded = await store.latest(origin)
    if ((recorded?.size ?? 0) === range.size && sameHead(head)) return
    const why = await contradiction(head, recorded, deps.open, published.read)
    if (why !== undefined) return fail(why)
    if (recorded === undefined) return
    const restored = CompactRange.restore({ size: recorded.size, peaks: recorded.peaks })
    if (!restored.root().equals(deps.open(recorded.note).root)) {
      return fail(`the checkpoint of ${recorded.size} entries in the database is not what was signed`)
    }
    range = restored
    // Recorded by a writer who died before publishing it; or somebody put an older one in its place.
    if (mayWrite && (head === undefined || head.size < recorded.size))
      await published.write('checkpoint', Buffer.from(recorded.note))
  }

  const sameHead = (head: Head | undefined): boolean =>
    head === undefined ? range.size === 0 : head.size === range.size && head.root.equals(range.root())

  /** Entries of the database against the published hashes, `width` of them from `from` on. */
  async function compare(from: number, width: number): Promise<void> {
    const bodies = await store.bodies(from, width)
    if (bodies.length < width) {
      // Archived since we looked.
      if (from < (await store.begin()).first) return
      fail(`${range.size} entries were published, and the database has none at ${from + bodies.length}`)
      return
    }
    const { data: tile } = await readTile(published.read, tileAt(0, from, range.size))
    const wrong = bodies.findIndex((body, i) => !leafHash(body).equals(hashIn(tile, (from % TILE_WIDTH) + i)))
    if (wrong !== -1) fail(`entry ${from + wrong} is not the one that was published`)
  }

  /** The newest published bundle, where a restore shows, and one at random, where a rewrite will. */
  async function scrub(): Promise<void> {
    const { first, archived } = await store.begin()
    // Only the log itself can say that entries went for good reason.
    if (first > archived)
      return fail(`the database begins at entry ${first}, and the log says nothing of that`)
    if (range.size <= first) return
    const last = Math.floor((range.size - 1) / TILE_WIDTH)
    for (const bundle of new Set([last, randomInt(Math.floor(first / TILE_WIDTH), last + 1)])) {
      const from = Math.max(bundle * TILE_WIDTH, first)
      await compare(from, Math.min((bundle + 1) * TILE_WIDTH, range.size) - from)
    }
  }

  /** A log that begins anew is built from its first entry on. */
  async function needsArchives(): Promise<string | undefined> {
    const { first } = await store.begin()
    if (range.size >= first) return undefined
    return `The entries before ${first} are archived, and a log that begins anew needs them: attach their partitions again, see docs/retention.md.`
  }

  async function publish(fence: number): Promise<void> {
    const bodies = await store.bodies(range.size, MOST_AT_ONCE)
    if (bodies.length === 0) {
      const why = await needsArchives()
      if (why !== undefined) throw new Error(why)
      return
    }
    const grown = await growTiles(range, bodies, published.read)
    for (const { path, data } of grown.files) await published.write(path, data)
    const head = { size: grown.range.size, root: grown.range.root() }
    const note = deps.sign(head)
    if (!(await store.record(fence, origin, { ...head, peaks: grown.range.save().peaks, note }))) {
      // Another replica went on while this one stood still: its tree is the one to follow.
      await follow(false)
      return
    }
    await published.write('checkpoint', Buffer.from(note))
    range = grown.range
  }

  async function round(): Promise<void> {
    const fence = await store.claim(deps.holder, deps.leaseSeconds ?? LEASE_SECONDS)
    holding = fence !== undefined
    await follow(holding)
    const size = await store.size()
    while (fence !== undefined && trouble === undefined && range.size < size) {
      const before = range.size
      await publish(fence)
      if (range.size === before) break
    }
    await scrub()
  }

  return {
    async start() {
      await follow(false)
      await scrub()
      if (trouble !== undefined) throw notWhatWasPublished(trouble)
      const why = await needsArchives()
      if (why !== undefined) throw new StartError(why)
    },
    async tick() {
      try {
        if (trouble === undefined) await round()
      } catch (error) {
        if (!(error instanceof PublishedOtherwise)) throw error
        fail(error.message)
      }
      return range.size
    },
    trouble: () => trouble,
    size: () => range.size,
    writing: () => holding,
  }
}

export const notWhatWasPublished = (trouble: string): StartError =>
  new StartError(
    `The record is not what was published: ${trouble}. Restore the right database, or begin a new origin with \`writ audit new-origin\`.`,
  )
