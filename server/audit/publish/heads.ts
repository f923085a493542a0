import { ProofError } from '../merkle/error.js'
import { consistencyProof, verifyConsistency } from '../merkle/proof.js'
import { type ReadFile, tileHashes } from '../merkle/tiles.js'
import type { RecordedCheckpoint } from './store.js'

/** A signed head of the tree, as read and verified. */
export interface Head {
  readonly size: number
  readonly root: Buffer
}

/** Throws when the note is not one of ours for this origin. */
export type OpenNote = (note: string) => Head

/**
 * Why a published head and the database's newest checkpoint cannot be of one history; undefined when they can.
 * `read` gives the published tiles of the recorded tree: they come before its record.
 */
export async function contradiction(
  head: Head | undefined,
  recorded: Pick<RecordedCheckpoint, 'size' | 'note'> | undefined,
  open: OpenNote,
  read: ReadFile,
): Promise<string | undefined> {
  if (recorded === undefined) {
    if (head === undefined) return undefined
    return `a checkpoint of ${head.size} entries is published, and the database knows of none`
  }
  const signed = open(recorded.note)
  if (signed.size !== recorded.size)
    return `the checkpoint of ${recorded.size} entries in the database is not what was signed`
  if (head === undefined) return undefined
  if (head.size > signed.size)
    return `${head.size} entries were published, and the database has checkpoints up to ${signed.size}: it is older`
  if (head.size === signed.size)
    return head.root.equals(signed.root)
      ? undefined
      : `two different trees of ${head.size} entries were signed`
  if (await continues(head, signed, read)) return undefined
  return `the checkpoint of ${signed.size} entries in the database does not continue the ${head.size} published`
}

async function continues(from: Head, to: Head, read: ReadFile): Promise<boolean> {
  try {
    const proof = await consistencyProof(from.size, to.size, tileHashes(read, to.size))
    verifyConsistency(from.size, to.size, proof, from.root, to.root)
    return true
  } catch (error) {
    if (error instanceof ProofError) return false
    throw error
  }
}
