import { randomInt } from 'node:crypto'
import { StartError } from '../../errors.js'
import { CompactRange } from '../merkle/compact.js'
import { ProofError } from '../merkle/error.js'
import { growTiles } from '../merkle/grow.js'
import { leafHash } from '../merkle/hash.js'
import { consistencyProof, verifyConsistency } from '../merkle/proof.js'
import { hashIn, readTile, TILE_WIDTH, tileAt, tileHashes } from '../merkle/tiles.js'
import type { Published } from './folder.js'
import type { LogStore } from './store.js'

/** A signed head of the tree, as read and verified. */
export interface Head {
  readonly size: number
  readonly root: Buffer
}

export interface CheckpointerDeps {
  readonly store: LogStore
  readonly published: Published
  readonly origin: string
  readonly sign: (head: Head) => string
  /** Throws when the note is not one of ours for this origin. */
  readonly open: (note: string) => Head
  /** Names this process among the replicas. */
  readonly holder: string
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

  const fail = (why: string): void => {
    if (trouble !== undefined) return
    trouble = why
    deps.onTrouble(why)
  }

  async function publishedHead(): Promise<Head | undefined> {
    const note = await published.read('checkpoint')
    return note === undefined ? undefined : deps.open(note.toString('utf8'))
  }

  /** The tree at the last signed head. The peaks come from the database and count only if they give its root. */
  async function catchUp(): Promise<void> {
    const recorded = await store.latest(origin)
    const head = await publishedHead()
    if (recorded === undefined) {
      if (head !== undefined)
        fail(`a checkpoint of ${head.size} entries is published, and the database knows of none`)
      return
    }
    const signed = deps.open(recorded.note)
    const restored = CompactRange.restore({ size: recorded.size, peaks: recorded.peaks })
    if (!restored.root().equals(signed.root) || signed.size !== recorded.size) {
      fail(`the checkpoint of ${recorded.size} entries in the database is not what was signed`)
      return
    }
    if (head !== undefined && head.size > recorded.size) {
      fail(
        `${head.size} entries were published, and the database has checkpoints up to ${recorded.size}: it is older`,
      )
      return
    }
    if (head?.size === recorded.size && !head.root.equals(signed.root)) {
      fail(`two different trees of ${head.size} entries were signed`)
      return
    }
    if (head !== undefined && head.size < recorded.size && !(await continues(head, signed))) {
      fail(
        `the checkpoint of ${recorded.size} entries in the database does not continue the ${head.size} published`,
      )
      return
    }
    range = restored
    // Recorded by a writer who died before publishing it.
    if (head === undefined || head.size < recorded.size)
      await published.write('checkpoint', Buffer.from(recorded.note))
  }

  /** Whether the published tree grew into this one. Its tiles are there already: they come before the record. */
  async function continues(from: Head, to: Head): Promise<boolean> {
    try {
      const proof = await consistencyProof(from.size, to.size, tileHashes(published.read, to.size))
      verifyConsistency(from.size, to.size, proof, from.root, to.root)
      return true
    } catch (error) {
      if (error instanceof ProofError) return false
      throw error
    }
  }

  /** Entries of the database against the published hashes, `width` of them from `from` on. */
  async function compare(from: number, width: number): Promise<void> {
    const bodies = await store.bodies(from, width)
    if (bodies.length < width) {
      fail(`${range.size} entries were published, and the database has none at ${from + bodies.length}`)
      return
    }
    const { data: tile } = await readTile(published.read, tileAt(0, from, range.size))
    const wrong = bodies.findIndex((body, i) => !leafHash(body).equals(hashIn(tile, (from % TILE_WIDTH) + i)))
    if (wrong !== -1) fail(`entry ${from + wrong} is not the one that was published`)
  }

  /** The newest published bundle, where a restore shows, and one at random, where a rewrite will. */
  async function scrub(): Promise<void> {
    if (range.size === 0) return
    const last = Math.floor((range.size - 1) / TILE_WIDTH)
    for (const bundle of new Set([last, randomInt(last + 1)])) {
      const from = bundle * TILE_WIDTH
      await compare(from, Math.min(TILE_WIDTH, range.size - from))
    }
  }

  async function publish(fence: number): Promise<void> {
    const bodies = await store.bodies(range.size, MOST_AT_ONCE)
    if (bodies.length === 0) return
    const grown = await growTiles(range, bodies, published.read)
    for (const { path, data } of grown.files) await published.write(path, data)
    const head = { size: grown.range.size, root: grown.range.root() }
    const note = deps.sign(head)
    if (!(await store.record(fence, origin, { ...head, peaks: grown.range.save().peaks, note }))) {
      // Another replica went on while this one stood still: its tree is the one to follow.
      await catchUp()
      return
    }
    await published.write('checkpoint', Buffer.from(note))
    range = grown.range
  }

  return {
    async start() {
      await catchUp()
      await scrub()
      if (trouble !== undefined) {
        throw new StartError(
          `The record is not what was published: ${trouble}. Restore the right database, or begin a new origin with \`writ audit new-origin\`.`,
        )
      }
    },
    async tick() {
      if (trouble !== undefined) return range.size
      const fence = await store.claim(deps.holder, LEASE_SECONDS)
      const recorded = await store.latest(origin)
      if ((recorded?.size ?? 0) !== range.size) await catchUp()
      const size = await store.size()
      while (fence !== undefined && trouble === undefined && range.size < size) {
        const before = range.size
        await publish(fence)
        if (range.size === before) break
      }
      await scrub()
      return range.size
    },
    trouble: () => trouble,
    size: () => range.size,
  }
}
