import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Where the tree is published: outside the database. Paths are those of C2SP tlog-tiles. */
export interface Published {
  readonly read: (path: string) => Promise<Buffer | undefined>
  /** Durable when it resolves; readers see the old content or the new, never a part. */
  readonly write: (path: string, data: Uint8Array) => Promise<void>
}

/** A file that is written once is there already, with other content: the trees do not agree. */
export class PublishedOtherwise extends Error {
  override readonly name = 'PublishedOtherwise'
}

export function folder(root: string): Published {
  return {
    async read(path) {
      try {
        return await readFile(join(root, path))
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
        throw error
      }
    },
    async write(path, data) {
      const target = join(root, path)
      await mkdir(dirname(target), { recursive: true })
      // Two containers on one folder may both be process 1.
      const draft = `${target}.${randomUUID()}.new`
      const file = await open(draft, 'w', 0o644)
      try {
        await file.writeFile(data)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(draft, target)
    },
  }
}
