import type { LockedBucket } from '../../types-aws.js'
import { type Published, PublishedOtherwise } from './folder.js'

/** Another writer was faster, or somebody interfered: what is there has to be read and compared again. */
export class Superseded extends Error {
  override readonly name = 'Superseded'
}

/**
 * A bucket as a place to publish to. `checkpoint` is the one file that changes, and only from the state that was
 * last read *here*, so that of two writers one loses and looks again; hence one of these for each that compares
 * what it reads. All other files are written once. Writing throws `PublishedOtherwise` when one is there with
 * other content, `Superseded` when the checkpoint is no longer the one read.
 */
export function bucketPlace(bucket: LockedBucket): Published {
  let seen: string | undefined
  return {
    async read(path) {
      const found = await bucket.read(path)
      if (path === 'checkpoint') seen = found?.etag
      return found?.data
    },
    async write(path, data) {
      if (path === 'checkpoint') {
        const etag = await bucket.write(path, data, seen === undefined ? 'absent' : { etag: seen })
        if (etag === undefined) throw new Superseded(`${bucket.name} has another checkpoint by now`)
        seen = etag
        return
      }
      if ((await bucket.write(path, data, 'absent')) !== undefined) return
      // There already: by an earlier attempt that did not hear of its success, or by another replica.
      const found = await bucket.read(path)
      if (found === undefined) throw new Error(`${bucket.name} both has ${path} and has it not`)
      if (!found.data.equals(data))
        throw new PublishedOtherwise(`${path} was published in ${bucket.name} with other content`)
    },
  }
}
