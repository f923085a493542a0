import { randomBytes } from 'node:crypto'
import { chown, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { StartError } from '../errors.js'
import type { Binaries } from './embedded-binaries.js'
import { isAlive, run } from './embedded-process.js'
import type { OsUser } from './embedded-user.js'

/** Unfinished folders of this very process, which `removeLeftovers` must not take for a dead one's. */
const underWay = new Set<string>()

/**
 * Makes the data folder, in a temporary folder beside it that is renamed when complete: a start that was
 * killed half-way leaves nothing that could be mistaken for a database. When another start finished
 * first, its folder stays.
 */
export async function createCluster(
  dataFolder: string,
  { binaries, user, password, sync }: { binaries: Binaries; user: OsUser; password: string; sync: boolean },
): Promise<void> {
  await removeLeftovers(dataFolder)
  const part = `${dataFolder}.new-${process.pid}-${randomBytes(4).toString('hex')}`
  underWay.add(part)
  try {
    const data = join(part, 'data')
    const passwordFile = join(part, 'password')
    await mkdir(part, { mode: 0o700 })
    await mkdir(data, { mode: 0o700 })
    await writeFile(passwordFile, password, { mode: 0o600, flag: 'wx' })
    if (user.uid !== undefined && user.gid !== undefined) {
      for (const path of [passwordFile, data, part]) await chown(path, user.uid, user.gid)
    }
    const { code, stderr } = await run(
      binaries.initdb,
      [
        ...['--pgdata', data, '--username', 'postgres', '--pwfile', passwordFile],
        ...['--auth', 'scram-sha-256', '--encoding', 'UTF8', '--data-checksums', '--no-instructions'],
        // PostgreSQL's own collation sorts alike on every machine and needs no locale installed.
        ...['--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8', '--locale', 'C'],
        ...(sync ? [] : ['--no-sync']),
      ],
      user,
    )
    if (code !== 0) {
      throw new StartError(`The database could not be created in ${dataFolder}: ${lastLine(stderr)}`)
    }
    await rename(data, dataFolder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(part, { recursive: true, force: true })
    underWay.delete(part)
  }
}

/** Throws StartError when the folder was made by another major version, which cannot be opened. */
export async function checkVersion(dataFolder: string, major: string): Promise<void> {
  const found = await readFile(join(dataFolder, 'PG_VERSION'), 'utf8').catch(
    (error: NodeJS.ErrnoException) => {
      throw new StartError(
        error.code === 'EACCES'
          ? `The database folder ${dataFolder} belongs to another user: start the broker as the user who made it.`
          : `${dataFolder} exists but holds no database (no PG_VERSION): move it away, or restore it from a backup.`,
      )
    },
  )
  if (found.trim() !== major) {
    throw new StartError(
      `The database in ${dataFolder} was made by PostgreSQL ${found.trim()}, this is PostgreSQL ${major}: dump it with the old version and restore it into a new folder.`,
    )
  }
}

async function removeLeftovers(dataFolder: string): Promise<void> {
  const prefix = `${basename(dataFolder)}.new-`
  for (const name of await readdir(dirname(dataFolder))) {
    if (!name.startsWith(prefix)) continue
    const path = join(dirname(dataFolder), name)
    const pid = Number(name.slice(prefix.length).split('-')[0])
    // In a container every start has the same pid: our own pid on a folder that is not ours is a leftover.
    const abandoned = pid === process.pid ? !underWay.has(path) : !isAlive(pid)
    // Its initdb may outlive the killed start for a moment and still write: then the next start tries again.
    if (abandoned) await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined)
  }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
